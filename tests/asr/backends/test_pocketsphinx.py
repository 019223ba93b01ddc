from pathlib import Path

import numpy as np
import pytest
import soundfile

from m4ser.asr.backends import build_backend

pytest.importorskip("pocketsphinx", reason="pocketsphinx has no wheel for this Python")
CLIPS = sorted(Path(__file__).parents[3].glob("egs/mini/corpus/**/*.opus"))


@pytest.fixture(scope="module")
def decoder():
    return build_backend("pocketsphinx")


@pytest.fixture(scope="module")
def clips():
    """Speech of the mini corpus where it is, else noise; a loud one, a quiet one, very short ones."""
    if CLIPS:
        audio = [soundfile.read(path, dtype="float32")[0][:20000] for path in (CLIPS[0], CLIPS[len(CLIPS) // 2])]
    else:
        audio = [np.random.default_rng(i).normal(0, 0.1, 20000).astype(np.float32) for i in range(2)]
    return [audio[0], audio[1] * 0.05, audio[1], audio[0][:800], np.zeros(0, np.float32), np.zeros(8000, np.float32)]


@pytest.mark.slow
def test_order_does_not_matter(decoder, clips):
    forth = decoder.transcribe_batch(clips)
    assert decoder.transcribe_batch(clips[::-1])[::-1] == forth
    assert all(0 <= hypothesis.confidence <= 1 for hypothesis in forth)
    if CLIPS:
        assert forth[0].text and forth[0].confidence > 0


def test_nothing_in_nothing(decoder):
    assert decoder.transcribe(np.zeros(0, np.float32)).text == ""
