"""What stages 1 to 3 make of a recording, for one recording at a time: speech features and words.

A trained run says in its ``run.json``, under ``pipeline``, what was done to the data it was trained with: see
:class:`~m4ser.models.description.Pipeline`. An empty ``speech`` there means that the model reads the waveform.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from m4ser.asr.alignment import to_line
from m4ser.asr.backends.base import Backend, Hypothesis
from m4ser.asr.normalise import normaliser
from m4ser.asr.texts import confidences_of_normalised
from m4ser.models.description import Pipeline
from m4ser.utils.errors import UserError


@dataclass
class Frontend:
    """From 16 kHz audio to what the preprocessor of the model takes (:class:`m4ser.models.arrays.SERPreprocessor`).

    Attributes:
        pipeline: see the module.
        features: 16 kHz samples (samples,) -> features (frames, size); None where the model needs none.
        recogniser: backend of :mod:`m4ser.asr.backends`, None where there is none.
    """

    pipeline: Pipeline
    features: Callable[[np.ndarray], np.ndarray] | None = None
    recogniser: Backend | None = None
    _normalise: Callable[[str], str] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        if self.pipeline["text"]:
            self._normalise = normaliser(self.pipeline["text"]["normaliser"])

    @property
    def uses_text(self) -> bool:
        """Whether the model needs words."""
        return self.pipeline["text"] is not None

    def speech(self, samples: np.ndarray) -> np.ndarray | None:
        """(samples,) -> features (frames, size), the samples themselves, or None without a speech branch."""
        speech = self.pipeline["speech"]
        if speech is None:
            return None
        if not speech:
            return samples
        if self.features is None:
            raise ValueError("the pipeline has features of a speech encoder, and there is none")
        return self.features(samples)

    def transcribe(self, batch: Sequence[np.ndarray]) -> list[Hypothesis]:
        """Recognised text, as written by the recogniser, and its confidence in it and in its words.

        Raises:
            UserError: there is no recogniser.
        """
        if self.recogniser is None:
            text, trained = self.pipeline["text"], ""
            if text:
                name = (text["asr"] and text["asr"]["name"]) or "a recogniser that is not known"
                name = "reference transcripts" if text["source"] == "ref" else name
                trained = f"; the model was trained with text of {name}"
            raise UserError(
                f"has no text, and no recogniser is chosen{trained}: give the text (--text, a line for each "
                "recording), or choose a recogniser (--asr)"
            )
        return self.recogniser.transcribe_batch(list(batch))

    def edits(self, text: str, confidences: Sequence[float] | None = None) -> str:
        """A line of stage 3's ``edits``, without targets, for a text and the recogniser's confidence in its words."""
        normalise = self._normalise or str
        words = normalise(text).split()
        if confidences is not None:
            confidences = confidences_of_normalised(text, confidences, words, normalise)
        return to_line(words, confidences=confidences)
