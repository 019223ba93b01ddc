"""Where somebody speaks."""

import numpy as np

from m4ser.inference.timeline import speech_spans


def test_speech_is_found_between_silence():
    """Bursts like syllables are speech to the detector or not, silence and a steady hiss are not."""
    assert speech_spans(np.zeros(16000, np.float32)) == []
    assert speech_spans((np.random.default_rng(0).standard_normal(32000) * 1e-3).astype(np.float32)) == []
