"""What a model leaves to the development set: fitted once, when training has ended."""

import argparse
import copy
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from m4ser.data.scp import read_scp
from m4ser.models.build import fusion_choices
from m4ser.models.checkpoint import MODEL, load_run, read_tensors
from m4ser.models.fusion.base import Classifier
from m4ser.models.model import SERModel
from m4ser.training.evaluation import represent
from m4ser.training.experiment import TrainInfo
from m4ser.training.lists import data_options
from m4ser.training.metrics import Metric, scores
from m4ser.training.operating_point import AS_TRAINED, best_strength, log_prior
from m4ser.utils.files import atomic_path


def fit_on_dev(run: Path, task: argparse.Namespace, speakers: Mapping[str, str]) -> TrainInfo:
    """Fit the classifier of a trained run on the development part of its fold, and keep it in ``model.pth``.

    First what its fusion leaves to be fitted, then its operating point, each where there is something to do.

    Args:
        run: folder of the run.
        task: the options that it was trained with.
        speakers: by utterance.

    Returns:
        What there is to note of it.
    """
    fits = fusion_choices.get_class(task.fusion).fits_on_dev
    if not fits and task.operating_point == AS_TRAINED:
        return {}
    model, conf = load_run(run)
    assert isinstance(model, SERModel)
    data = [entry for entry in data_options(run / "data", "dev", conf) if entry[1] != "emotion"]
    references = read_scp(run / "data" / "dev" / "utt2emo")
    vectors: list[Tensor] = []
    classes: list[int] = []
    said_by: list[str] = []
    for utterances, reps in represent(model, conf, data, references):
        vectors.append(reps.utterance)
        said_by.extend(speakers[utterance] for utterance in utterances)
        classes.extend(model.labels.index(references[utterance]) for utterance in utterances)
    utterance, emotion = torch.cat(vectors), torch.tensor(classes)
    info: TrainInfo = {}
    if fits:
        model.classifier.fit_on_dev(utterance, emotion, said_by)
    if task.operating_point != AS_TRAINED:
        prior = torch.from_numpy(log_prior(read_scp(run / "data" / "train" / "utt2emo").values(), model.labels))
        info["operating_point"] = shift(model.classifier, utterance, emotion, prior, task.operating_point)
    weights = read_tensors(run / MODEL)
    for name, value in model.classifier.state_dict(prefix="classifier.").items():
        weights[name] = value.to(weights[name].dtype)
    with atomic_path(run / MODEL) as temporary:
        torch.save(weights, temporary)
    return info


@torch.no_grad()
def shift(classifier: Classifier, utterance: Tensor, emotion: Tensor, prior: Tensor, metric: Metric) -> float:
    """Shift a trained classifier to its best operating point, see :mod:`m4ser.training.operating_point`.

    Args:
        classifier: is changed.
        utterance: vectors of the development utterances, (N, U).
        emotion: their classes, (N,).
        prior: logarithm of each class's share of the training part, (E,).
        metric: the score that is to be best.

    Returns:
        t, the strength of the shift.
    """

    def score(strength: float) -> float:
        shifted = copy.deepcopy(classifier)
        shifted.shift(-strength * prior)
        answers = shifted.combine(shifted.experts(utterance)).argmax(-1)
        return scores(emotion.numpy(), answers.numpy())[metric]

    best = best_strength(score)
    classifier.shift(-best * prior)
    return best
