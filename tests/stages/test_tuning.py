"""Settings that are tried, with one budget for all systems."""

import pytest
import yaml

from m4ser.stages.tuning import trials
from m4ser.training.configuration import as_options, parse_task
from m4ser.utils.errors import UserError

GRID = {"default": {"c_grid": [0.001, 1.0, 10.0], "class_weight": ["balanced", "none"]}, "other": {"a.b.c": [1, 2]}}


@pytest.fixture
def draw(tmp_path):
    """Function from a system, a budget and its configuration to the training options of each point, by its tag."""
    (tmp_path / "conf").mkdir()
    (tmp_path / "grid.yaml").write_text(yaml.safe_dump(GRID))

    def drawn(system, budget, config="task: linear\n"):
        (tmp_path / f"conf/train_{system}.yaml").write_text(config)
        points = trials(system, tmp_path / "grid.yaml", budget, str(tmp_path)).points
        return {tag: as_options(point) for tag, point in points.items()}

    return drawn


def test_points_are_the_same_number_for_all_and_the_same_every_time(draw):
    first = draw("linear", 4)
    assert list(first) == ["linear_00", "linear_01", "linear_02", "linear_03"]
    assert first["linear_00"] == "" and len(set(first.values())) == 4
    assert draw("linear", 4) == first
    assert list(draw("another", 4).values()) != list(first.values())
    assert set(draw("other", 3).values()) == {"", "--a b.c=1", "--a b.c=2"}
    assert list(draw("other", 2, "a: {b: {c: 2}}\n").values()) == ["", "--a b.c=1"]
    with pytest.raises(UserError, match="other has 1 points; --budget 3 needs 2"):  # its own is not tried twice
        draw("other", 3, "a: {b: {c: 2}}\n")
    with pytest.raises(UserError, match="other has 2 points; --budget 4 needs 3"):
        draw("other", 4)
    with pytest.raises(UserError, match="--budget 0: must be 1 or more"):
        draw("other", 0)


def test_what_the_configuration_says_of_what_is_tuned(tmp_path, draw):
    draw("other", 1, "a: {b: {c: 5}}\n")
    assert trials("other", tmp_path / "grid.yaml", 1, str(tmp_path)).own == {"a.b.c": 5}
    draw("linear", 1)
    assert trials("linear", tmp_path / "grid.yaml", 1, str(tmp_path)).own == {"c_grid": None, "class_weight": None}


def test_a_file_that_is_no_grid(tmp_path, draw):
    draw("other", 1)
    (tmp_path / "grid.yaml").write_text("default: {max_epoch: 3}\n")
    with pytest.raises(
        UserError, match=r"grid\.yaml: has no options with lists of values for other, nor under default"
    ):
        trials("other", tmp_path / "grid.yaml", 1, str(tmp_path))


def test_settings_are_options_that_training_understands(tmp_path):
    (tmp_path / "a.yaml").write_text("fusion: concat\nmodel_conf: {dropout: 0.5, label_smoothing: 0.1}\n")
    point = {"optim_conf.lr": 0.0003, "model_conf.dropout": 0.1, "max_epoch": 7, "objectives.aed.weight": 0.5}
    args = parse_task(tmp_path / "a.yaml", as_options(point))
    assert args.optim_conf["lr"] == 0.0003 and args.max_epoch == 7 and args.objectives == {"aed": {"weight": 0.5}}
    assert args.model_conf == {"dropout": 0.1, "label_smoothing": 0.1}
