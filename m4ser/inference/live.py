"""A stream of samples that has no end: a segment as soon as it has ended.

The same samples give the same segments whether they come as a file or in blocks of any size, since both go through
:class:`~m4ser.inference.timeline.VoiceActivity` and the same resampler. Only a file that is short enough not to be
split (:data:`~m4ser.inference.recognizer.SPLIT`) is one segment there.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import soxr

from m4ser.data.audio import FASTEST, RATE, SLOWEST, Mixer, as_stage_1
from m4ser.inference.results import Segment
from m4ser.inference.timeline import WINDOW, Span, VoiceActivity
from m4ser.utils.errors import UserError

if TYPE_CHECKING:
    from m4ser.inference.recognizer import EmotionRecognizer


class LiveStream:
    """One stream. Blocks go in with :meth:`push`, :meth:`finish` ends it.

    >>> stream = LiveStream(recognizer, sampling_rate=48000)             # doctest: +SKIP
    >>> for segment in stream.push(block):                               # doctest: +SKIP
    ...     print(segment.start, segment.end, segment.label)

    Memory is bounded: what is not part of a segment that may still come is forgotten, and a segment has an end
    (:data:`~m4ser.inference.timeline.PART`). A block that is refused, or a segment that cannot be predicted, raises an
    error and is left out; the stream can go on after it.

    Args:
        recognizer: the model.
        sampling_rate: of the blocks, Hz.

    Raises:
        UserError: a sampling rate that cannot be right.
    """

    def __init__(self, recognizer: "EmotionRecognizer", sampling_rate: int = RATE) -> None:
        if not SLOWEST <= sampling_rate <= FASTEST:
            raise UserError(f"stream: a sampling rate of {sampling_rate} Hz cannot be right")
        self._recognizer = recognizer
        self._resample = None
        if sampling_rate != RATE:
            self._resample = soxr.ResampleStream(sampling_rate, RATE, 1, dtype="float32", quality="VHQ")
        self._activity, self._recent = VoiceActivity(), _Recent()
        self._waiting: list[np.ndarray] = []  # 16 kHz samples that nobody has looked at
        self._count = 0

    def push(self, block: np.ndarray) -> list[Segment]:
        """Take the next samples, of any number: (samples,) or (samples, channels), floats in -1..1 or integers.

        Returns:
            Segments that have ended in them, nearly always none or one.

        Raises:
            UserError: the samples cannot be used, or the model cannot predict the segment.
        """
        return list(self.segments(block))

    def finish(self) -> list[Segment]:
        """The stream has ended: the segments that are left.

        Raises:
            UserError: the model cannot predict one.
        """
        return list(self.last_segments())

    def segments(self, block: np.ndarray) -> Iterator[Segment]:
        """As :meth:`push`, each as soon as it is predicted; the block is only taken when the result is iterated."""
        mixer = Mixer("stream")
        samples = mixer.mix(np.asarray(block))
        mixer.check_peak()
        if self._resample is not None:
            samples = self._resample.resample_chunk(samples)
        self._waiting.append(samples)
        self._count += len(samples)
        if self._count >= WINDOW:  # of small blocks, many at once
            yield from self._predict(self._hear())

    def last_segments(self) -> Iterator[Segment]:
        """As :meth:`finish`, each as soon as it is predicted."""
        if self._resample is not None:
            self._waiting.append(self._resample.resample_chunk(np.zeros(0, np.float32), last=True))
        yield from self._predict([*self._hear(), *self._activity.finish()])

    def _hear(self) -> list[Span]:
        """Look for speech in the samples that wait, and keep them as long as they are needed; stretches that ended."""
        samples = as_stage_1(np.concatenate([np.zeros(0, np.float32), *self._waiting]))
        self._waiting, self._count = [], 0
        self._recent.add(samples)
        return self._activity.push(samples)

    def _predict(self, spans: list[Span]) -> Iterator[Segment]:
        stretches = [(start, self._recent.part(start, end)) for start, end in spans]
        self._recent.forget(self._activity.needed)
        for start, samples in stretches:
            yield from self._recognizer.segments(samples, start)


class _Recent:
    """The end of a stream, by the places of its samples in the whole."""

    def __init__(self) -> None:
        self._first = 0  # place of the first sample that is kept
        self._count = 0
        self._store = np.empty(RATE, np.float32)

    def add(self, samples: np.ndarray) -> None:
        needed = self._count + len(samples)
        if needed > len(self._store):
            store = np.empty(2 * needed, np.float32)
            store[: self._count] = self._store[: self._count]
            self._store = store
        self._store[self._count : needed] = samples
        self._count = needed

    def part(self, start: int, end: int) -> np.ndarray:
        return self._store[start - self._first : end - self._first].copy()

    def forget(self, place: int) -> None:
        """Samples before `place`, once they are half of what is kept: moving the others costs little then."""
        gone = place - self._first
        if gone > self._count // 2 and gone > RATE // 2:
            rest = self._store[gone : self._count].copy()
            self._store = np.empty(max(RATE, 2 * len(rest)), np.float32)
            self._store[: len(rest)] = rest
            self._first, self._count = place, len(rest)
