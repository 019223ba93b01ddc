"""CMU PocketSphinx with the English model that its package carries: small, and wrong often enough to study errors.

Every clip starts from the decoder's initial state: its features (mean of the cepstra, noise estimate) adapt to what
was said before, so that otherwise the results would depend on the order. On RAVDESS every other word is wrong
(egs/ravdess/README.md).
"""

from collections.abc import Sequence

import numpy as np
from pocketsphinx import Decoder

from m4ser.asr.backends.base import Backend, Hypothesis


class PocketSphinx(Backend):
    """The package's own US English acoustic model, dictionary and trigram language model.

    Confidence is the posterior probability of the words in the lattice, its root of the number of words, so that it
    does not fall with the length.

    Args:
        language_weight: of the language model against the acoustic one.
    """

    def __init__(self, language_weight: float = 6.5) -> None:
        self.decoder = Decoder(loglevel="FATAL", lw=language_weight)

    def decode(self, batch: Sequence[np.ndarray], utts: Sequence[str]) -> list[Hypothesis]:
        """Decode one clip after the other."""
        return [self._decode(samples) for samples in batch]

    def _decode(self, samples: np.ndarray) -> Hypothesis:
        content = np.clip(np.rint(samples * 32768.0), -32768, 32767).astype(np.int16).tobytes()
        self.decoder.reinit_feat()
        self.decoder.start_utt()
        if content:
            self.decoder.process_raw(content, full_utt=True)
        self.decoder.end_utt()
        hypothesis = self.decoder.hyp()
        if hypothesis is None or not hypothesis.hypstr:
            return Hypothesis("", 0.0)
        posterior = min(1.0, self.decoder.get_prob())
        return Hypothesis(hypothesis.hypstr, posterior ** (1 / len(hypothesis.hypstr.split())))
