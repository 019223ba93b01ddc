"""Where somebody speaks in a long recording, or in a stream that has no end."""

import functools
import importlib.util
import itertools
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from m4ser.data.audio import RATE
from m4ser.utils.errors import UserError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

# Parts of a timeline: about the length of the utterances that corpora of emotional speech have.
PART, PAUSE, SHORTEST = 12.0, 0.5, 0.3  # longest part, silence that ends one, shortest speech that is one; seconds
MARGIN = 0.1  # seconds of silence that a part has before and after its speech, where there is as much
WINDOW, CONTEXT = 512, 64  # samples that the network judges at once; samples before them that it sees, too
SPEECH, SILENCE = 0.5, 0.35  # probabilities from which on, and below which, a window is speech and silence
BREATH = 0.098  # seconds of silence at which a part may be cut that would be longer than PART
BATCH = 1000  # windows
NETWORK = "silero_vad_v6.onnx"
_MARGIN, _SHORTEST, _PAUSE, _BREATH = (round(RATE * seconds) for seconds in (MARGIN, SHORTEST, PAUSE, BREATH))

Span = tuple[int, int]  # first sample and end


def speech_spans(samples: np.ndarray, longest: float = PART) -> list[Span]:
    """First sample and end of each stretch of speech in a 16 kHz recording, of at most about `longest` seconds."""
    activity = VoiceActivity(longest)
    return [*activity.push(samples), *activity.finish()]


class VoiceActivity:
    """Stretches of speech in a 16 kHz recording that comes in blocks; how it is cut into blocks changes nothing.

    The network is Silero VAD as faster-whisper carries it (1.3 MB, run by onnxruntime), the rules are those of
    ``faster_whisper.vad.get_speech_timestamps``, which needs the whole recording: speech begins with a window that is
    speech and ends where :data:`PAUSE` seconds of silence begin. A stretch that becomes longer than `longest` is cut at
    its last silence of :data:`BREATH`, or if it has none, where it is. Memory does not grow with the recording.
    """

    def __init__(self, longest: float = PART) -> None:
        self._network = _Network()
        self._most = round(RATE * longest) - WINDOW - 2 * _MARGIN
        self._rest = np.zeros(0, np.float32)  # samples that fill no window yet
        self._place = 0  # first sample of the next window
        self._start: int | None = None  # of the stretch that has not ended
        self._silence = 0  # where the silence began that may end it, 0 without one
        self._cut = 0  # where its last silence of BREATH began
        self._after_cut = 0  # where speech went on after that, or something smaller
        self._ended: deque[Span] = deque()  # stretches without margins, until those are certain
        self._last: int | None = None  # end of the last stretch before them

    @property
    def needed(self) -> int:
        """First sample that a stretch still to come can have."""
        places = [self._place, *(span[0] for span in self._ended), *([] if self._start is None else [self._start])]
        return max(0, min(places) - _MARGIN)

    def push(self, samples: np.ndarray) -> list[Span]:
        """Take the next samples (samples,) float32; returns the stretches that are known to have ended."""
        samples = np.concatenate([self._rest, samples])
        count = len(samples) // WINDOW
        self._rest = samples[count * WINDOW :].copy()
        spans: list[Span] = []
        for first in range(0, count, BATCH):
            windows = samples[first * WINDOW : min(count, first + BATCH) * WINDOW].reshape(-1, WINDOW)
            for probability in self._network(windows):
                self._judge(probability)
                spans += self._known()
        return spans

    def finish(self) -> list[Span]:
        """The recording has ended; returns the stretches that are left."""
        end = self._place + len(self._rest)
        window = np.zeros((1, WINDOW), np.float32)
        window[0, : len(self._rest)] = self._rest
        window[0, -CONTEXT:] = 0  # as faster-whisper does
        self._judge(self._network(window)[0])
        if self._start is not None and end - self._start > _SHORTEST:
            self._ended.append((self._start, end))
        self._start = None
        return self._known(end)

    def _judge(self, probability: np.floating) -> None:
        """One window more: follow the rules of faster-whisper, whose steps these are."""
        place, self._place = self._place, self._place + WINDOW
        speech = probability >= SPEECH
        if speech and self._silence:
            self._silence = 0
            if self._after_cut < self._cut:
                self._after_cut = place
        if self._start is None:
            if speech:
                self._start = place
            return
        if place - self._start > self._most:
            if not self._cut:
                self._end(place)
                return
            after, cut = self._after_cut, self._cut
            self._end(cut)
            if after >= cut:  # it goes on after the silence
                self._start = after
        if probability < SILENCE and self._start is not None:
            self._silence = self._silence or place
            if place - self._silence > _BREATH:
                self._cut = self._silence
            if place - self._silence >= _PAUSE:
                self._end(self._silence, _SHORTEST)

    def _end(self, place: int, shortest: float = -1) -> None:
        """The stretch ends; one that is not longer than `shortest` samples is none."""
        assert self._start is not None
        if place - self._start > shortest:
            self._ended.append((self._start, place))
        self._start, self._silence, self._cut, self._after_cut = None, 0, 0, 0

    def _known(self, length: int | None = None) -> list[Span]:
        """Stretches whose margins are certain: they share the silence up to the next one, if that is short.

        Args:
            length: of the recording, once it is known.
        """
        spans: list[Span] = []
        while self._ended:
            start, end = self._ended[0]
            follower = self._ended[1][0] if len(self._ended) > 1 else self._start
            if follower is None and length is None and self._place - end < 2 * _MARGIN:
                break  # one may follow at once
            unsure = len(self._ended) == 1 and (self._silence or self._place) - (follower or 0) <= _SHORTEST
            if unsure and length is None and follower is not None and follower - end < 2 * _MARGIN:
                break  # what follows may turn out to be too short to be one
            before = _MARGIN if self._last is None else min(_MARGIN, (start - self._last) // 2)
            after = _MARGIN if follower is None else min(_MARGIN, (follower - end) // 2)
            span = max(0, start - before), end + after if length is None else min(length, end + after)
            if span[1] > span[0]:
                spans.append(span)
            self._last = end
            self._ended.popleft()
        return spans


class _Network:
    """Silero VAD: windows of speech -> probabilities that somebody speaks in them."""

    def __init__(self) -> None:
        self._session = _session()
        self._state = np.zeros((2, 1, 1, 128), np.float32)
        self._context = np.zeros((1, CONTEXT), np.float32)

    def __call__(self, windows: np.ndarray) -> np.ndarray:
        """The next windows. Shape: (N, 512) -> (N,)."""
        context = np.concatenate([self._context, windows[:-1, -CONTEXT:]])
        inputs = {"input": np.concatenate([context, windows], 1), "h": self._state[0], "c": self._state[1]}
        probabilities, *state = self._session.run(None, inputs)
        self._state, self._context = np.stack(state), windows[-1:, -CONTEXT:].copy()
        return probabilities


@functools.cache
def _session() -> "InferenceSession":
    """The network, opened without importing faster-whisper, which takes longer than it runs for.

    Raises:
        UserError: faster-whisper, which carries it, is not installed or another version.
    """
    import onnxruntime

    package = importlib.util.find_spec("faster_whisper")
    path = Path(package.origin).parent / "assets" / NETWORK if package and package.origin else None
    if path is None or not path.is_file():
        raise UserError(
            f"long recordings and streams need {NETWORK} of faster-whisper 1.2; install faster-whisper>=1.2"
        )
    options = onnxruntime.SessionOptions()
    options.inter_op_num_threads = options.intra_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def equal_pieces(start: int, end: int, longest: int) -> list[Span]:
    """Cut a stretch of samples into as few pieces of about equal length as have at most `longest` samples each.

    >>> equal_pieces(10, 20, 4)
    [(10, 13), (13, 16), (16, 20)]
    """
    count = max(1, -(-(end - start) // longest))
    places = [start + (end - start) * number // count for number in range(count + 1)]
    return list(itertools.pairwise(places))
