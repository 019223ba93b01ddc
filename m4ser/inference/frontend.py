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
from pathlib import Path
from typing import Any

import numpy as np

from m4ser.asr.normalise import normaliser
from m4ser.data.audio import to_16_bit
from m4ser.utils.errors import UserError
from m4ser.utils.files import read_json


def describe(uses_speech: bool, text_source: str, feats: str, text: str, asr: str, sets: Sequence[str]) -> dict:
    """The ``pipeline`` of data that stages 1 to 3 have written to the folders given (empty: not used)."""
    speech = None
    if uses_speech:
        info = _info(feats, sets, "info.json")
        speech = {key: info[key] for key in ("encoder", "layers", "pool") if key in info}
        if "encoder" in speech:
            speech["encoder"] = _place(speech["encoder"])
    if text_source == "none":
        return {"speech": speech, "text": None}
    decoded = _info(asr, sets, "decode.json")
    found = {"source": text_source, "normaliser": _info(text, sets, "stats.json").get("normaliser", "english")}
    recogniser = {"name": decoded.get("asr"), "model": _place(decoded.get("model") or "")}
    found["asr"] = {**recogniser, "settings": decoded.get("settings", {})} if decoded else None
    return {"speech": speech, "text": found}


def _info(folder: str, sets: Sequence[str], name: str) -> dict[str, Any]:
    path = Path(folder) / sets[0] / name if folder else None
    return read_json(path) if path and path.is_file() else {}


def _place(model: str) -> str:
    """A model's name; a folder as absolute path, because it was given from the recipe's folder."""
    return str(Path(model).resolve()) if model and Path(model).expanduser().is_dir() else model


def average(frames: np.ndarray, size: int) -> np.ndarray:
    """:func:`~m4ser.models.representations.average_frames` of one recording.

    Shape: (frames, features) -> (ceil(frames / size), features)
    """
    import torch  # not before it is needed: joining the parts of stage 1 is quick

    from m4ser.models.representations import average_frames

    return average_frames(torch.from_numpy(frames)[None], torch.tensor([len(frames)]), size)[0].numpy()


def frozen_features(encoder: Any, samples: np.ndarray, layers: Sequence[int], pool: int) -> np.ndarray:
    """Chosen hidden layers of a :class:`~m4ser.models.encoders.frozen.FrozenEncoder` side by side, averaged in time.

    Shape: (samples,) -> (ceil(frames / pool), layers * dim) float32
    """
    hidden = encoder.layers(samples)[list(layers)]
    return average(hidden.transpose(1, 0, 2).reshape(hidden.shape[1], -1), pool)


def as_stage_1(samples: np.ndarray) -> np.ndarray:
    """16 kHz samples as they are read from the 16-bit files of stage 1: (samples,) float32 -> (samples,) float32."""
    return to_16_bit(samples).astype(np.float32) / 32768.0


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
