"""Where somebody speaks in a long recording."""

import itertools

import numpy as np

from m4ser.data.audio import RATE

# Parts of a timeline: about the length of the utterances that corpora of emotional speech have.
PART, PAUSE, SHORTEST = 12.0, 0.5, 0.3  # longest part, silence that ends one, shortest speech that is one; seconds


def speech_spans(samples: np.ndarray, longest: float = PART) -> list[tuple[int, int]]:
    """First sample and end of each stretch of speech in a 16 kHz recording, of at most about `longest` seconds.

    Silero VAD as faster-whisper carries it: a network of 1.3 MB, run by onnxruntime.
    """
    from faster_whisper.vad import VadOptions, get_speech_timestamps

    options = VadOptions(
        max_speech_duration_s=longest,
        min_silence_duration_ms=int(1000 * PAUSE),
        min_speech_duration_ms=int(1000 * SHORTEST),
        speech_pad_ms=100,
    )
    spans = get_speech_timestamps(samples, options, sampling_rate=RATE)
    return [(span["start"], span["end"]) for span in spans if span["end"] > span["start"]]


def equal_pieces(start: int, end: int, longest: int) -> list[tuple[int, int]]:
    """Cut a stretch of samples into as few pieces of about equal length as have at most `longest` samples each.

    >>> equal_pieces(10, 20, 4)
    [(10, 13), (13, 16), (16, 20)]
    """
    count = max(1, -(-(end - start) // longest))
    places = [start + (end - start) * number // count for number in range(count + 1)]
    return list(itertools.pairwise(places))
