"""The folder of an experiment."""

import pytest

from m4ser.training.experiment import job_of, parse_seeds, runs, write_plan
from m4ser.utils.errors import UserError
from m4ser.utils.files import read_json


def test_jobs_are_numbered_seeds_outermost(tmp_path):
    every_run = runs(tmp_path, ["1", "2"], [3, 4])
    assert [(run.fold, run.seed) for run in every_run] == [("1", 3), ("2", 3), ("1", 4), ("2", 4)]
    assert job_of(every_run, 3).folder == tmp_path / "fold1/seed4"
    for job in (0, 5):
        with pytest.raises(UserError, match=rf"--job {job}: there are 4 runs"):
            job_of(every_run, job)


def test_a_run_is_trained_when_its_costs_and_its_model_are_there(tmp_path):
    (run,) = runs(tmp_path, ["1"], [1])
    run.folder.mkdir(parents=True)
    assert not run.is_trained()
    (run.folder / "model.pth").touch()
    assert not run.is_trained()
    (run.folder / "train_info.json").touch()
    assert run.is_trained()
    (run.folder / "model.pth").unlink()
    assert not run.is_trained()


def test_seeds_are_whole_numbers():
    assert parse_seeds(["1", "20"]) == [1, 20]
    for seed in ("x", "-1", "1.5"):
        with pytest.raises(UserError, match=r"--seeds: .* is not a whole number"):
            parse_seeds(["1", seed])


def test_a_plan_grows_but_does_not_change(tmp_path):
    write_plan(tmp_path, {"fusion": "late", "folds": ["2"], "seeds": [3]})
    write_plan(tmp_path, {"fusion": "late", "folds": ["1", "2"], "seeds": [1]})
    plan = read_json(tmp_path / "run.json")
    assert (plan["folds"], plan["seeds"]) == (["2", "1"], [1, 3])
    with pytest.raises(UserError, match="was planned with another fusion; give this run a --tag of its own"):
        write_plan(tmp_path, {"fusion": "gated", "folds": ["1"], "seeds": [1]})
    assert read_json(tmp_path / "run.json") == plan
