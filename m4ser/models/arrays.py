"""From what stages 1 and 3 have written, or inference makes of a recording, to padded arrays; without PyTorch."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from m4ser.models.letters import letters
from m4ser.models.text import IGNORE, NOT_A_WORD, TextProcessor, reference_words
from m4ser.utils.errors import UserError


class SERPreprocessor:
    """One utterance as read from its files -> arrays for the model.

    Not ESPnet's AbsPreprocessor: importing that one loads phonemizers which try to download data.
    ``speech`` stays; ``text`` (a line of stage 3's ``edits``) becomes piece ids with labels, and with
    ``with_reference`` the letters of what was really said, ``with_confidence`` the recogniser's confidence in the word
    of each piece; ``emotion`` its index.
    """

    def __init__(
        self,
        labels: list[str],
        text: TextProcessor | None,
        with_edits: bool = False,
        with_reference: bool = False,
        with_confidence: bool = False,
    ):
        self.index = {label: np.array([i], dtype=np.int64) for i, label in enumerate(labels)}
        self.text, self.with_edits, self.with_reference = text, with_edits, with_reference
        self.with_confidence = with_confidence

    def __call__(self, uid: str, data: dict[str, Any]) -> dict[str, np.ndarray]:
        """Return arrays by name; shapes as in :class:`m4ser.models.text.EncodedText`."""
        arrays = {}
        if "speech" in data:
            arrays["speech"] = data["speech"]
        if "emotion" in data:
            if data["emotion"] not in self.index:
                raise UserError(
                    f"{uid}: unknown emotion {data['emotion']!r}; the labels are {', '.join(self.index)} (labels.txt)"
                )
            arrays["emotion"] = self.index[data["emotion"]]
        if "text" in data and self.text is not None:
            encoded = self.text.encode_line(data["text"])
            arrays["text"] = encoded.ids
            if self.with_confidence:
                arrays["text_confidence"] = encoded.confidence
            if self.with_edits:
                arrays |= {name: getattr(encoded, name) for name in ("word_index", "tags", "slots", "corrections")}
        if "text" in data and self.with_reference:
            arrays["letters"] = letters(reference_words(data["text"]))
        return arrays


class Padding:
    """Pad a list of utterances to a batch: features with 0, pieces with the tokenizer's padding, labels with -1."""

    def __init__(self, text_padding: int = 0):
        self.padding = {"speech": 0.0, "text": text_padding, "text_confidence": NOT_A_WORD}

    def __call__(self, data: list[tuple[str, dict[str, np.ndarray]]]) -> tuple[list[str], dict[str, np.ndarray]]:
        """[(utterance, arrays)] -> utterances and (B, ...) arrays; ``<name>_lengths`` for speech and text."""
        batch = {}
        for name in data[0][1]:
            arrays = [arrays[name] for _, arrays in data]
            batch[name] = _pad(arrays, self.padding.get(name, IGNORE))
            if name in ("speech", "text"):
                batch[f"{name}_lengths"] = np.array([len(a) for a in arrays], dtype=np.int64)
        return [utterance for utterance, _ in data], batch


def softmax(logits: ArrayLike, temperature: float = 1.0) -> np.ndarray:
    """Probabilities of the classes, nan where the logits are no numbers. Shape: (B, E) -> (B, E)."""
    with np.errstate(invalid="ignore", over="ignore"):  # of a damaged model, which is refused for what comes out
        scaled = np.asarray(logits, dtype=float) / temperature
        powers = np.exp(scaled - scaled.max(-1, keepdims=True))
        return powers / powers.sum(-1, keepdims=True)


def log_softmax(logits: ArrayLike) -> np.ndarray:
    """Logarithms of :func:`softmax`, of large logits too. Shape: (B, E) -> (B, E)."""
    values = np.asarray(logits, dtype=float)
    shifted = values - values.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def _pad(arrays: list[np.ndarray], value: float) -> np.ndarray:
    """Stack arrays of one rank into (B, largest size of every axis), filled up with ``value``."""
    shape = np.max([a.shape for a in arrays], axis=0)
    stacked = np.full((len(arrays), *shape), value, dtype=arrays[0].dtype)
    for row, array in zip(stacked, arrays, strict=True):
        row[tuple(slice(size) for size in array.shape)] = array
    return stacked
