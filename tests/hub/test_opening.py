"""Which model is meant by a name."""

import pytest

from m4ser.hub import opening
from m4ser.utils.errors import UserError
from m4ser.utils.files import write_json


def trained(exp, *runs):
    write_json(exp / "run.json", {"folds": ["1", "2"], "seeds": [1, 2], "labels": ["calm"]})
    for run in runs:
        (exp / run).mkdir(parents=True)
        (exp / run / "model.pth").touch()
        (exp / run / "config.yaml").touch()


def test_run_of_an_experiment(tmp_path):
    trained(tmp_path, "fold1/seed1", "fold2/seed2")
    for stored in (opening.find_model(tmp_path), opening.find_model(tmp_path / "fold1/seed1")):
        assert (stored.folder, stored.fold, stored.seed) == (tmp_path / "fold1/seed1", "1", 1)
        assert stored.labels == ["calm"] and not stored.packed
    assert opening.find_model(tmp_path, "2", 2).folder == tmp_path / "fold2/seed2"
    with pytest.raises(UserError, match=r"seed2: is not trained; trained runs: fold1/seed1, fold2/seed2"):
        opening.find_model(tmp_path, "1", 2)
    with pytest.raises(UserError, match=r"run\.json does not say how features and text were made"):
        _ = opening.find_model(tmp_path).pipeline


def test_what_is_no_model(tmp_path):
    with pytest.raises(UserError, match="no trained model in this folder"):
        opening.find_model(tmp_path)
    with pytest.raises(UserError, match="no such model"), opening.open_model(tmp_path / "nothing"):
        pass


def test_default_model(tmp_path, monkeypatch):
    monkeypatch.setenv("M4SER_MODEL", "org/name")
    assert opening.default_model() == "org/name"
    monkeypatch.delenv("M4SER_MODEL")
    box = tmp_path / "default.m4ser.zip"
    monkeypatch.setattr(opening, "IN_THE_BOX", box)
    with pytest.raises(UserError, match=r"default\.m4ser\.zip is missing; give --model"):
        opening.default_model()
    box.touch()
    assert opening.default_model() == str(box)
