"""What was tried for a system, best on dev first."""

import json

import pytest

from m4ser.bin import infer, table, train, tune
from m4ser.stages.tuning import trials
from m4ser.training.configuration import as_options
from m4ser.utils.errors import UserError


def test_best_on_dev_comes_first_and_test_is_not_read(toy_dumps, monkeypatch):
    monkeypatch.setenv("M4SER_DEBUG", "1")
    monkeypatch.chdir(toy_dumps)
    grid = toy_dumps / "grid.yaml"
    grid.write_text("default: {c_grid: [0.001, 1.0, 10.0], class_weight: [balanced, none]}\n")
    (toy_dumps / "conf").mkdir(exist_ok=True)
    (toy_dumps / "conf/train_linear.yaml").write_text("task: linear\n")
    words = ["--system", "linear", "--budget", "3"]
    for name, point in trials("linear", grid, 3).points.items():
        exp = ["--exp", f"exp/tune/{name}"]
        more = ["--train-args", as_options(point)] if point else []
        train.main(
            ["--feats", "dump/feats/toy", *exp, "--config", "conf/train_linear.yaml", *more, "--plan", "--job", "1"]
        )
        infer.main([*exp, "--job", "1", "--parts", "dev"])
    assert not list(toy_dumps.glob("exp/tune/*/fold1/seed1/predictions_test.tsv"))
    tune.main(["--grid", str(grid), *words])  # conf/train_linear.yaml, by its name
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
        tune.main(["--grid", str(grid), *words])
