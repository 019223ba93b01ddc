"""What stages 1 to 3 make of a recording, for one recording at a time: speech features and words.

A trained run says in its ``run.json``, under ``pipeline``, what was done to the data it was trained with:

- ``speech``: ``{"encoder", "layers", "pool"}`` of a frozen encoder; ``{}`` if the model reads the waveform; null if it
  does not use speech.
- ``text``: ``{"source": "asr" or "ref", "normaliser", "asr": {"name", "model", "settings"} or null}``; null if the
  model does not use text.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from m4ser.asr.normalise import normaliser
from m4ser.models.encoders.frozen import frozen_features
from m4ser.utils.errors import UserError


@dataclass
class Frontend:
    """From 16 kHz audio to what the preprocessor of the model takes (:class:`m4ser.models.batches.SERPreprocessor`).

    Attributes:
        pipeline: see the module.
        encoder: frozen speech encoder, None where the model needs none.
        recogniser: backend of :mod:`m4ser.asr.backends`, None where there is none.
    """

    pipeline: dict[str, Any]
    encoder: Any = None
    recogniser: Any = None
    _normalise: Any = field(init=False, default=None)

    def __post_init__(self) -> None:
        if self.pipeline["text"]:
            self._normalise = normaliser(self.pipeline["text"]["normaliser"])

    @property
    def uses_text(self) -> bool:
        """Whether the model needs words."""
        return self.pipeline["text"] is not None

    def speech(self, samples: np.ndarray) -> np.ndarray | None:
        """(samples,) -> features (frames, size), the samples themselves, or None without a speech branch."""
        described = self.pipeline["speech"]
        if described is None:
            return None
        if not described:
            return samples
        return frozen_features(self.encoder, samples, described["layers"], described["pool"])

    def transcribe(self, batch: Sequence[np.ndarray]) -> list[tuple[str, float]]:
        """Recognised text, as written by the recogniser, and its confidence.

        Raises:
            UserError: there is no recogniser.
        """
        if self.recogniser is None:
            described = self.pipeline["text"]
            known = (described.get("asr") or {}).get("name") or "a recogniser that is not known"
            trained = "reference transcripts" if described["source"] == "ref" else known
            raise UserError(
                f"has no text, and no recogniser is chosen; the model was trained with text of {trained}: give the "
                "text (--text, a line for each recording), or choose a recogniser (--asr)"
            )
        return [(found.text, found.confidence) for found in self.recogniser.transcribe_batch(list(batch))]

    def edits(self, text: str) -> str:
        """A line of stage 3's ``edits``, without targets, for a text."""
        return json.dumps({"words": self._normalise(text).split()}, ensure_ascii=False)
