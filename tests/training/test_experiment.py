"""The folder of an experiment."""

import json

import pytest

from m4ser.models.description import read_plan
from m4ser.training.experiment import job_of, parse_seeds, runs, write_plan
from m4ser.utils.errors import DamagedFileError, UserError
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
    corpora = {"a": {"name": "A", "licence": "other", "languages": ["en"], "address": ""}}  # an older plan has none
    write_plan(tmp_path, {"fusion": "late", "folds": ["1", "2"], "seeds": [1], "corpora": corpora})
    plan = read_json(tmp_path / "run.json")
    assert (plan["folds"], plan["seeds"]) == (["2", "1"], [1, 3])
    with pytest.raises(UserError, match="was planned with another fusion; give this run a --tag of its own"):
        write_plan(tmp_path, {"fusion": "gated", "folds": ["1"], "seeds": [1]})
    assert read_json(tmp_path / "run.json") == plan


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"seeds": None}, "seeds: must be a list of whole numbers, not None"),
        ({"folds": 3}, "folds: must be a list of texts, not 3"),
        ({"folds": []}, "folds: must be a list of texts, not []"),
        ({"settings": []}, "settings: must be a mapping, not []"),
        ({"train_args": {}}, "train_args: must be text, not {}"),
        ({"pipeline": {"speech": 3}}, "pipeline: speech: must be a mapping or null, not 3"),
    ],
)
def test_damaged_plans(tmp_path, change, says):
    path = tmp_path / "run.json"
    path.write_text(json.dumps({"seeds": [1], "folds": ["1"], **change}))
    with pytest.raises(DamagedFileError) as refused:
        read_plan(path)
    assert str(refused.value) == f"{path}: damaged ({says}); delete it and run stage 4 again"


@pytest.mark.parametrize(
    "content", ["[]", "3", "{", '{"a": "\\ud800"}', "[" * 100_000, '{"a": ' + "9" * 5000 + "}", ""]
)
def test_plans_that_are_no_plans(tmp_path, content):
    path = tmp_path / "run.json"
    path.write_text(content)
    with pytest.raises(DamagedFileError, match=r"run.json: damaged, is not JSON; delete it and run stage 4 again$"):
        read_plan(path)


def test_a_plan_without_what_is_needed(tmp_path):
    path = tmp_path / "run.json"
    path.write_text('{"tag": "x"}')
    assert read_plan(path) == {"tag": "x"}
    with pytest.raises(DamagedFileError, match=r"damaged \(seeds: is missing\)"):
        read_plan(path, need=("seeds", "folds"))
