"""Encoders in whole runs: shipped paper-size configurations with tiny models, families, scratch; runs that moved."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import yaml

from m4ser.bin import infer, train, train_tokenizer
from m4ser.data.audio import load_16k
from m4ser.data.features import FeatureWriter
from m4ser.data.scp import read_scp, write_scp
from m4ser.models.checkpoint import load_run
from m4ser.models.encoders.frozen import frozen_features, load_frozen
from m4ser.training.predictions import read_predictions
from m4ser.utils.errors import UserError
from m4ser.utils.files import write_json

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
SPEECH = {
    "fusion": "speech", "optim": "adamw", "optim_conf": {"lr": 1.0e-3}, "batch_type": "unsorted", "batch_size": 8,
    "max_epoch": 1, "num_workers": 0, "best_model_criterion": [["valid", "ua", "max"]], "use_tensorboard": False,
    "use_matplotlib": False, "num_att_plot": 0,
}  # fmt: skip
HEAD = {"hidden_layers": "all", "output_size": 16}
TINY = "--max_epoch 1 --num_workers 0 --accum_grad 1 --batch_size 8 --scheduler none"


@pytest.fixture
def recipe(toy_dumps, monkeypatch):
    """The toy corpus with audio: a tone per emotion."""
    monkeypatch.chdir(toy_dumps)
    monkeypatch.setenv("M4SER_DEBUG", "1")
    rng = np.random.default_rng(0)
    wav, samples = {}, {}
    (toy_dumps / "flac").mkdir()
    for utt, emotion in read_scp("data/all/utt2emo").items():
        size = int(rng.integers(2000, 6000))
        tone = np.sin(2 * np.pi * (300 if emotion == "happy" else 120) * np.arange(size) / 16000)
        wav[utt], samples[utt] = str(toy_dumps / f"flac/{utt}.flac"), size
        soundfile.write(wav[utt], 0.3 * tone + 0.01 * rng.normal(size=size), 16000)
    write_scp("dump/audio/all/wav.scp", wav)
    write_scp("dump/audio/all/utt2num_samples", samples)
    return toy_dumps


def run(config, *options, extra=""):
    arguments = ["--data", "data", "--text", "dump/text/toy", "--exp", "exp/toy", "--config", str(config), *options]
    for action in (["--plan"], ["--job", "1"]):
        train.main([*arguments, "--train-args", extra, *action])
    infer.main(["--data", "data", "--exp", "exp/toy", "--job", "1"])
    return Path("exp/toy/fold1/seed1")


def logits(folder):
    """Of a batch of two unlike utterances."""
    model, _ = load_run(folder)
    torch.manual_seed(0)
    batch = {"speech": torch.randn(2, 5000) * 0.1, "speech_lengths": torch.tensor([5000, 3000])}
    if model.text_encoder is not None:
        batch |= {"text": torch.randint(5, 20, (2, 6)), "text_lengths": torch.tensor([6, 4])}
    with torch.no_grad():
        return model.logits(model.represent(**batch))


def moves(folder, recipe, *models):
    """The run's logits are the same from another place, after all that it was made from is gone."""
    before = logits(folder)
    moved = recipe / "elsewhere" / "run"
    shutil.copytree(folder, moved, ignore=shutil.ignore_patterns("data", "log", "*.tsv"))
    for path in (folder, *models):
        shutil.rmtree(path)
    return torch.equal(before, logits(moved))


def own_copy(folder, recipe):
    return shutil.copytree(folder, recipe / "models" / Path(folder).name)


@pytest.mark.parametrize(
    ("config", "speech", "text", "extra"),
    [
        ("m4ser_hubert_bert", "hubert", "bert", "--fusion_conf size=48"),
        ("m4ser_wavlm_roberta", "wavlm-large", "roberta", "--speech_encoder_conf trained_layers=2 "
         "--speech_encoder_conf output_size=48"),
        ("m4ser_whisper_deberta", "whisper", "deberta", "--speech_encoder_conf output_size=48"),
    ],
)  # fmt: skip
def test_paper_size_configurations_run_with_tiny_models(
    recipe, tiny_speech, tiny_text, tiny_bert, config, speech, text, extra
):
    speech = own_copy(tiny_speech(speech), recipe)
    text = own_copy(tiny_bert if text == "bert" else tiny_text(text), recipe)
    path = ROOT / f"egs/iemocap/conf/train_{config}.yaml"
    models = ["--audio", "dump/audio", "--speech-encoder", str(speech), "--text-encoder", str(text)]
    folder = run(path, *models, extra=f"{TINY} {extra} --fusion_conf heads=4 --fusion_conf feed_forward=32")
    assert json.loads(Path("exp/toy/run.json").read_text())["speech_encoder"] == str(speech)
    assert moves(folder, recipe, speech, text)


@pytest.mark.parametrize(
    ("kind", "conf"),
    [
        ("wav2vec2", {"trained_layers": 2, "pool": 4}),
        ("data2vec", {"trained_layers": -1, "time_mask": 0.1}),
        ("hubert-large", {"lora_rank": 2, "layers": "concat"}),
        ("whisper", {"trained_layers": -1, "train_cnn": True}),
    ],
)
def test_speech_families_train_and_need_no_folder_afterwards(recipe, tiny_speech, kind, conf):
    model = own_copy(tiny_speech(kind), recipe)
    config = {**SPEECH, "speech_encoder": "huggingface", "speech_encoder_conf": {"model": str(model), **HEAD, **conf}}
    config["param_groups"] = {"speech_encoder.backbone": {"lr": 1.0e-4}}
    Path("config.yaml").write_text(yaml.safe_dump(config))
    folder = run("config.yaml", "--audio", "dump/audio", "--text-source", "none")
    before = (folder / "predictions_test.tsv").read_text()
    assert before.count("\n") == 9
    assert moves(folder, recipe, model)


@pytest.mark.parametrize("kind", ["conformer", "e_branchformer"])
def test_from_scratch(recipe, kind):
    conf = {"n_mels": 20, "output_size": 16, "num_blocks": 1, "attention_heads": 2}
    text = {"tokens": 40, "output_size": 24, "num_blocks": 1, "attention_heads": 2, "linear_units": 32}
    config = {**SPEECH, "fusion": "concat", "speech_encoder": kind, "speech_encoder_conf": conf,
              "text_encoder": "transformer", "text_encoder_conf": text,
              "objectives": {"aed": {}, "aec": {"heads": 2, "feed_forward": 16}}}  # fmt: skip
    Path("config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(UserError, match="needs --tokenizers"):
        run("config.yaml", "--audio", "dump/audio")
    train_tokenizer.main(["--text", "dump/text/toy", "--tokens", "40", "--out", "tokens"])
    folder = run("config.yaml", "--audio", "dump/audio", "--tokenizers", "tokens")
    names = json.loads(Path("exp/toy/run.json").read_text())
    assert (names["speech_encoder"], names["text_encoder"]) == (kind, "transformer")
    assert moves(folder, recipe, "tokens")


def test_tokenizer_sees_the_training_part_only(recipe):
    edits = read_scp("dump/text/toy/all/edits")
    edits = {
        utt: json.dumps({"words": ["zzz", "www"]}) if utt.startswith("s5") else line for utt, line in edits.items()
    }
    write_scp("dump/text/toy/all/edits", edits)  # s5 is the test speaker
    train_tokenizer.main(["--text", "dump/text/toy", "--tokens", "60", "--out", "tokens"])
    pieces = [piece for piece, _ in json.loads(Path("tokens/fold1/tokenizer.json").read_text())["model"]["vocab"]]
    assert not any("z" in piece for piece in pieces)


def test_fine_tuning_starts_where_the_classifier_on_features_ended(recipe, tiny_speech):
    """Trained on features of stage 1, then --init-exp with a learning rate of 0: the same predictions."""
    model, feats = tiny_speech("hubert"), Path("dump/feats/hubert/all")
    encoder = load_frozen(str(model))
    layers = list(range(encoder.num_layers))
    with FeatureWriter(feats) as writer:
        for utt, wav in read_scp("dump/audio/all/wav.scp").items():
            writer.write(utt, frozen_features(encoder, load_16k(wav), layers, 2))
    write_scp(feats / "utt2num_frames", writer.num_frames)
    write_json(
        feats / "info.json", {"encoder": "hubert", "layers": layers, "dim": encoder.dim, "frame_rate": 25.0, "pool": 2}
    )
    head = {"layers": "concat", "output_size": 16}
    Path("first.yaml").write_text(yaml.safe_dump({**SPEECH, "speech_encoder_conf": head}))
    common = ["--data", "data", "--audio", "dump/audio", "--text-source", "none"]
    first = [*common, "--config", "first.yaml", "--exp", "exp/first", "--feats", str(feats.parent)]
    train.main([*first, "--plan", "--job", "1"])
    infer.main(["--data", "data", "--exp", "exp/first", "--job", "1"])

    tuned = {"model": str(model), "hidden_layers": "all", "pool": 2, "trained_layers": -1, **head}
    still = {**SPEECH, "speech_encoder": "huggingface", "speech_encoder_conf": tuned, "optim_conf": {"lr": 0.0}}
    Path("second.yaml").write_text(yaml.safe_dump(still))
    second = [*common, "--config", "second.yaml", "--exp", "exp/second", "--init-exp", "exp/first"]
    train.main([*second, "--plan", "--job", "1"])
    infer.main(["--data", "data", "--exp", "exp/second", "--job", "1"])
    names = (f"exp/{tag}/fold1/seed1/predictions_test.tsv" for tag in ("first", "second"))
    one, two = (read_predictions(name, ["happy", "sad"]) for name in names)
    np.testing.assert_allclose(two.probabilities, one.probabilities, atol=1e-4)
    assert np.ptp(one.probabilities[:, 0]) > 1e-3

    with pytest.raises(UserError, match=r"seed2/model\.pth: no such model; --init-exp needs it trained"):
        train.main([*second, "--seeds", "2", "--job", "1"])
    Path("text.yaml").write_text(yaml.safe_dump({**SPEECH, "fusion": "text"}))
    other = [*common[:2], "--text", "dump/text/toy", "--config", "text.yaml", "--init-exp", "exp/first"]
    with pytest.raises(UserError, match="--init-exp finds nothing to start from"):
        train.main([*other, "--exp", "exp/text", "--job", "1"])
