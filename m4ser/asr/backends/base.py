"""What every recogniser offers."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from m4ser.asr.hallucination import cut_loops

RATE = 16000


@dataclass(frozen=True)
class Hypothesis:
    """Recognised text (may be empty) and the recogniser's confidence in it, 0 to 1.

    `untreated` is the text as it was if the rule against loops (m4ser.asr.hallucination) changed it, else None.
    """

    text: str
    confidence: float
    untreated: str | None = None


class Backend(ABC):
    """A recogniser. Its results for an utterance depend on that utterance and the settings, on nothing decoded before.

    A backend's settings are the keyword arguments of its constructor; their defaults tell the type. Those with an
    argument `model` take the name of a model, those with `references` the transcripts (see build_backend).
    """

    batch_size = 1  # utterances that are decoded together
    needs_audio = True

    @abstractmethod
    def decode(self, batch: Sequence[np.ndarray], utts: Sequence[str]) -> list[Hypothesis]:
        """Recognise 16 kHz audio, each (samples,) float32 in -1..1; `utts` are the ids, for backends that need them."""

    def transcribe(self, samples: np.ndarray, utt: str = "") -> Hypothesis:
        """Recognise one utterance: (samples,) float32 at 16 kHz; loops are cut."""
        return self.transcribe_batch([samples], [utt])[0]

    def transcribe_batch(self, batch: Sequence[np.ndarray], utts: Sequence[str] | None = None) -> list[Hypothesis]:
        """Recognise several utterances; loops are cut."""
        hypotheses = self.decode(batch, utts if utts is not None else [""] * len(batch))
        return [treated(hypothesis) for hypothesis in hypotheses]


def treated(hypothesis: Hypothesis) -> Hypothesis:
    """The hypothesis on one line and without loops."""
    text = " ".join(hypothesis.text.split())
    short, looped = cut_loops(text)
    return Hypothesis(short, hypothesis.confidence, text if looped else None)
