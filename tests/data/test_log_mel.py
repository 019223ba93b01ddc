"""Whisper's features without PyTorch are those of transformers and of the encoder that models are trained with."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from m4ser.data.log_mel import LogMel

WHISPER = {"feature_size": 80, "n_fft": 400, "hop_length": 160, "sampling_rate": 16000}
SIZES = [1, 2, 159, 160, 161, 200, 201, 319, 320, 321, 399, 400, 401, 640, 4799, 4800, 4801]
LONG = [163_839, 163_840, 163_841]  # around the frames that are computed at a time


def of_transformers(samples, fields=WHISPER):
    """In double precision, of whole frames of the encoder."""
    from transformers import WhisperFeatureExtractor

    step = 2 * fields["hop_length"]
    filled = np.pad(samples, (0, max(1, -(-len(samples) // step)) * step - len(samples)))
    return WhisperFeatureExtractor(**fields)._np_extract_fbank_features(filled[None].astype(float), "cpu")[0]


@pytest.mark.parametrize("size", [*SIZES, *LONG])
def test_every_length(size):
    samples = (np.random.default_rng(size).standard_normal(size) * 0.1).astype(np.float32)
    found = LogMel(WHISPER)(samples)
    assert found.dtype == np.float32
    assert found.shape == (80, 2 * -(-size // 320))
    assert np.abs(found - of_transformers(samples)).max() < 1e-5


@given(
    samples=arrays.arrays(np.float32, st.integers(1, 2000), elements=st.floats(-1, 1, width=32)),
    size=st.sampled_from([8, 80, 128]),
)
@settings(max_examples=60)
def test_any_samples(samples, size):
    fields = {**WHISPER, "feature_size": size}
    assert np.abs(LogMel(fields)(samples) - of_transformers(samples, fields)).max() < 1e-5


@pytest.mark.parametrize("value", [0.0, 1.0, 2**-15])
def test_silence_and_constants(value):
    samples = np.full(5000, value, dtype=np.float32)
    found = LogMel(WHISPER)(samples)
    assert np.isfinite(found).all()
    assert np.abs(found - of_transformers(samples)).max() < 1e-5
    if value == 0:
        assert (found == -1.5).all()  # (log10(1e-10) + 4) / 4


def test_what_the_frozen_encoder_is_given(tiny_whisper):
    """In single precision there; the lengths of a batch do not matter."""
    import torch

    from m4ser.models.encoders.backbones import load_backbone

    backbone = load_backbone(str(tiny_whisper))
    random = np.random.default_rng(0)
    clips = [(random.standard_normal(size) * 0.1).astype(np.float32) for size in (320, 3200, 6400)]
    batch = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(clip) for clip in clips], batch_first=True)
    expected = backbone.log_mel(batch, torch.tensor([len(clip) for clip in clips]))
    log_mel = LogMel(backbone.hf_features)
    for clip, row in zip(clips, expected, strict=True):
        found = log_mel(clip)
        assert np.abs(found - row[:, : found.shape[1]].numpy()).max() < 1e-4


@pytest.mark.parametrize("field", WHISPER)
@pytest.mark.parametrize("value", [None, 0, -1, 1.5, True, "80", 1 << 40])
def test_fields_that_cannot_be(field, value):
    with pytest.raises(ValueError, match=f"hf_features: {field}: must be a whole number"):
        LogMel({**WHISPER, field: value})
    with pytest.raises(ValueError, match=f"hf_features: {field}: must be"):
        LogMel({name: size for name, size in WHISPER.items() if name != field})


@pytest.mark.slow
def test_it_takes_little_of_a_recordings_time():
    samples = np.random.default_rng(0).standard_normal(16000 * 20).astype(np.float32)
    log_mel = LogMel(WHISPER)
    spent = []
    for _ in range(5):
        begin = time.process_time()
        log_mel(samples)
        spent.append(time.process_time() - begin)
    assert min(spent) / 20 < 0.005
