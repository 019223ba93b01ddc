import numpy as np
import pytest

from m4ser.pretrained import packaged_dir
from m4ser.pretrained.convert_whisper import convert, read_ct2, to_huggingface
from m4ser.utils.errors import UserError

RATE = 16000


def test_reads_values_scalars_and_aliases(tmp_path, write_ct2):
    weight = np.arange(6, dtype=np.float16).reshape(2, 3)
    heads = np.array(6, dtype=np.int16)
    path = write_ct2(tmp_path / "model.bin", {"w": weight, "heads": heads}, [("tied", "w")], kinds={"heads": 2})
    read = read_ct2(path)
    assert read["w"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert int(read["heads"]) == 6
    assert read["tied"] is read["w"]


@pytest.mark.parametrize("keep", [0, 3, 20, 60, -3])
def test_a_truncated_file_is_named(tmp_path, keep, write_ct2):
    path = write_ct2(tmp_path / "model.bin", {"w": np.ones((8, 8), np.float16)})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match=r"model\.bin: damaged"):
        read_ct2(path)


def test_other_models_and_quantised_ones_are_refused(tmp_path, write_ct2):
    weight = np.ones((2, 2), np.float16)
    with pytest.raises(UserError, match="holds a TransformerSpec, not a Whisper model"):
        read_ct2(write_ct2(tmp_path / "a.bin", {"w": weight}, spec="TransformerSpec"))
    with pytest.raises(UserError, match="quantised"):
        read_ct2(write_ct2(tmp_path / "b.bin", {"w": weight.astype(np.int8)}, kinds={"w": 1}))


def test_stacked_projections_are_taken_apart_and_the_key_bias_dropped():
    def fill(*shape):
        return np.zeros(shape, np.float16)

    stacked = np.repeat(np.array([1, 2, 3], np.float16), 2)  # q, k, v of width 2
    variables = {f"{side}/position_encodings/encodings": fill(4, 2) for side in ("encoder", "decoder")}
    variables["decoder/embeddings/weight"] = fill(5, 2)
    for name in ("encoder/layer_norm", "decoder/layer_norm"):
        variables |= {f"{name}/gamma": fill(2), f"{name}/beta": fill(2)}
    for name in ("conv1", "conv2"):
        variables |= {f"encoder/{name}/weight": fill(2, 2, 3), f"encoder/{name}/bias": fill(2)}
    layer = "encoder/layer_0"
    for name in ("self_attention/layer_norm", "ffn/layer_norm"):
        variables |= {f"{layer}/{name}/gamma": fill(2), f"{layer}/{name}/beta": fill(2)}
    for name in ("self_attention/linear_1", "ffn/linear_0", "ffn/linear_1"):
        variables |= {f"{layer}/{name}/weight": fill(2, 2), f"{layer}/{name}/bias": fill(2)}
    variables[f"{layer}/self_attention/linear_0/weight"] = np.stack([stacked, stacked], axis=1)
    variables[f"{layer}/self_attention/linear_0/bias"] = stacked

    state = to_huggingface(variables)
    attention = "model.encoder.layers.0.self_attn"
    for value, name in enumerate(("q_proj", "k_proj", "v_proj"), start=1):
        assert state[f"{attention}.{name}.weight"].tolist() == [[value, value], [value, value]]
    assert state[f"{attention}.v_proj.bias"].tolist() == [3, 3]
    assert f"{attention}.k_proj.bias" not in state
    assert all(value.dtype == np.float32 for value in state.values())


@pytest.mark.parametrize("multilingual", [False, True])
def test_numbers_and_languages_of_a_tiny_model(tmp_path, tiny_whisper, multilingual, monkeypatch):
    from transformers import AutoTokenizer, WhisperForConditionalGeneration

    from m4ser.pretrained import convert_whisper

    start = 20 + multilingual
    monkeypatch.setattr(convert_whisper, "ENGLISH_START", 21)  # 20 words and the end of the text before it
    state = tiny_whisper(tmp_path / "ct2", start)
    convert(tmp_path / "ct2", tmp_path / "hf")
    model = WhisperForConditionalGeneration.from_pretrained(tmp_path / "hf")
    assert {name: value.tolist() for name, value in model.state_dict().items()} == {
        name: value.astype(np.float32).tolist() for name, value in state.items()
    }
    settings = model.generation_config
    assert settings.decoder_start_token_id == start + 1 and settings.no_timestamps_token_id == start + 8
    assert settings.is_multilingual is multilingual
    if multilingual:
        assert settings.lang_to_id == {"<|en|>": start + 2, "<|de|>": start + 3}
        assert settings.task_to_id == {"transcribe": start + 5, "translate": start + 4}
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "hf")
    assert tokenizer.convert_tokens_to_ids(["<|de|>", "<|0.00|>"]) == [start + 3, start + 9]


def test_another_vocabulary_is_refused(tmp_path, tiny_whisper):
    tiny_whisper(tmp_path / "ct2", 20)
    path = tmp_path / "ct2" / "vocabulary.txt"
    path.write_text(path.read_text().replace("<|startofprev|>", "<|other|>"))
    with pytest.raises(UserError, match=r"vocabulary\.txt: has no <\|startofprev\|>; this is not the vocabulary of"):
        convert(tmp_path / "ct2", tmp_path / "hf")
    assert not (tmp_path / "hf").exists()


def test_missing_files_are_named(tmp_path):
    with pytest.raises(UserError, match=r"model\.bin: missing"):
        convert(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def packaged():
    return packaged_dir("whisper-tiny.en-ct2")


@pytest.fixture(scope="module")
def converted(packaged, tmp_path_factory):
    folder = tmp_path_factory.mktemp("converted") / "whisper-tiny.en"
    convert(packaged, folder)
    return folder


@pytest.fixture(scope="module")
def mel(converted):
    """Log-mel (1, 80, 3000) of two seconds of noise and gliding tone, padded with silence as Whisper expects."""
    from transformers import AutoFeatureExtractor

    time = np.arange(2 * RATE) / RATE
    tone = np.sin(2 * np.pi * (150 + 200 * time) * time) * np.sin(2 * np.pi * 3 * time)
    wave = 0.3 * tone + 0.02 * np.random.default_rng(0).standard_normal(len(time))
    extractor = AutoFeatureExtractor.from_pretrained(converted)
    return extractor(wave, sampling_rate=RATE, return_tensors="np").input_features.astype(np.float32)


@pytest.mark.slow
def test_agrees_with_ctranslate2(packaged, converted, mel):
    import ctranslate2
    import torch
    from transformers import WhisperForConditionalGeneration

    model, report = WhisperForConditionalGeneration.from_pretrained(converted, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"]
    assert model.dtype == torch.float32
    original = ctranslate2.models.Whisper(str(packaged), device="cpu", compute_type="float32", intra_threads=1)
    features = ctranslate2.StorageView.from_array(np.ascontiguousarray(mel))

    with torch.inference_mode():
        ours = model.model.encoder(torch.from_numpy(mel)).last_hidden_state.numpy()
        words = model.generate(torch.from_numpy(mel), max_new_tokens=8, num_beams=1)[0].tolist()
    theirs = np.array(original.encode(features))
    assert ours.shape == theirs.shape == (1, 1500, 384)
    assert np.abs(ours - theirs).max() < 1e-3
    # The decoder: both search greedily and end in the same tokens (Hugging Face may return the prompt too).
    prompt = [50257, 50362]
    expected = original.generate(features, [prompt], beam_size=1, max_length=10)[0].sequences_ids[0]
    words = [word for word in words if word not in (*prompt, 50256)]
    assert words == expected[: len(words)] and len(words) >= min(len(expected), 8)


@pytest.mark.slow
def test_tokenizer_has_the_words_prompts_and_timestamps(converted):
    from transformers import AutoProcessor

    tokenizer = AutoProcessor.from_pretrained(converted).tokenizer
    ids = tokenizer(" Kids are talking by the door.").input_ids
    assert ids[:2] == [50257, 50362] and ids[-1] == 50256
    assert tokenizer.decode(ids, skip_special_tokens=True) == " Kids are talking by the door."
    assert len(tokenizer) == 51864
    assert tokenizer.decode([50363, *ids[2:-1], 50413], decode_with_timestamps=True).endswith("door.<|1.00|>")
