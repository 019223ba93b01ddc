"""Configurations shown."""

import pytest
import yaml

from m4ser.bin import config


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """A recipe on a template of two systems; the current folder is the one above."""
    conf = tmp_path / "TEMPLATE/conf"
    conf.mkdir(parents=True)
    (conf / "common.yaml").write_text("max_epoch: 30\nbatch_size: 32\n")
    (conf / "train_late.yaml").write_text("# Two models.\n# More.\nbase: common.yaml\nfusion: late\n")
    (conf / "train_text.yaml").write_text(
        "base: common.yaml\nfusion: text\nmodel_conf: {dropout: 0.5, class_weights: [1, 2]}\n"
    )
    (tmp_path / "r/conf").mkdir(parents=True)
    (tmp_path / "r/conf/recipe.yaml").write_text("common: {max_epoch: 5}\n")
    monkeypatch.chdir(tmp_path)


def test_values_and_where_they_are_from(recipe, capsys):
    config.main(["text", "--recipe", "r"])
    shown = capsys.readouterr().out
    assert shown.splitlines() == [
        "max_epoch: 5               # r/conf/recipe.yaml: common",
        "batch_size: 32             # TEMPLATE/conf/common.yaml",
        "fusion: text               # TEMPLATE/conf/train_text.yaml",
        "model_conf:",
        "    dropout: 0.5           # TEMPLATE/conf/train_text.yaml",
        "    class_weights: [1, 2]  # TEMPLATE/conf/train_text.yaml",
    ]
    assert yaml.safe_load(shown)["model_conf"] == {"dropout": 0.5, "class_weights": [1, 2]}


@pytest.mark.slow
def test_with_options_of_the_training(recipe, capsys):
    config.main(["conf/train_text.yaml", "--recipe", "r", "--train-args", "--model_conf dropout=0.1 --patience 3"])
    shown = capsys.readouterr().out
    expected = {"max_epoch": 5, "batch_size": 32, "fusion": "text", "patience": 3}
    assert yaml.safe_load(shown) == expected | {"model_conf": {"dropout": 0.1, "class_weights": [1, 2]}}
    changed = [line.split(":")[0].strip() for line in shown.splitlines() if line.endswith("# --train-args")]
    assert changed == ["dropout", "patience"]


def test_list_of_systems(recipe, capsys):
    config.main(["--recipe", "r"])
    assert capsys.readouterr().out.splitlines() == ["late                    Two models.", "text"]


def test_no_such_system(recipe):
    with pytest.raises(SystemExit, match=r"r/conf/train_txt\.yaml: no such training configuration, nor TEMPLATE/conf/"):
        config.main(["txt", "--recipe", "r"])
