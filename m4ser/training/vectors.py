"""What a trained model makes of the utterances of its test part."""

from pathlib import Path
from typing import Any

import numpy as np

from m4ser.data.scp import read_scp
from m4ser.models.checkpoint import load_run
from m4ser.models.representations import masked_mean, required
from m4ser.training.evaluation import represent
from m4ser.training.lists import data_options
from m4ser.utils.errors import UserError

MAX_UTTERANCES = 600  # of more, this many at random (t-SNE takes seconds per thousand points)
PARTS = ("speech_specific", "text_specific", "invariant")


def run_vectors(folder: str | Path, part: str = "test", limit: int = MAX_UTTERANCES) -> dict[str, Any]:
    """Pass utterances of a finished run through its model.

    Returns:
        ``utts``; ``ref`` and ``hyp`` (N,) class indices; ``utterance`` (N, U), what the classifier reads; and, of a
        model that has them, the means over time of ``speech_specific``, ``text_specific``, ``invariant``, each (N, D).

    Raises:
        UserError: the run is not finished, or the features of stage 1 are gone.
    """
    folder = Path(folder)
    model, conf = load_run(folder)
    if not (folder / "data" / part / "utt2emo").exists():
        raise UserError(f"{folder / 'data' / part}: is missing; run stage 4 again")
    emotions = read_scp(folder / "data" / part / "utt2emo")
    utts = list(emotions)
    if len(utts) > limit:
        drawn = np.random.default_rng(0).choice(len(utts), limit, replace=False)
        utts = [utts[i] for i in sorted(drawn)]
    data = [entry for entry in data_options(folder / "data", part, conf) if entry[1] != "emotion"]
    batches: dict[str, list[np.ndarray]] = {}
    for _, reps in represent(model, conf, data, utts):
        batches.setdefault("utterance", []).append(reps.utterance.cpu().numpy())
        batches.setdefault("hyp", []).append(model.logits(reps).argmax(-1).cpu().numpy())
        if reps.invariant is not None and reps.speech_specific is not None and reps.text_specific is not None:
            masks = (reps.speech_mask, reps.text_mask, reps.invariant_mask)
            for name, mask in zip(PARTS, masks, strict=True):
                batches.setdefault(name, []).append(masked_mean(getattr(reps, name), required(mask)).cpu().numpy())
    index = {label: i for i, label in enumerate(model.labels)}
    arrays = {name: np.concatenate(parts) for name, parts in batches.items()}
    return {"utts": utts, "ref": np.array([index[emotions[utt]] for utt in utts]), **arrays}
