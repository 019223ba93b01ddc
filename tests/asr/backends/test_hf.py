import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from m4ser.asr.backends import build_backend
from m4ser.pretrained import default_dir
from m4ser.utils.errors import UserError

RATE = 16000
CLIPS = sorted(Path(__file__).parents[3].glob("egs/mini/corpus/**/*.opus"))
WHISPER = default_dir() / "whisper-tiny.en"
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def speech(count=3):
    """Speech of the mini corpus where it is, else tones."""
    if CLIPS:
        return [soundfile.read(path, dtype="float32")[0] for path in CLIPS[:: len(CLIPS) // count][:count]]
    return [np.sin(np.arange(n) / 5, dtype=np.float32) / 2 for n in (RATE, 2 * RATE, 3 * RATE)]


def noise(*seconds):
    rng = np.random.default_rng(0)
    return [rng.normal(0, 0.1, round(s * RATE)).astype(np.float32) for s in seconds]


@pytest.fixture(scope="module", params=["wav2vec2", "hubert"])
def ctc_folder(request, tmp_path_factory):
    """A tiny random CTC model with letters, of a kind with layer or group normalisation."""
    from transformers import (
        HubertConfig,
        HubertForCTC,
        Wav2Vec2Config,
        Wav2Vec2CTCTokenizer,
        Wav2Vec2FeatureExtractor,
        Wav2Vec2ForCTC,
    )

    folder = tmp_path_factory.mktemp(request.param)
    words = {"<pad>": 0, "<s>": 1, "</s>": 2, "<unk>": 3, "|": 4, **{letter: 5 + i for i, letter in enumerate(LETTERS)}}
    (folder / "vocab.json").write_text(json.dumps(words), encoding="utf-8")
    Wav2Vec2CTCTokenizer(str(folder / "vocab.json")).save_pretrained(folder)
    wav2vec2 = request.param == "wav2vec2"
    Wav2Vec2FeatureExtractor(return_attention_mask=wav2vec2).save_pretrained(folder)
    settings = {
        "vocab_size": len(words),
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "conv_dim": [8] * 7,
        "num_conv_pos_embeddings": 4,
        "num_conv_pos_embedding_groups": 2,
        "feat_extract_norm": "layer" if wav2vec2 else "group",
    }
    torch.manual_seed(0)
    model = Wav2Vec2ForCTC(Wav2Vec2Config(**settings)) if wav2vec2 else HubertForCTC(HubertConfig(**settings))
    model.lm_head.weight.data.mul_(30)  # else one label wins everywhere
    model.save_pretrained(folder)
    return folder


def test_ctc_is_the_best_label_of_each_frame(ctc_folder):
    backend = build_backend("hf", str(ctc_folder))
    samples = noise(1.3)[0]
    normal = (samples - samples.mean()) / np.sqrt(samples.var() + 1e-7)
    with torch.inference_mode():
        chances = backend.model.model(torch.from_numpy(normal)[None]).logits[0].log_softmax(-1)
    labels = [label for label in chances.argmax(-1).tolist() if label not in (1, 2, 3)]
    collapsed = [label for i, label in enumerate(labels) if i == 0 or label != labels[i - 1]]
    characters = ["", "", "", "", " ", *LETTERS]
    expected = " ".join("".join(characters[label] for label in collapsed).split())
    found = backend.transcribe(samples)
    assert found.text == expected
    assert len(expected) > 3
    assert found.confidence == pytest.approx(chances.max(-1).values.mean().exp().item(), rel=1e-4)


def test_ctc_alone_or_in_a_batch_the_same(ctc_folder):
    clips = [*noise(0.05, 0.7, 1.1, 0.7), np.zeros(0, np.float32), np.zeros(RATE, np.float32)]
    alone = build_backend("hf", str(ctc_folder)).transcribe_batch(clips)
    batched = build_backend("hf", str(ctc_folder), batch_size=4).transcribe_batch(clips)
    assert [h.text for h in batched] == [h.text for h in alone]
    assert [h.confidence for h in batched] == pytest.approx([h.confidence for h in alone], rel=1e-4)
    assert all(0 < h.confidence < 1 for h in alone)


def test_ctc_windows_of_long_audio(ctc_folder):
    backend = build_backend("hf", str(ctc_folder))
    assert [len(piece) for piece in backend.windows(np.zeros(61 * RATE))] == [325334, 325333, 325333]
    assert [len(piece) for piece in backend.windows(np.zeros(0))] == [400]  # of one frame


def test_an_encoder_without_labels_is_refused(ctc_folder, tmp_path):
    from transformers import AutoModel

    shutil.copytree(ctc_folder, tmp_path / "encoder")
    AutoModel.from_pretrained(ctc_folder).save_pretrained(tmp_path / "encoder")
    with pytest.raises(UserError, match=r"encoder: the weights lack lm_head.*; choose a model that was trained"):
        build_backend("hf", str(tmp_path / "encoder"))


def test_bad_folders_and_settings(ctc_folder, tmp_path):
    with pytest.raises(UserError, match="cannot be used as a recogniser") as error:
        build_backend("hf", str(tmp_path))
    assert "\n" not in str(error.value)
    for file in ctc_folder.glob("*.json"):
        if file.name != "preprocessor_config.json":
            shutil.copy(file, tmp_path)
    with pytest.raises(UserError, match="cannot be used as a recogniser"):
        build_backend("hf", str(tmp_path))
    damaged = shutil.copytree(ctc_folder, tmp_path / "damaged")
    weights = (damaged / "model.safetensors").read_bytes()
    (damaged / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(UserError, match="damaged: cannot be used as a recogniser"):
        build_backend("hf", str(damaged))
    with pytest.raises(UserError, match="is a CTC model; beam_size, language and window are for Whisper"):
        build_backend("hf", str(ctc_folder), beam_size=2)
    for settings in ({"dtype": "int8"}, {"window": 31}, {"beam_size": 0}, {"batch_size": 0}):
        with pytest.raises(UserError, match="must be"):
            build_backend("hf", str(ctc_folder), **settings)


@pytest.mark.slow
@pytest.mark.parametrize("window", [0, 30])
def test_whisper_gives_the_transcripts_of_ctranslate2(window):
    ours = build_backend("hf", window=window)
    theirs = build_backend("faster_whisper", compute_type="float32", beam_size=1, window=window)
    clips = speech(3 if window == 0 else 1)
    for found, expected in zip(ours.transcribe_batch(clips), theirs.transcribe_batch(clips), strict=True):
        assert found.text == expected.text
        assert found.confidence == pytest.approx(expected.confidence, rel=1e-2)


@pytest.mark.slow
def test_whisper_in_a_batch_and_with_beams():
    clips = [*speech(2), *noise(0.05), np.zeros(RATE, np.float32)]
    alone = build_backend("hf", beam_size=2).transcribe_batch(clips)
    batched = build_backend("hf", beam_size=2, batch_size=4).transcribe_batch(clips)
    assert [h.text for h in batched] == [h.text for h in alone]
    assert [h.confidence for h in batched] == pytest.approx([h.confidence for h in alone], rel=1e-3)


@pytest.mark.slow
def test_english_only_model_refuses_other_languages():
    with pytest.raises(UserError, match="knows English only, not language=de"):
        build_backend("hf", language="de")


@pytest.mark.slow
@pytest.mark.parametrize("language", ["de", "auto"])
def test_multilingual_whisper(tmp_path, language):
    """A tiny random one, with the tokenizer of the English one and a token more: numbers of the tokens agree."""
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    for file in ("tokenizer.json", "tokenizer_config.json", "preprocessor_config.json"):
        shutil.copy(WHISPER / file, tmp_path)
    config = WhisperConfig(
        vocab_size=51865,
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        max_target_positions=12,
        decoder_start_token_id=50257,
        eos_token_id=50256,
        pad_token_id=50256,
        bos_token_id=50256,
    )
    torch.manual_seed(0)
    WhisperForConditionalGeneration(config).save_pretrained(tmp_path)
    backend = build_backend("hf", str(tmp_path), language=language)
    assert 0 < backend.transcribe(noise(1)[0]).confidence < 1
    with pytest.raises(UserError, match="knows no language=xx"):
        build_backend("hf", str(tmp_path), language="xx")
