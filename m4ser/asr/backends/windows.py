"""Recognisers that decode audio in windows of limited length, windows of equal length together.

Whisper was trained on windows padded with silence to 30 s, so most of the time on a clip of 3 s goes into silence.
Here a window is as long as its audio and 10 s, rounded up to whole 5 s, 30 s at most (setting `window=0`). Shorter
margins make the model loop. WER of Whisper tiny.en on RAVDESS, clips of 3.7 s, and processor time for all of them:

================= ===== ====== ====== ====== ======
window              8 s   10 s   15 s   20 s   30 s
160 clips, WER %     42    8.7    2.9    2.8    2.9
1440 clips, WER %                 1.7    1.6    1.7
1440 clips, CPU s                 137    180    471
================= ===== ====== ====== ====== ======

`window=30` gives Whisper's own.
"""

import math
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np

from m4ser.asr.backends.base import Backend, Hypothesis
from m4ser.data.audio import RATE
from m4ser.utils.errors import UserError

LONGEST = 30  # seconds, length of Whisper's window
MARGIN, STEP = 10, 5  # seconds, see above
MOST = 1024  # beams, utterances at once, threads
# Whisper's rule for silence: no text if it is this sure that nobody speaks and this unsure of the text.
NO_SPEECH, NO_SPEECH_LOGPROB = 0.6, -1.0


class Heard(NamedTuple):
    """What is recognised in one window.

    `logprob` is the log probability of the text, `tokens` the number of its tokens (with the one that ends it) or
    frames, `words` the confidence in each of its words where the recogniser gives one.
    """

    text: str
    logprob: float
    tokens: int
    words: tuple[float, ...] | None = None


class WindowedBackend(Backend):
    """Cuts utterances into windows and joins what is recognised in them.

    Confidence is exp(mean log probability of the tokens).
    """

    @abstractmethod
    def windows(self, samples: np.ndarray) -> list[np.ndarray]:
        """Cut (samples,) into the windows to decode."""

    @abstractmethod
    def decode_windows(self, audio: Sequence[np.ndarray]) -> Iterable[Heard]:
        """What is recognised in each of up to `batch_size` windows of one length."""

    def decode(self, batch: Sequence[np.ndarray], utts: Sequence[str]) -> list[Hypothesis]:
        """Decode the windows of all utterances."""
        pieces = [(index, piece) for index, samples in enumerate(batch) for piece in self.windows(samples)]
        by_length: dict[int, list[int]] = {}
        for number, (_, piece) in enumerate(pieces):
            by_length.setdefault(len(piece), []).append(number)
        by_number: dict[int, Heard] = {}
        for numbers in by_length.values():
            for first in range(0, len(numbers), self.batch_size):
                some = numbers[first : first + self.batch_size]
                by_number.update(zip(some, self.decode_windows([pieces[number][1] for number in some]), strict=True))
        of_utterance: list[list[Heard]] = [[] for _ in batch]
        for number, (index, _) in enumerate(pieces):
            of_utterance[index].append(by_number[number])
        return [_joined(windows) for windows in of_utterance]


def _joined(windows: Sequence[Heard]) -> Hypothesis:
    """One utterance from its windows."""
    count = sum(window.tokens for window in windows)
    confidence = math.exp(sum(window.logprob for window in windows) / count) if count else 0.0
    words = [window.words for window in windows if window.words is not None]
    known = len(words) == len(windows)
    return Hypothesis(
        " ".join(window.text for window in windows), confidence, words=tuple(chain(*words)) if known else None
    )


def whisper_windows(samples: np.ndarray, seconds: int = 0) -> list[np.ndarray]:
    """Cut (samples,) into windows of 30 s and pad each with zeros as the module says, or to `seconds`."""
    pieces = [samples[start : start + LONGEST * RATE] for start in range(0, max(len(samples), 1), LONGEST * RATE)]
    padded = []
    for piece in pieces:
        if seconds:
            length = max(len(piece), seconds * RATE)
        else:
            length = STEP * RATE * math.ceil((len(piece) / RATE + MARGIN) / STEP)
        length = min(length, LONGEST * RATE)
        length += -length % 320  # two feature frames of 10 ms make one frame of the encoder
        padded.append(np.pad(piece.astype(np.float32, copy=False), (0, length - len(piece))))
    return padded


def is_silent(no_speech: float, logprob: float, tokens: int) -> bool:
    """Whisper's rule for silence: probability of no speech, log probability of the text, its tokens with the end."""
    return no_speech > NO_SPEECH and logprob / tokens < NO_SPEECH_LOGPROB


def check_whisper_settings(window: int, **at_least_one: int) -> None:
    """Raises a UserError for settings out of range."""
    if not 0 <= window <= LONGEST:
        raise UserError(f"--asr-conf window={window}: must be 0 (chosen by length) or 1 to {LONGEST} seconds")
    for name, value in at_least_one.items():
        if not 1 <= value <= MOST:
            raise UserError(f"--asr-conf {name}={value}: must be 1 or more, and no more than {MOST}")
