"""Merged configurations with their sources."""

from pathlib import Path

import pytest
import yaml

from m4ser.training import merged
from m4ser.training.configuration import read_config, stack
from m4ser.utils.errors import UserError


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """A recipe on a template with one system and its ablation; its folder is the current one."""
    template, conf = tmp_path / "TEMPLATE/conf", tmp_path / "r/conf"
    template.mkdir(parents=True)
    conf.mkdir(parents=True)
    (template / "common.yaml").write_text("max_epoch: 30\n")
    (template / "train_full.yaml").write_text("# All.\nbase: common.yaml\nlosses: {a: {w: 1}, b: {w: 2, x: 3}}\n")
    (template / "train_no_a.yaml").write_text("base: train_full.yaml\nlosses: {a: null}\n")
    (conf / "recipe.yaml").write_text("common: {max_epoch: 5}\n")
    monkeypatch.chdir(tmp_path / "r")
    return tmp_path / "r"


def test_where_values_are_from(recipe):
    origins = merged.origins(stack("conf/train_no_a.yaml"))
    assert {".".join(path): str(layer) for path, layer in origins.items()} == {
        "max_epoch": "conf/recipe.yaml: common",
        "losses.b.w": "../TEMPLATE/conf/train_full.yaml",
        "losses.b.x": "../TEMPLATE/conf/train_full.yaml",
    }


def test_a_mapping_that_was_emptied_is_from_who_emptied_it(recipe):
    (recipe / "conf/train_none.yaml").write_text("base: train_no_a.yaml\nlosses: {b: null}\n")
    origins = merged.origins(stack("conf/train_none.yaml"))
    assert str(origins[("losses",)]) == "conf/train_none.yaml"
    assert merged.render("conf/train_none.yaml").splitlines()[-1] == "losses: {}    # conf/train_none.yaml"


def test_what_is_shown_reads_as_the_same(recipe):
    lines = ["rate: 5.0e-5", "text: 'yes: # no'", '"1": é', "list: [[valid, ua, max]]", "flag: false"]
    lines.append("many: [" + "0.001, " * 40 + "1]")
    (recipe / "conf/train_odd.yaml").write_text("\n".join(lines), encoding="utf-8")
    config = read_config("conf/train_odd.yaml")
    assert yaml.safe_load(merged.render("conf/train_odd.yaml")) == config
    assert config["rate"] == 5.0e-5 and config["1"] == "é"


def test_the_merged_file_is_written_once(recipe):
    path = merged.write_merged("conf/train_no_a.yaml", "exp/no_a")
    assert path == Path("exp/no_a/train_config.yaml")
    assert (
        read_config(path) == read_config("conf/train_no_a.yaml") == {"max_epoch": 5, "losses": {"b": {"w": 2, "x": 3}}}
    )
    before = path.stat().st_ino  # a file that is written anew is another one
    merged.write_merged("conf/train_no_a.yaml", "exp/no_a")
    assert path.stat().st_ino == before
    (recipe / "conf/recipe.yaml").write_text("common: {max_epoch: 6}\n")
    merged.write_merged("conf/train_no_a.yaml", "exp/no_a")
    assert yaml.safe_load(path.read_text(encoding="utf-8"))["max_epoch"] == 6


def test_summaries(recipe):
    assert merged.summaries(".") == {"full": "All.", "no_a": ""}
    with pytest.raises(UserError, match=r"^conf/conf: no training configurations; name the folder of a recipe"):
        merged.summaries("conf")
