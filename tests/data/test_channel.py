"""Altered recordings: the same copy is always the same, and each alteration does what it is called."""

import numpy as np
import pytest

from m4ser.data import channel
from m4ser.data.channel import altered

RATE = 16000


@pytest.fixture
def voice():
    """A second of tone between half a second of silence on either side."""
    time = np.arange(RATE) / RATE
    tone = 0.3 * np.sin(2 * np.pi * 220 * time) * (1 + 0.5 * np.sin(2 * np.pi * 4 * time))
    return np.concatenate([np.zeros(RATE // 2), tone, np.zeros(RATE // 2)]).astype(np.float32)


def test_a_copy_is_always_the_same(voice):
    first = altered(voice, 1, "a")
    assert np.array_equal(altered(voice, 1, "a"), first)
    for other in (altered(voice, 2, "a"), altered(voice, 1, "b")):
        assert other.shape != first.shape or not np.array_equal(other, first)


def test_peak_and_length_stay_within_bounds(voice):
    for copy in range(1, 40):
        sound = altered(voice, copy, "a")
        assert sound.dtype == np.float32 and np.isfinite(sound).all()
        assert np.abs(sound).max() == pytest.approx(np.abs(voice).max(), rel=0.05)
        assert 0.98 * RATE <= len(sound) <= (1 + 2 * channel.PAUSE + 0.05) * RATE


def test_very_short_and_very_soft_recordings():
    for samples in (np.full(160, 0.1, np.float32), np.full(4000, 1e-4, np.float32)):
        for copy in range(1, 20):
            sound = altered(samples, copy, "x")
            assert len(sound) > 0 and np.isfinite(sound).all() and np.abs(sound).max() > 0


def test_pauses_are_cut_and_lengthened(voice):
    lengths = [len(channel._between_pauses(voice.astype(float), np.random.default_rng(k))) for k in range(30)]
    assert min(lengths) < len(voice) < max(lengths)


def test_a_flat_microphone_changes_nothing(voice):
    assert np.allclose(channel._filtered(voice.astype(float), np.ones_like), voice, atol=1e-9)


def test_noise_has_its_level(voice):
    sound = np.random.default_rng(1).normal(size=RATE)
    for seed in range(10):
        noise = channel._noise(sound, np.random.default_rng(seed))
        snr = 10 * np.log10((sound**2).mean() / (noise**2).mean())
        assert channel.SNR[0] <= snr <= channel.SNR[1]


def test_a_room_sounds_on(voice):
    click = np.zeros(RATE)
    click[0] = 1.0
    late = channel._in_room(click, np.random.default_rng(3))
    assert late[0] == pytest.approx(1.0) and (late[1:800] ** 2).sum() > 100 * (late[8000:8800] ** 2).sum()


def test_companding_leaves_eight_bits():
    sound = np.linspace(-1, 1, 10001)
    coded = channel._companded(sound)
    assert len(np.unique(coded)) == 255
    assert np.abs(coded - sound).max() < 0.025 and np.abs(coded - sound)[np.abs(sound) < 0.01].max() < 0.0005
