"""What every recogniser offers."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from m4ser.asr.hallucination import possible_words
from m4ser.data.audio import RATE


@dataclass(frozen=True)
class Hypothesis:
    """Recognised text (may be empty) and the recogniser's confidence in it, 0 to 1.

    `untreated` is the text as it was if the rules against made-up text (m4ser.asr.hallucination) changed it, else None.
    `words` has the confidence in each word of the text, in its order; None of a recogniser that does not say.
    """

    text: str
    confidence: float
    untreated: str | None = None
    words: tuple[float, ...] | None = None


class Backend(ABC):
    """A recogniser. Its results for an utterance depend on that utterance and the settings, on nothing decoded before.

    A backend's settings are the keyword arguments of its constructor; their defaults say of which type. Those with an
    argument `model` take the name of a model, those with `references` the transcripts (see build_backend).
    """

    batch_size = 1  # utterances that are decoded together
    needs_audio = True

    @abstractmethod
    def decode(self, batch: Sequence[np.ndarray], utts: Sequence[str]) -> list[Hypothesis]:
        """Recognise 16 kHz audio, each (samples,) float32 in -1..1; `utts` are the ids, for backends that need them."""

    def transcribe(self, samples: np.ndarray, utt: str = "") -> Hypothesis:
        """Recognise one utterance: (samples,) float32 at 16 kHz; what cannot have been said is cut."""
        return self.transcribe_batch([samples], [utt])[0]

    def transcribe_batch(self, batch: Sequence[np.ndarray], utts: Sequence[str] | None = None) -> list[Hypothesis]:
        """Recognise several utterances; what cannot have been said is cut (m4ser.asr.hallucination).

        Backends that need no audio may be given none.
        """
        hypotheses = self.decode(batch, utts if utts is not None else [""] * len(batch))
        if not self.needs_audio:  # nothing is made up: people do say "ha ha ha ha ha ha ha ha ha"
            return [replace(hypothesis, text=" ".join(hypothesis.text.split())) for hypothesis in hypotheses]
        return [treated(hypothesis, len(samples) / RATE) for hypothesis, samples in zip(hypotheses, batch, strict=True)]


def treated(hypothesis: Hypothesis, seconds: float) -> Hypothesis:
    """The hypothesis on one line, without loops and with no more words than can be said in that time."""
    words = hypothesis.text.split()
    kept = possible_words(words, seconds)
    if len(kept) == len(words):
        return replace(hypothesis, text=" ".join(words), untreated=None)
    confidences = None if hypothesis.words is None else tuple(hypothesis.words[place] for place in kept)
    text = " ".join(words[place] for place in kept)
    return Hypothesis(text, hypothesis.confidence, " ".join(words), confidences)
