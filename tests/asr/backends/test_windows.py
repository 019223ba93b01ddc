import numpy as np
import pytest

from m4ser.asr.backends.windows import is_silent, whisper_windows

RATE = 16000


@pytest.mark.parametrize(
    ("seconds", "setting", "expected"),
    [
        (0, 0, [10]),
        (3.7, 0, [15]),
        (5, 0, [15]),
        (5.1, 0, [20]),
        (25, 0, [30]),
        (30, 0, [30]),
        (31, 0, [30, 15]),
        (3.7, 30, [30]),
        (12, 10, [12]),
    ],
)
def test_lengths_of_windows(seconds, setting, expected):
    samples = np.arange(seconds * RATE, dtype=np.float32) + 1
    found = whisper_windows(samples, setting)
    assert [len(piece) / RATE for piece in found] == expected
    assert np.array_equal(np.concatenate(found)[: len(samples)], samples)
    assert sum(map(np.count_nonzero, found)) == len(samples)  # the rest is silence


def test_windows_hold_whole_frames():
    assert len(whisper_windows(np.ones(4 * RATE + 1, np.float32), 4)[0]) == 4 * RATE + 320


@pytest.mark.parametrize(
    ("no_speech", "logprob", "tokens", "expected"),
    [(0.7, -5.0, 4, True), (0.7, -3.9, 4, False), (0.6, -5.0, 4, False)],
)
def test_silence_is_sure_that_nobody_speaks_and_unsure_of_the_text(no_speech, logprob, tokens, expected):
    assert is_silent(no_speech, logprob, tokens) is expected
