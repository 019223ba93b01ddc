"""What a backend gives to :class:`.EmotionRecognizer`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from m4ser.models.arrays import Padding, SERPreprocessor

Batch = dict[str, np.ndarray]  # as m4ser.models.arrays.Padding makes it
Backend = Callable[[Batch], np.ndarray]  # a batch -> logits (B, E)


@dataclass(frozen=True)
class Network:
    """A model, with what makes its inputs.

    Attributes:
        labels: the emotions, in the order of the logits.
        features: 16 kHz samples (samples,) -> features (frames, size); None where the model reads no voice, or the
            samples themselves.
        preprocess: from features and words to arrays.
        pad: from arrays to a batch.
        logits: a batch -> logits (B, E).
        longest: seconds of a recording that the model takes at once; longer ones are split in any case.
        temperature: logits are divided by it before they become probabilities.
        pretrained_dir: where local copies of pretrained models are looked for first.
    """

    labels: list[str]
    features: Callable[[np.ndarray], np.ndarray] | None
    preprocess: SERPreprocessor
    pad: Padding
    logits: Backend
    longest: float | None = None
    temperature: float = 1.0
    pretrained_dir: str | Path | None = None
