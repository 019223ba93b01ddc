"""The answers that a system was most sure of and that were wrong, with what was said, what was heard, and the sound."""

import base64
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from m4ser.data.audio import RATE, load_16k
from m4ser.scoring.runs import NOT_PREDICTED, Experiment

MAX_SECONDS = 20.0  # of a clip; a longer recording is cut


@dataclass(frozen=True)
class Mistake:
    """One utterance that was recognised wrongly; ``ref`` and ``hyp`` are class names.

    ``probabilities`` (by class, mean over the seeds) are those the answer ``hyp`` was taken from; ``agreed`` of
    ``seeds`` models give this same answer alone.
    """

    utt: str
    speaker: str
    fold: str
    ref: str
    hyp: str
    probabilities: dict[str, float]
    agreed: int
    seeds: int


def most_confident(experiment: Experiment, count: int) -> list[Mistake]:
    """The ``count`` wrong answers of highest probability, averaged over seeds; ties in the order of the items."""
    mean = np.nanmean(experiment.probabilities, axis=0)
    answer = mean.argmax(-1)
    wrong = np.flatnonzero(answer != experiment.ref)
    order = wrong[np.argsort(-mean[wrong, answer[wrong]], kind="stable")][:count]
    labels = experiment.labels
    return [
        Mistake(
            utt=experiment.items[i],
            speaker=str(experiment.speakers[i]),
            fold=str(experiment.fold[i]),
            ref=labels[experiment.ref[i]],
            hyp=labels[answer[i]],
            probabilities=dict(zip(labels, mean[i].tolist(), strict=True)),
            agreed=int((experiment.hyp[:, i] == answer[i]).sum()),
            seeds=int((experiment.hyp[:, i] != NOT_PREDICTED).sum()),
        )
        for i in order
    ]


def clip(path: str | Path, max_seconds: float = MAX_SECONDS) -> tuple[str, float, float]:
    """A recording as an MP3 ``data:`` address, its seconds in there, and its whole duration.

    MP3 because every browser plays it.

    Raises:
        AudioError: the file is missing or no usable audio.
    """
    samples = load_16k(path)
    kept = samples[: int(max_seconds * RATE)]
    with io.BytesIO() as file:
        soundfile.write(file, kept, RATE, format="MP3")
        content = base64.b64encode(file.getvalue()).decode()
    return f"data:audio/mpeg;base64,{content}", len(kept) / RATE, len(samples) / RATE
