"""No recogniser at all: the reference transcript, with errors at a chosen rate for controlled studies.

With `wer` above 0 the normalised transcript gets made-up errors. Every word is hit with one probability, and then
substituted (65 %), deleted (20 %) or followed by an additional word (15 %). New words are drawn from the words of all
transcripts, by frequency; one that happens to be the old one makes the substitution a deletion. What happens to an
utterance depends on its id, the seed, and the set of all transcripts: not on how the work is split into jobs. As
neighbouring errors can fall together (a deletion next to an insertion is one substitution), the probability is searched
that gives the wanted rate on all transcripts.
"""

import random
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from m4ser.asr.backends.base import Backend, Hypothesis
from m4ser.asr.normalise import normaliser as get_normaliser
from m4ser.asr.wer import word_errors
from m4ser.utils.errors import UserError

SUBSTITUTIONS, DELETIONS = 0.65, 0.2
HIGHEST = 0.8
STEPS = 12  # halvings in the search: to 1/4096


class Reference(Backend):
    """Answers with the reference transcript.

    Args:
        references: transcripts of all utterances.
        wer: wanted word error rate, 0 to 0.8, a fraction of one. With 0 the transcript is given as it is written.
        seed: of the errors.
        normaliser: applied before the errors are made.
    """

    needs_audio = False

    def __init__(
        self, references: Mapping[str, str] | None = None, wer: float = 0.0, seed: int = 1, normaliser: str = "english"
    ) -> None:
        if not 0 <= wer <= HIGHEST:
            raise UserError(f"--asr-conf wer={wer}: must be 0 to {HIGHEST}, a fraction of one")
        if not any((references or {}).values()):
            raise UserError("--asr reference: there are no reference transcripts (text); choose another recogniser")
        self.texts = dict(references or {})
        self.rate, self.seed = 0.0, seed
        if wer > 0:
            normalise = get_normaliser(normaliser)
            self.texts = {utt: normalise(text) for utt, text in self.texts.items()}
            self.vocabulary = sorted(word for text in self.texts.values() for word in text.split())
            self.rate = self._search(wer)

    def decode(self, batch: Sequence[np.ndarray], utts: Sequence[str]) -> list[Hypothesis]:
        """Ignores the audio.

        Raises:
            UserError: an utterance has no transcript.
        """
        missing = [utt for utt in utts if utt not in self.texts]
        if missing:
            raise UserError(f"--asr reference: {missing[0]!r} has no reference transcript; add it to text")
        return [Hypothesis(self._with_errors(utt, self.rate), 1.0) for utt in utts]

    def _with_errors(self, utt: str, rate: float) -> str:
        if rate == 0:
            return self.texts[utt]
        # Seeded by a string, Python's generator is the same everywhere. Draws do not depend on the rate, so that a
        # higher rate adds errors to those of a lower one.
        rng = random.Random(f"{self.seed} {utt}")
        return " ".join(_corrupt(self.texts[utt].split(), rate, self.vocabulary, rng))

    def _search(self, wer: float) -> float:
        low, high = 0.0, 1.0
        for _ in range(STEPS):
            middle = (low + high) / 2
            hyps = [self._with_errors(utt, middle) for utt in self.texts]
            if (word_errors(self.texts.values(), hyps)["wer"] or 0.0) < wer:
                low = middle
            else:
                high = middle
        return high


def _corrupt(words: Sequence[str], rate: float, vocabulary: Sequence[str], rng: random.Random) -> Iterable[str]:
    for word in words:
        hit, draw, new = rng.random() < rate, rng.random(), vocabulary[int(rng.random() * len(vocabulary))]
        if not hit:
            yield word
        elif draw < SUBSTITUTIONS:
            if new != word:
                yield new
        elif draw >= SUBSTITUTIONS + DELETIONS:
            yield word
            yield new
