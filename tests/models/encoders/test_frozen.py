import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import (
    BertConfig,
    HubertConfig,
    HubertModel,
    Wav2Vec2FeatureExtractor,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperModel,
)

from m4ser.models.encoders.frozen import average, frozen_features, load_frozen
from m4ser.utils.errors import UserError


def noise(samples, seed=0):
    return np.random.default_rng(seed).standard_normal(samples).astype(np.float32) * 0.1


@pytest.fixture(scope="module")
def whisper_folder(tmp_path_factory):
    """A random Whisper of one second (50 positions)."""
    folder = tmp_path_factory.mktemp("whisper")
    torch.manual_seed(0)
    config = WhisperConfig(
        vocab_size=20, num_mel_bins=8, d_model=16, encoder_layers=2, encoder_attention_heads=2, encoder_ffn_dim=32,
        decoder_layers=1, decoder_attention_heads=2, decoder_ffn_dim=32, max_source_positions=50,
        pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=1,
        suppress_tokens=None, begin_suppress_tokens=None,
    )  # fmt: skip
    WhisperModel(config).save_pretrained(folder)
    WhisperFeatureExtractor(feature_size=8).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def hubert_folder(tmp_path_factory):
    """A random HuBERT with the usual 20 ms frames."""
    folder = tmp_path_factory.mktemp("hubert")
    torch.manual_seed(0)
    config = HubertConfig(
        hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=32, conv_dim=(8,) * 7,
        num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=2, mask_time_prob=0.5,
    )  # fmt: skip
    HubertModel(config).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)
    return folder


def test_whisper_equals_hugging_face_on_a_full_length_recording(whisper_folder):
    encoder = load_frozen(str(whisper_folder))
    assert (encoder.num_layers, encoder.dim, encoder.frame_rate) == (3, 16, 50.0)
    samples = noise(16000)
    found = encoder.layers(samples)
    assert found.shape == (3, 50, 16)
    assert found.dtype == np.float32
    mel = WhisperFeatureExtractor.from_pretrained(whisper_folder)(
        samples, sampling_rate=16000, padding="do_not_pad", return_tensors="pt"
    ).input_features
    model = WhisperModel.from_pretrained(whisper_folder).get_encoder().eval()
    with torch.no_grad():
        expected = model(mel, output_hidden_states=True)
    np.testing.assert_allclose(found[-1], expected.last_hidden_state[0], atol=1e-5)
    np.testing.assert_allclose(found[1], expected.hidden_states[1][0], atol=1e-5)


@pytest.mark.parametrize(("samples", "frames"), [(1, 1), (320, 1), (321, 2), (5000, 16), (15999, 50)])
def test_whisper_frames(whisper_folder, samples, frames):
    found = load_frozen(str(whisper_folder)).layers(noise(samples))
    assert found.shape == (3, frames, 16)
    assert np.isfinite(found).all()


@pytest.mark.parametrize("samples", [16001, 40000, 48000 + 17])
def test_long_recordings_are_cut_into_equal_pieces(whisper_folder, samples):
    encoder = load_frozen(str(whisper_folder))
    found = encoder.layers(noise(samples))
    assert found.shape[1] == -(-samples // 320)
    first = encoder.backbone.cuts(samples)[0]
    np.testing.assert_array_equal(found[:, : first // 320], encoder.layers(noise(samples)[:first]))


def test_hubert_equals_hugging_face(hubert_folder):
    encoder = load_frozen(str(hubert_folder))
    assert (encoder.num_layers, encoder.dim, encoder.frame_rate) == (4, 16, 50.0)
    samples = noise(8000)
    found = encoder.layers(samples * 0.3 + 0.1)
    normal = (samples - samples.mean()) / samples.std()  # level and offset do not matter
    model = HubertModel.from_pretrained(hubert_folder).eval()
    with torch.no_grad():
        expected = model(torch.from_numpy(normal)[None], output_hidden_states=True).hidden_states
    assert found.shape == (4, 24, 16)
    np.testing.assert_allclose(found, torch.cat(expected), atol=2e-3)


def test_hubert_takes_recordings_shorter_than_one_frame(hubert_folder):
    assert load_frozen(str(hubert_folder)).layers(noise(10)).shape == (4, 1, 16)


def test_features_do_not_depend_on_what_came_before(hubert_folder, whisper_folder):
    for folder in (hubert_folder, whisper_folder):
        encoder = load_frozen(str(folder))
        first = encoder.layers(noise(5000))
        encoder.layers(noise(9000, seed=1))
        np.testing.assert_array_equal(encoder.layers(noise(5000)), first)


def test_another_device(whisper_folder, hubert_folder):
    """PyTorch's meta device holds no numbers, but refuses, as a GPU does, what lies elsewhere."""
    for folder in (whisper_folder, hubert_folder):
        encoder = load_frozen(str(folder)).to("meta")
        with pytest.raises(NotImplementedError, match="meta tensor"):  # not before the result is brought back
            encoder.layers(noise(8000))


def test_wrong_models(tmp_path):
    BertConfig().save_pretrained(tmp_path / "bert")
    with pytest.raises(UserError, match=r"model type 'bert' is no speech encoder"):
        load_frozen(str(tmp_path / "bert"))
    (tmp_path / "nothing").mkdir()
    with pytest.raises(UserError, match=r"nothing: cannot be loaded") as error:
        load_frozen(str(tmp_path / "nothing"))
    assert "\n" not in str(error.value)
    HubertConfig().save_pretrained(tmp_path / "no weights")
    with pytest.raises(UserError, match=r"no weights: cannot be loaded"):
        load_frozen(str(tmp_path / "no weights"))


@given(st.integers(1, 40), st.integers(1, 12))
def test_pooling_averages_what_each_group_has(frames, size):
    values = np.random.default_rng(frames).standard_normal((frames, 3)).astype(np.float32)
    pooled = average(values, size)
    expected = [values[start : start + size].mean(axis=0) for start in range(0, frames, size)]
    assert pooled.dtype == np.float32
    np.testing.assert_allclose(pooled, expected, atol=1e-5)


def test_chosen_layers_lie_side_by_side_and_are_averaged():
    class Encoder:
        def layers(self, samples):
            return np.arange(3 * 4 * 2, dtype=np.float32).reshape(3, 4, 2)  # layers, frames, size

    found = frozen_features(Encoder(), np.zeros(4), [0, 2], 3)
    np.testing.assert_array_equal(found, [[2, 3, 18, 19], [6, 7, 22, 23]])
