"""A tiny model trained and packed by ESPnet2's own task: it tells high tones from low ones."""

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import sentencepiece
import soundfile
import torch
import yaml

from m4ser.asr.backends import build_backend
from m4ser.asr.backends.espnet import _light_imports, sampling_rate
from m4ser.utils.errors import UserError

RATE = 8000  # of the model; the recogniser gets 16 kHz
WORDS = {"low": 300, "high": 1500}  # Hz


def tones(words, rate, seed=0):
    """Each word as a tone of 0.25 s, with light noise: (samples,) float32."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(0.25 * rate)) / rate
    sound = np.concatenate([0.3 * np.sin(2 * np.pi * WORDS[word] * time) for word in words])
    return (sound + 0.003 * rng.normal(size=sound.shape)).astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Data of 24 utterances, a sentencepiece model, a trained model, and it all packed: packed.zip."""
    with _light_imports():
        from espnet2.tasks.asr import ASRTask
    from espnet2.main_funcs.pack_funcs import pack

    folder = tmp_path_factory.mktemp("espnet")
    rng = np.random.default_rng(1)
    lines = {"wav.scp": [], "text": []}
    for number in range(24):
        words = (["low", "high"] * 2)[number % 2 :][: rng.integers(1, 4)]  # in turn: a tone twice is one long tone
        path = folder / f"u{number:02d}.wav"
        soundfile.write(path, tones(words, RATE, number), RATE)
        lines["wav.scp"].append(f"u{number:02d} {path}")
        lines["text"].append(f"u{number:02d} {' '.join(words)}")
    for name, content in lines.items():
        (folder / name).write_text("\n".join(content) + "\n")
    (folder / "words.txt").write_text("low high\nhigh low\n" * 10)
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "words.txt"), model_prefix=str(folder / "bpe"), vocab_size=8, model_type="word",
        hard_vocab_limit=False, minloglevel=2,
    )  # fmt: skip
    config = {
        "token_type": "bpe", "bpemodel": "bpe.model",
        "token_list": ["<blank>", "<unk>", "▁low", "▁high", "<sos/eos>"],
        "frontend_conf": {"fs": "8k", "n_fft": 256, "hop_length": 80, "n_mels": 20},
        "normalize": "utterance_mvn", "specaug": None,
        "encoder": "transformer",
        "encoder_conf": {"output_size": 16, "attention_heads": 2, "linear_units": 32, "num_blocks": 1,
                         "dropout_rate": 0.0, "input_layer": "conv2d"},
        "decoder": "transformer",
        "decoder_conf": {"attention_heads": 2, "linear_units": 32, "num_blocks": 1, "dropout_rate": 0.0},
        "model_conf": {"ctc_weight": 0.5, "extract_feats_in_collect_stats": False},
        "optim": "adam", "optim_conf": {"lr": 0.01}, "max_epoch": 30, "batch_size": 8, "batch_type": "unsorted",
        "num_workers": 0, "use_tensorboard": False, "use_matplotlib": False, "num_att_plot": 0, "seed": 1,
        "best_model_criterion": [["valid", "loss", "min"]], "keep_nbest_models": 1,
    }  # fmt: skip
    (folder / "train.yaml").write_text(yaml.safe_dump(config))
    (folder / "shape").write_text("".join(f"u{number:02d} 6000\n" for number in range(24)))
    words = ["--config", str(folder / "train.yaml"), "--output_dir", str(folder / "exp"), "--ngpu", "0"]
    for part in ("train", "valid"):
        words += [f"--{part}_data_path_and_name_and_type", f"{folder}/wav.scp,speech,sound"]
        words += [f"--{part}_data_path_and_name_and_type", f"{folder}/text,text,text"]
        words += [f"--{part}_shape_file", str(folder / "shape")]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)  # as in a recipe: names in the configuration and the archive are relative to it
        ASRTask.main(cmd=words)
        shutil.copy("exp/valid.loss.best.pth", "exp/model.pth")  # not a link
        pack(
            files={"asr_model_file": "exp/model.pth"},
            yaml_files={"asr_train_config": "exp/config.yaml"},
            option=["bpe.model"],
            outpath="packed.zip",
        )
    return folder


@pytest.fixture(scope="module")
def packed(folder, tmp_path_factory):
    """The archive alone, elsewhere: nothing that it was made from is there any more."""
    path = tmp_path_factory.mktemp("elsewhere") / "packed.zip"
    path.write_bytes((folder / "packed.zip").read_bytes())
    for name in ("bpe.model", "exp/config.yaml", "exp/model.pth"):
        (folder / name).rename(folder / f"{name}.away")
    return path


@pytest.fixture(scope="module")
def recogniser(packed):
    return build_backend("espnet", str(packed), beam_size=3)


@pytest.mark.slow
def test_recognises_what_the_model_has_learned(recogniser):
    said = [["low"], ["high", "low"], ["low", "high", "low"]]
    found = recogniser.transcribe_batch([tones(words, 16000, 99) for words in said])
    assert [hypothesis.text for hypothesis in found] == [" ".join(words) for words in said]
    assert all(0.1 < hypothesis.confidence < 1 for hypothesis in found)


@pytest.mark.slow
def test_too_little_audio_is_no_words(recogniser):
    assert recogniser.transcribe(np.zeros(0, np.float32)).text == ""
    assert recogniser.transcribe(tones(["low"], 16000)[:200]).text in ("", "low", "high")


@pytest.mark.slow
def test_unpacked_folder_and_hub_id(packed, recogniser, tmp_path):
    """As a clone of the hub's repository: paths in its configuration are relative to it."""
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(tmp_path / "org/model")
    clip = tones(["high", "low"], 16000)
    expected = recogniser.transcribe(clip)
    for name in (str(tmp_path / "org/model"), "org/model"):
        assert build_backend("espnet", name, tmp_path, beam_size=3).transcribe(clip) == expected


@pytest.mark.slow
def test_ctc_alone(packed, recogniser):
    clip = tones(["low", "high"], 16000, 5)
    found = build_backend("espnet", str(packed), ctc_weight=1.0, beam_size=2).transcribe(clip)
    assert found.text == "low high"
    assert found.confidence != recogniser.transcribe(clip).confidence


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda folder: (folder / "meta.yaml").unlink(), "has no meta.yaml; give a folder"),
        (lambda folder: (folder / "exp/model.pth").unlink(), "no such file, but meta.yaml names it"),
        (lambda folder: (folder / "exp/model.pth").write_bytes(b"junk"), "ESPnet cannot build this model"),
        (lambda folder: (folder / "bpe.model").unlink(), "ESPnet cannot build this model"),
        (lambda folder: _change(folder / "meta.yaml", "asr_train_config", "tts_config"), "is no packed ASR model"),
        (lambda folder: _change(folder / "exp/config.yaml", "encoder: transformer", "encoder: x"), "cannot build this"),
    ],
)  # fmt: skip
def test_damaged_models_are_one_line_of_error(packed, tmp_path, change, why):
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(tmp_path)
    change(tmp_path)
    with pytest.raises(UserError, match=why) as error:
        build_backend("espnet", str(tmp_path))
    assert "\n" not in str(error.value)


def _change(path: Path, old: str, new: str) -> None:
    path.write_text(path.read_text().replace(old, new))


def test_no_model(tmp_path):
    with pytest.raises(UserError, match="--asr espnet: name a model with --asr-model"):
        build_backend("espnet")
    with pytest.raises(UserError, match="no such folder"):
        build_backend("espnet", "./nothing")
    (tmp_path / "model.txt").write_text("x")
    with pytest.raises(UserError, match="is no packed model; give the archive"):
        build_backend("espnet", str(tmp_path / "model.txt"))
    (tmp_path / "model.zip").write_text("x")
    with pytest.raises(UserError, match="cannot be unpacked"):
        build_backend("espnet", str(tmp_path / "model.zip"))
    with pytest.raises(UserError, match=r"neither a folder nor to be had from the hub.*espnet_model_zoo"):
        build_backend("espnet", "nobody/no_such_model", tmp_path)


@pytest.mark.parametrize("settings", [{"beam_size": 0}, {"ctc_weight": 1.5}])
def test_settings_out_of_range(settings):
    with pytest.raises(UserError, match="must be 1 or more and ctc_weight from 0 to 1"):
        build_backend("espnet", "any", **settings)


@pytest.mark.parametrize(("fs", "expected"), [(16000, 16000), ("8k", 8000), ("22.05k", 22050), (None, 16000)])
def test_sampling_rate(fs, expected):
    assert sampling_rate({"frontend_conf": {"fs": fs}} if fs else {}) == expected


@pytest.mark.slow
def test_gpu_that_is_not_there(packed):
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(UserError, match="PyTorch finds no GPU"):
        build_backend("espnet", str(packed), device="cuda")
