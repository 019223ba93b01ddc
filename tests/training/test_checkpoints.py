"""A forged checkpoint runs nothing: whoever reads it says so in one line."""

import pickle
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import torch
from espnet2.tasks import abs_task
from safetensors.torch import save_file

from m4ser.training.checkpoints import load_initial, only_data, read_checkpoint
from m4ser.training.history import read_history
from m4ser.training.trainer import repair
from m4ser.utils.errors import UserError

STATS = {1: {"train": {"loss": np.float64(0.5), "time": timedelta(seconds=3)}, "valid": {"ua": 0.25}}}


class Harm:
    def __reduce__(self):
        return Path.touch, (Path("harm-was-done"),)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert not (tmp_path / "harm-was-done").exists()


def checkpoint(path, **more):
    torch.save({"model": {"w": torch.ones(2)}, "reporter": {"epoch": 1, "stats": STATS}, **more}, path)
    return path


def test_what_a_checkpoint_holds_is_read(here):
    found = read_checkpoint(checkpoint(here / "checkpoint.pth"))
    assert found["reporter"]["stats"] == STATS and found["model"]["w"].tolist() == [1, 1]
    history = read_history(here / "checkpoint.pth", ("valid", "ua", "max"))
    assert history["epochs"]["1"]["train"] == {"loss": 0.5, "time": 3.0}


@pytest.mark.parametrize("form", ["torch", "pickle", "old torch"])
def test_a_forged_checkpoint_is_refused(here, form):
    path = here / "checkpoint.pth"
    if form == "pickle":
        path.write_bytes(pickle.dumps({"model": Harm(), "reporter": {}}))
    else:
        torch.save({"model": Harm()}, path, _use_new_zipfile_serialization=form == "torch")
    readers = [lambda: read_checkpoint(path), lambda: read_history(path, ("valid", "ua", "max"))]
    for read in [*readers, lambda: repair(here, None)]:
        with pytest.raises(UserError, match=r"checkpoint\.pth: refused: holds more than a checkpoint") as error:
            read()
        assert "\n" not in str(error.value)


def test_a_forged_model_of_an_epoch_is_refused_before_training_goes_on(here):
    """The averaging of the best models would read it in the end."""
    checkpoint(here / "checkpoint.pth")
    torch.save({"w": Harm()}, here / "7epoch.pth")
    with pytest.raises(UserError, match=r"7epoch\.pth: refused"):
        repair(here, None)


def test_whoever_reads_while_training_runs_nothing(here, monkeypatch):
    torch.save(Harm(), here / "x.pth")
    checkpoint(here / "checkpoint.pth")
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    plain = abs_task.load_pretrained_model
    with only_data():
        read_checkpoint(here / "checkpoint.pth")  # inside, too
        assert torch.load(here / "checkpoint.pth", weights_only=False)["reporter"]["stats"] == STATS
        assert abs_task.load_pretrained_model is not plain
        with pytest.raises(pickle.UnpicklingError):
            torch.load(here / "x.pth", weights_only=False)
    assert abs_task.load_pretrained_model is plain


@pytest.mark.parametrize("name", ["model.pth", "model.safetensors"])
def test_weights_to_start_from(here, name):
    weights = {"a.weight": torch.full((1, 2), 3.0), "a.bias": torch.full((1,), 4.0), "b.weight": torch.zeros(1, 2)}
    (save_file if name.endswith("safetensors") else torch.save)(weights, here / name)
    model = torch.nn.ModuleDict({"x": torch.nn.Linear(2, 1), "y": torch.nn.Linear(2, 1)})
    before = model["y"].weight.tolist()
    load_initial(f"{here / name}:a:x:a.bias", model, False)
    assert model["x"].weight.tolist() == [[3, 3]] and model["y"].weight.tolist() == before
    load_initial(f"{here / name}:a:x", model, False)
    assert model["x"].bias.tolist() == [4]


def test_weights_to_start_from_that_are_no_weights(here):
    torch.save({"a.weight": Harm()}, here / "model.pth")
    with pytest.raises(UserError, match=r"model\.pth: refused: holds more than weights"):
        load_initial(f"{here / 'model.pth'}:a:x", torch.nn.Linear(1, 1), False)
