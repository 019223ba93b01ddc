"""What a model leaves to the development set: fitted once, when training has ended."""

from pathlib import Path

import torch

from m4ser.data.scp import read_scp
from m4ser.models.build import fusion_choices
from m4ser.models.checkpoint import MODEL, load_run, read_tensors
from m4ser.models.model import SERModel
from m4ser.training.evaluation import represent
from m4ser.training.lists import data_options
from m4ser.utils.files import atomic_path


def fit_on_dev(run: Path, fusion: str) -> None:
    """Fit the classifier of a trained run on the development part of its fold, and keep it in ``model.pth``.

    Nothing is done for a fusion whose classifier has nothing to fit.
    """
    if not fusion_choices.get_class(fusion).fits_on_dev:
        return
    model, conf = load_run(run)
    assert isinstance(model, SERModel)
    data = [entry for entry in data_options(run / "data", "dev", conf) if entry[1] != "emotion"]
    references = read_scp(run / "data" / "dev" / "utt2emo")
    vectors: list[torch.Tensor] = []
    classes: list[int] = []
    for utterances, reps in represent(model, conf, data, references):
        vectors.append(reps.utterance)
        classes.extend(model.labels.index(references[utterance]) for utterance in utterances)
    model.classifier.fit_on_dev(torch.cat(vectors), torch.tensor(classes))
    weights = read_tensors(run / MODEL)
    for name, value in model.classifier.state_dict(prefix="classifier.").items():
        weights[name] = value.to(weights[name].dtype)
    with atomic_path(run / MODEL) as temporary:
        torch.save(weights, temporary)
