"""What decides which task trains, and who waits for whom."""

import argparse

import pytest
import torch

from m4ser.training.baselines.linear import LinearBaseline
from m4ser.training.run import is_first, run_stage, run_task, wait_for
from m4ser.training.settings import Settings
from m4ser.utils.errors import UserError


def test_the_configuration_names_the_task(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(LinearBaseline, "main", classmethod(lambda cls, cmd: calls.append(cmd)))
    (tmp_path / "c.yaml").write_text("task: linear\n")
    words = ["--seed", "1", "--config", str(tmp_path / "c.yaml"), "--ngpu", "0"]
    run_task(words)
    assert calls == [words]


def test_of_several_machines_one_is_first(monkeypatch):
    together, alone = argparse.Namespace(dist_launcher="slurm"), argparse.Namespace()
    monkeypatch.setenv("SLURM_PROCID", "1")
    assert not is_first(together)
    assert is_first(alone)  # one of many jobs, each with a training of its own
    monkeypatch.setenv("SLURM_PROCID", "0")
    assert is_first(together)


def test_a_file_is_waited_for(tmp_path):
    with pytest.raises(UserError, match="has not come in 0 s"):
        wait_for(tmp_path / "listed", seconds=0.01)
    (tmp_path / "listed").touch()
    wait_for(tmp_path / "listed", seconds=0.0)


def test_neither_plan_nor_job(toy_dumps, monkeypatch):
    monkeypatch.chdir(toy_dumps)
    with pytest.raises(UserError, match="give --plan, --job, or both"):
        run_stage(Settings("exp/x", "c.yaml"), write_plan=False, job=None)
    with pytest.raises(UserError, match="--job 99: there are"):
        run_stage(Settings("exp/x", "c.yaml"), write_plan=True, job=99)
    assert not (toy_dumps / "exp/x").exists()


def test_a_checkpoint_that_does_not_fit_on_the_disk_is_one_line(tmp_path, monkeypatch):
    """PyTorch names a position in its own source instead, and reports a file that cannot be read the same way."""
    (tmp_path / "c.yaml").write_text("task: linear\n")
    words = ["--config", str(tmp_path / "c.yaml"), "--output_dir", str(tmp_path)]
    monkeypatch.setattr(LinearBaseline, "main", classmethod(lambda cls, cmd: torch.save(torch.ones(9999), "/dev/full")))
    with pytest.raises(
        UserError, match=rf"^{tmp_path}: a checkpoint cannot be written; \d+ MB are left on this disk: free"
    ):
        run_task(words)
    (tmp_path / "cut.pth").write_bytes(b"PK\3\4" + bytes(100))
    monkeypatch.setattr(LinearBaseline, "main", classmethod(lambda cls, cmd: torch.load(tmp_path / "cut.pth")))
    with pytest.raises(RuntimeError, match="PytorchStreamReader"):
        run_task(words)
