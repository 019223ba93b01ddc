"""Padded batches as tensors, and what a model makes of them."""

import numpy as np
import torch

from m4ser.models.arrays import Padding
from m4ser.models.representations import Representations
from m4ser.models.systems import EmotionModel

ENCODER_INPUTS = ("speech", "speech_lengths", "text", "text_lengths", "text_confidence")


class Collate:
    """As :class:`.Padding`, with tensors."""

    def __init__(self, text_padding: int = 0):
        self.pad = Padding(text_padding)

    def __call__(self, data: list[tuple[str, dict[str, np.ndarray]]]) -> tuple[list[str], dict[str, torch.Tensor]]:
        """[(utterance, arrays)] -> utterances and (B, ...) tensors; ``<name>_lengths`` for speech and text."""
        utterances, batch = self.pad(data)
        return utterances, {name: torch.from_numpy(array) for name, array in batch.items()}


def represent(model: EmotionModel, batch: dict[str, torch.Tensor]) -> Representations:
    """A batch as :class:`Collate` makes it -> what the model makes of its utterances."""
    return model.represent(**{name: batch[name] for name in ENCODER_INPUTS if name in batch})


def logits(model: EmotionModel, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """A batch as :class:`Collate` makes it -> scores of the classes (B, E)."""
    return model.logits(represent(model, batch))
