"""Settings chosen on dev, with one budget for all systems."""

import json

import pytest
import yaml

from m4ser.bin import infer, table, train, tune
from m4ser.training.configuration import parse_task
from m4ser.utils.errors import UserError

GRID = {"default": {"c_grid": [0.001, 1.0, 10.0], "class_weight": ["balanced", "none"]}, "other": {"a.b.c": [1, 2]}}


@pytest.fixture
def grid(tmp_path, monkeypatch):
    monkeypatch.setenv("M4SER_DEBUG", "1")
    path = tmp_path / "grid.yaml"
    path.write_text(yaml.safe_dump(GRID))
    return path


def plan(capsys, grid, *words, config="task: linear\n"):
    path = grid.with_name("conf.yaml")
    path.write_text(config)
    tune.main(["--grid", str(grid), "--config", str(path), "--plan", *words])
    return [line.split("\t") for line in capsys.readouterr().out.splitlines()]


def test_points_are_the_same_number_for_all_and_the_same_every_time(grid, capsys):
    first = plan(capsys, grid, "--system", "linear", "--budget", "4")
    assert [name for name, _ in first] == ["linear_00", "linear_01", "linear_02", "linear_03"]
    assert first[0][1] == "" and len({settings for _, settings in first}) == 4
    assert plan(capsys, grid, "--system", "linear", "--budget", "4") == first
    assert plan(capsys, grid, "--system", "another", "--budget", "4") != first
    assert {s for _, s in plan(capsys, grid, "--system", "other", "--budget", "3")} == {"", "--a b.c=1", "--a b.c=2"}
    assert plan(capsys, grid, "--system", "other", "--budget", "2", config="a: {b: {c: 2}}\n")[1][1] == "--a b.c=1"
    with pytest.raises(UserError, match="other has 1 points; --budget 3 needs 2"):  # its own is not tried twice
        plan(capsys, grid, "--system", "other", "--budget", "3", config="a: {b: {c: 2}}\n")
    with pytest.raises(UserError, match="other has 2 points; --budget 4 needs 3"):
        plan(capsys, grid, "--system", "other", "--budget", "4")


def test_settings_are_options_that_training_understands(tmp_path):
    (tmp_path / "a.yaml").write_text("fusion: concat\nmodel_conf: {dropout: 0.5, label_smoothing: 0.1}\n")
    point = {"optim_conf.lr": 0.0003, "model_conf.dropout": 0.1, "max_epoch": 7, "objectives.aed.weight": 0.5}
    args = parse_task(tmp_path / "a.yaml", tune.options(point))
    assert args.optim_conf["lr"] == 0.0003 and args.max_epoch == 7 and args.objectives == {"aed": {"weight": 0.5}}
    assert args.model_conf == {"dropout": 0.1, "label_smoothing": 0.1}


def test_best_on_dev_comes_first_and_test_is_not_read(toy_dumps, grid, capsys, monkeypatch):
    monkeypatch.chdir(toy_dumps)
    (toy_dumps / "conf").mkdir(exist_ok=True)
    (toy_dumps / "conf/train_linear.yaml").write_text("task: linear\n")
    words = ["--system", "linear", "--budget", "3"]
    for name, settings in plan(capsys, grid, *words):
        exp = ["--exp", f"exp/tune/{name}"]
        more = ["--train-args", settings] if settings else []
        train.main(
            ["--feats", "dump/feats/toy", *exp, "--config", "conf/train_linear.yaml", *more, "--plan", "--job", "1"]
        )
        infer.main([*exp, "--job", "1", "--parts", "dev"])
    assert not list(toy_dumps.glob("exp/tune/*/fold1/seed1/predictions_test.tsv"))
    tune.main(["--grid", str(grid), "--report", *words])  # conf/train_linear.yaml, by its name
    about = json.loads((toy_dumps / "exp/tune/linear.json").read_text())["about"]
    assert (about["protocol"], about["folds"], about["seeds"]) == ("toy-6", ["1"], ["1"])
    found = about["points"]
    assert len(found) == 3 and found[0]["dev_ua"] >= found[-1]["dev_ua"]
    assert found[0]["runs"] == 1 and found[0]["sd"] is None  # one run has no deviation
    assert "as configured" in (toy_dumps / "exp/tune/linear.md").read_text()
    page = toy_dumps / "README.md"
    page.write_text("<!-- begin results linear -->\n<!-- end results linear -->\n")
    table.main(["insert", "--readme", str(page), "--name", "linear", "--from", str(toy_dumps / "exp/tune/linear.json")])
    assert "| linear_00 | " in page.read_text() and "mean over 1 run" in page.read_text()
    plan_file = toy_dumps / "exp/tune/linear_01/run.json"
    plan_file.write_text(json.dumps({**json.loads(plan_file.read_text()), "train_args": "--max_iter 7"}))
    with pytest.raises(UserError, match=r"linear_01/run\.json: was trained with '--max_iter 7', the grid says"):
        tune.main(["--grid", str(grid), "--report", *words])
