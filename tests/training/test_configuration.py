"""Configurations merged by hand-made examples."""

import subprocess
import sys
from pathlib import Path

import pytest

from m4ser.training import configuration
from m4ser.utils.errors import UserError

SYSTEMS = {
    "common": "max_epoch: 30\nshuffle: true\n",
    "train_full": "# All of it.\nbase: common.yaml\nfusion: big\nlosses: {a: {weight: 1}, b: {weight: 2, size: 3}}\n",
    "train_no_a": "base: train_full.yaml\nlosses: {a: null}\n",
    "train_plain": "base: common.yaml\nfusion: plain\n",
    "train_alone": "task: linear\n",
}


@pytest.fixture
def egs(tmp_path, monkeypatch):
    """TEMPLATE with a few systems and the recipe `r`, which has none; its folder is the current one."""
    put(tmp_path / "TEMPLATE", **SYSTEMS)
    put(tmp_path / "r")
    monkeypatch.chdir(tmp_path / "r")
    return tmp_path


def put(folder: Path, **files: str) -> None:
    (folder / "conf").mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / f"conf/{name}.yaml").write_text(text)


def read(name: str):
    return configuration.read_config(f"conf/train_{name}.yaml")


def test_a_recipe_has_the_systems_of_the_template(egs):
    assert read("no_a") == {
        "max_epoch": 30,
        "shuffle": True,
        "fusion": "big",
        "losses": {"b": {"weight": 2, "size": 3}},
    }
    assert configuration.layers("conf/train_no_a.yaml") == [
        Path("../TEMPLATE/conf/common.yaml"),
        Path("../TEMPLATE/conf/train_full.yaml"),
        Path("../TEMPLATE/conf/train_no_a.yaml"),
    ]
    assert configuration.systems(".") == ["alone", "full", "no_a", "plain"]
    assert configuration.systems("../TEMPLATE") == ["alone", "full", "no_a", "plain"]


def test_what_a_corpus_needs_holds_for_all_that_builds_on_it(egs):
    put(
        egs / "r",
        recipe="common: {max_epoch: 5, shuffle: null}\nfull: {losses: {a: {weight: 9}, b: {weight: 7}}, lr: 1.0e-3}\n",
    )
    assert read("full") == {
        "max_epoch": 5,
        "fusion": "big",
        "losses": {"a": {"weight": 9}, "b": {"weight": 7, "size": 3}},
        "lr": 0.001,
    }
    assert read("no_a")["losses"] == {"b": {"weight": 7, "size": 3}}  # still without what it ablates
    assert read("plain") == {"max_epoch": 5, "fusion": "plain"}
    assert read("alone") == {"task": "linear"}
    assert configuration.layers("conf/train_plain.yaml") == [
        Path("../TEMPLATE/conf/common.yaml"),
        Path("conf/recipe.yaml"),
        Path("../TEMPLATE/conf/train_plain.yaml"),
    ]
    assert configuration.layers("conf/train_alone.yaml") == [Path("../TEMPLATE/conf/train_alone.yaml")]
    assert configuration.read_config(egs / "other/conf/../../TEMPLATE/conf/train_plain.yaml")["max_epoch"] == 30


def test_files_of_a_recipe_come_first(egs):
    put(
        egs / "r",
        recipe="full: {lr: 0.5}\n",
        train_full="base: train_full.yaml\nfusion: own\n",
        train_new="base: train_no_a.yaml\nsize: [1, 2]\n",
        train_plain="fusion: whole\n",
    )
    assert read("full")["fusion"] == read("no_a")["fusion"] == "own"  # an ablation of the recipe's system
    assert read("new") == {**read("no_a"), "size": [1, 2]}
    assert read("new")["lr"] == 0.5
    assert read("plain") == {"fusion": "whole"}
    assert configuration.layers("conf/train_new.yaml") == [
        Path("../TEMPLATE/conf/common.yaml"),
        Path("../TEMPLATE/conf/train_full.yaml"),
        Path("conf/recipe.yaml"),
        Path("conf/train_full.yaml"),
        Path("../TEMPLATE/conf/train_no_a.yaml"),
        Path("conf/train_new.yaml"),
    ]
    assert configuration.systems(".") == ["alone", "full", "new", "no_a", "plain"]
    # A file elsewhere names the recipe's by its path, and means what the recipe means.
    (egs / "mine.yaml").write_text("base: r/conf/train_no_a.yaml\nlr: 2\n")
    assert configuration.read_config(egs / "mine.yaml") == {**read("no_a"), "lr": 2}


def test_find_config(egs):
    found = configuration.find_config("full", ".")
    assert found == configuration.find_config("conf/train_full.yaml", ".") == Path("conf/train_full.yaml")
    assert configuration.read_config(found)["fusion"] == "big"
    with pytest.raises(UserError, match=r"conf/train_x.yaml: no such .* nor ../TEMPLATE/conf/train_x.yaml; m4ser c"):
        configuration.find_config("x", ".")
    for asked in (lambda: configuration.find_config("full", "../nowhere"), lambda: configuration.systems("../nowhere")):
        with pytest.raises(UserError, match=r"^\.\./nowhere: no such folder of a recipe$"):
            asked()


def test_lists_and_values_are_replaced_and_mappings_can_be_taken_away(egs):
    put(egs / "r", train_a="x: [1, 2]\ny: {p: 1}\nz: {q: {r: 1}}\n")
    put(egs / "r", train_b="base: train_a.yaml\nx: [3]\ny: null\nz: {q: {r: null}}\n")
    put(egs / "r", train_c="base: train_b.yaml\ny: {s: 2}\nz: 5\n")
    assert read("b") == {"x": [3], "z": {"q": {}}}
    assert read("c") == {"x": [3], "y": {"s": 2}, "z": 5}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"train_x": "base: train_y.yaml\n", "train_y": "base: train_x.yaml\n"}, "conf/train_y.yaml: base: train_x"),
        ({"train_x": "base: train_x.yaml\n"}, "conf/train_x.yaml: base: train_x.yaml builds on this file itself"),
        ({"train_x": "base: no.yaml\n"}, "conf/train_x.yaml: base: there is no conf/no.yaml, nor ../TEMPLATE/conf/no"),
        ({"train_x": "base: [a, b]\n"}, "conf/train_x.yaml: base: must be the name of one file, not ['a', 'b']"),
        (
            {"train_x": "base: train_full.yaml\nlosses: {aa: null}\n"},
            "conf/train_x.yaml: losses: aa: null takes a key away, but there is none in what this builds on",
        ),
        ({"train_x": "lr: 1e-3\n"}, "conf/train_x.yaml: lr: '1e-3' is text in YAML; write 1.0e-03"),
        ({"train_x": "lr: -1e-3\n"}, "conf/train_x.yaml: lr: '-1e-3' is text in YAML; write -1.0e-03"),
        ({"train_x": "grid: [0.1, 1e-2]\n"}, "conf/train_x.yaml: grid: '1e-2' is text in YAML; write 1.0e-02"),
        ({"train_x": "a: [\n"}, "conf/train_x.yaml: not valid YAML ("),
        ({"train_x": "- a\n"}, "conf/train_x.yaml: must be a mapping of option: value"),
        (
            {"train_x": "base: common.yaml\n", "recipe": "comon: {a: 1}\n"},
            "conf/recipe.yaml: comon: ../TEMPLATE/conf has no comon.yaml and no train_comon.yaml",
        ),
        (
            {"train_x": "base: common.yaml\n", "recipe": "common:\n"},
            "conf/recipe.yaml: common: must be a mapping of option: value",
        ),
        (
            {"train_x": "base: common.yaml\n", "recipe": "common: {optim_conf: {lr: 1e-3}}\n"},
            "conf/recipe.yaml: common: optim_conf: lr: '1e-3' is text in YAML",
        ),
    ],
)
def test_mistakes(egs, files, message):
    put(egs / "r", **files)
    with pytest.raises(UserError) as error:
        read("x")
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_an_option_that_the_task_does_not_have(egs):
    put(egs / "r", recipe="common: {max_epock: 5}\n")
    put(egs / "TEMPLATE", train_full="base: common.yaml\nfusion: m4ser\n", common="max_epoch: 30\n")
    with pytest.raises(UserError, match=r"^conf/recipe.yaml: common: unknown option 'max_epock' of task ser; did you"):
        configuration.parse_task("conf/train_full.yaml")
    put(egs / "r", recipe="common: {max_epoch: 5}\n")
    args = configuration.parse_task("conf/train_full.yaml", "--optim_conf lr=0.5 --fusion late")
    assert (args.max_epoch, args.fusion, args.optim_conf) == (5, "late", {"lr": 0.5})
    assert args.config == "conf/train_full.yaml"


def test_reading_is_light():
    heavy = "import sys; import m4ser.training.configuration; sys.exit(bool({'torch', 'espnet2'} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", heavy], check=True, timeout=60)
