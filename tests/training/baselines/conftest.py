"""Small configurations of ESPnet's own tasks and the linear classifier, and a recipe's folder to train them in."""

import pytest
import yaml

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


@pytest.fixture
def configurations():
    """A configuration of each system, by the name of its task."""
    return {"espnet_cls": CLS, "espnet_asr": ASR, "linear": LINEAR}


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
