"""ESPnet's own tasks and the linear classifier: trained by the recipe's command, predictions in the recipe's files."""

import argparse
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml

from m4ser.bin import infer, train
from m4ser.models.checkpoint import load_run
from m4ser.models.systems import SYSTEMS, system_class
from m4ser.training.predictions import read_predictions
from m4ser.utils.errors import UserError

TRAINER = {
    "optim": "adam",
    "optim_conf": {"lr": 5.0e-3},
    "batch_type": "unsorted",
    "batch_size": 8,
    "max_epoch": 4,
    "num_workers": 0,
    "best_model_criterion": [["valid", "ua", "max"]],
    "keep_nbest_models": [1],
    "use_tensorboard": False,
    "use_matplotlib": False,
    "num_att_plot": 0,
}
SMALL = {"output_size": 16, "attention_heads": 2, "linear_units": 32, "num_blocks": 2, "input_layer": "linear"}
CLS = {
    "task": "espnet_cls",
    "encoder": "transformer",
    "encoder_conf": SMALL,
    "decoder_conf": {"pooling": "mean"},
    **TRAINER,
}
ASR = {
    "task": "espnet_asr",
    "encoder": "transformer",
    "encoder_conf": SMALL,
    "decoder": "transformer",
    "decoder_conf": {"attention_heads": 2, "linear_units": 32, "num_blocks": 1},
    "model_conf": {"ctc_weight": 0.3, "report_cer": False, "report_wer": False},
    **TRAINER,
    "max_epoch": 12,
}  # fmt: skip
LINEAR = {"task": "linear", "classifier": "svm", "pooling": "statistics", "c_grid": [0.001, 1.0]}
CONFIGURATIONS = {"espnet_cls": CLS, "espnet_asr": ASR, "linear": LINEAR}


@pytest.fixture
def recipe(toy_dumps, monkeypatch):
    """Call with a configuration: options of the training command."""
    monkeypatch.chdir(toy_dumps)
    monkeypatch.setenv("M4SER_DEBUG", "1")

    def options(config):
        (toy_dumps / "conf.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
        return ["--data", "data", "--feats", "dump/feats/toy", "--text", "dump/text/toy", "--exp", "exp/toy",
                "--config", "conf.yaml", "--speech-encoder", "toy"]  # fmt: skip

    options.run = toy_dumps / "exp/toy/fold1/seed1"
    return options


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_trains_selects_and_predicts(recipe, name):
    options = recipe(CONFIGURATIONS[name])
    train.main([*options, "--plan"])
    train.main([*options, "--job", "1"])
    info = json.loads((recipe.run / "train_info.json").read_text())
    assert info["parameters"] > 0 and info["seconds"] > 0
    plan = json.loads((recipe.run.parents[1] / "run.json").read_text())
    assert plan["fusion"] == name and plan["text_source"] == plan["text_encoder"] == "none"
    infer.main(["--data", "data", "--exp", "exp/toy", "--job", "1"])
    found = read_predictions(recipe.run / "predictions_test.tsv", ["happy", "sad"])
    assert (found.ref == found.hyp).mean() >= 0.75  # the features tell

    model, _ = load_run(recipe.run)
    data = torch.randn(3, 9, 16), torch.tensor([9, 4, 1])
    reference = model.logits(model.represent(*data))
    assert reference.shape == (3, 2)
    padded = torch.nn.functional.pad(data[0], (0, 0, 0, 5), value=7.0), data[1]
    torch.testing.assert_close(model.logits(model.represent(*padded)), reference, atol=1e-5, rtol=1e-5)
    for row, length in enumerate(data[1]):
        alone = model.represent(data[0][row : row + 1, :length], data[1][row : row + 1])
        torch.testing.assert_close(model.logits(alone)[0], reference[row], atol=1e-5, rtol=1e-5)


def test_espnet_models_are_those_of_its_recipes():
    """MELD cls1: weighted layers, Transformer 4 x 128, mean pooling and one linear layer; counted by hand."""
    parser = system_class("espnet_cls").get_parser()
    args = parser.parse_args(["--labels", *"abcdefg"])
    args.encoder_conf = {
        "output_size": 128,
        "attention_heads": 4,
        "linear_units": 512,
        "num_blocks": 4,
        "input_layer": "linear",
    }
    args.speech_encoder_conf = {"num_layers": 13, "input_size": 768, "frame_rate": 50.0}
    model = system_class("espnet_cls").build_model(args)
    layer = 4 * (128 * 128 + 128) + 128 * 512 + 512 + 512 * 128 + 128 + 4 * 128
    encoder = 768 * 128 + 128 + 2 * 128 + 4 * layer + 2 * 128
    assert sum(p.numel() for p in model.parameters()) == 13 + encoder + 128 * 7 + 7
    assert type(model.inner).__module__ == "espnet2.cls.espnet_model"
    assert model.inner.decoder.pooling == "mean"  # fmt: skip


@pytest.mark.slow
def test_first_token_is_the_emotion(recipe):
    train.main([*recipe({**ASR, "max_epoch": 1}), "--job", "1"])
    config = yaml.safe_load((recipe.run / "config.yaml").read_text())
    tokens = config["token_list"]
    assert tokens[:4] == ["<blank>", "<unk>", "<happy>", "<sad>"] and tokens[-1] == "<sos/eos>"
    assert tokens[4:-1] == ["am", "happy", "i", "sad", "so", "today"]  # of the references, not of what was recognised
    task, args = system_class("espnet_asr"), argparse.Namespace(**config)
    arrays = task.build_preprocess_fn(args, True)(
        "u", {"emotion": "sad", "text": '{"words": ["i", "was"], "tags": "DKDDC", "changes": [[4, "am xyz"]]}'}
    )
    assert [tokens[i] for i in arrays["tokens"]] == ["<sad>", "i", "am", "<unk>"]
    model, _ = load_run(recipe.run)
    reps = model.represent(torch.randn(1, 9, 16), torch.tensor([9]))
    start = torch.full((1, 1), len(tokens) - 1)
    scores, _ = model.inner.decoder(reps.speech, torch.tensor([9]), start, torch.tensor([1]))
    torch.testing.assert_close(model.logits(reps), scores[:, 0, 2:4])


def test_linear_model_is_scikit_learns(recipe):
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    options = recipe({**LINEAR, "classifier": "logistic", "c_grid": [0.5]})
    train.main([*options, "--job", "1"])
    model, args = load_run(recipe.run)
    files = [(str(recipe.run / "data/train" / f), n, "") for f, n in (("feats.scp", "speech"), ("utt2emo", "emotion"))]
    x, y = system_class("linear").read(files, model)
    scaler = StandardScaler().fit(x)
    expected = LogisticRegression(C=0.5, class_weight="balanced", max_iter=2000).fit(scaler.transform(x), y)
    mine = torch.softmax(model.output((torch.from_numpy(x) - model.mean) / model.deviation), -1).detach().numpy()
    np.testing.assert_allclose(mine, expected.predict_proba(scaler.transform(x)), atol=1e-6)
    assert args.chosen_c == 0.5 and list(args.dev_ua) == ["0.5"]


def test_c_is_chosen_on_dev_alone(recipe, monkeypatch):
    """Whatever C does on dev decides; equally good ones give the smallest; test is never opened."""
    from m4ser.training.baselines import linear

    opened = []
    read = linear.LinearBaseline.read.__func__
    spy = classmethod(lambda cls, data, model: (opened.extend(path for path, _, _ in data), read(cls, data, model))[1])
    monkeypatch.setattr(linear.LinearBaseline, "read", spy)
    train.main([*recipe({**LINEAR, "c_grid": [1.0, 0.1, 10.0]}), "--job", "1"])
    dev_ua = yaml.safe_load((recipe.run / "config.yaml").read_text())["dev_ua"]
    best = max(dev_ua.values())
    assert load_run(recipe.run)[1].chosen_c == min(float(c) for c, ua in dev_ua.items() if ua == best)
    assert opened and not any("/test/" in path for path in opened)


def test_an_absent_class_is_never_answered():
    from m4ser.training.baselines.linear import fit

    args = argparse.Namespace(max_iter=100, seed=0, class_weight="none", classifier="svm")
    x = np.random.default_rng(0).normal(size=(40, 3))
    y = (x[:, 0] > 0).astype(int) * 2  # classes 0 and 2 of 3
    weight, bias = fit(x, y, 3, 1.0, args)
    answers = (x @ weight.T + bias).argmax(1)
    assert (answers == y).mean() > 0.9 and 1 not in answers


def test_mistakes_end_as_one_line(recipe):
    with pytest.raises(UserError, match="unknown task 'svm'; known are ser, espnet_cls, espnet_asr, linear"):
        train.main([*recipe({"task": "svm"}), "--plan"])
    with pytest.raises(UserError, match="use --text-source asr or ref"):
        train.main([*recipe(ASR), "--text-source", "none", "--plan"])
    with pytest.raises(UserError, match="speech_encoder_conf: unknown key 'layer'"):
        train.main([*recipe({**CLS, "speech_encoder_conf": {"layer": 1}}), "--job", "1"])


@pytest.mark.slow
def test_importing_espnets_tasks_fetches_nothing():
    """NLTK's downloads and ESPnet's phonemizers are not imported, and g2p_en is itself again afterwards."""
    code = (
        "import sys\n"
        "from m4ser.models.systems import SYSTEMS, system_class\n"
        "[system_class(name) for name in SYSTEMS]\n"
        "assert 'nltk' not in sys.modules and 'g2p_en' not in sys.modules\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "nltk" not in result.stdout + result.stderr
    assert set(SYSTEMS) == {"ser", "espnet_cls", "espnet_asr", "linear"}
