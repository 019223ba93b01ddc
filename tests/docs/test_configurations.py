"""The page about configurations: its examples, and the tree of files."""

import re
from pathlib import Path

import yaml

from m4ser.training.configuration import read_config

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/configurations.md").read_text(encoding="utf-8")
TEMPLATE = ROOT / "egs/TEMPLATE/conf"


def test_examples_merge(tmp_path):
    """An ablation that TEMPLATE has, a recipe.yaml, and a recipe's own file on TEMPLATE's."""
    ablation, recipe, own = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert ablation == (TEMPLATE / "train_m4ser_no_adversarial.yaml").read_text(encoding="utf-8")
    (tmp_path / "TEMPLATE").symlink_to(ROOT / "egs/TEMPLATE")
    (tmp_path / "r/conf").mkdir(parents=True)
    (tmp_path / "r/conf/recipe.yaml").write_text(recipe)
    (tmp_path / "r/conf/train_m4ser.yaml").write_text(own)

    late = read_config(tmp_path / "r/conf/train_late.yaml")
    assert (late["max_epoch"], late["scheduler_conf"], late["optim_conf"]["lr"]) == (8, {"T_max": 8}, 2.0e-3)
    for name in ("m4ser", "m4ser_no_adversarial"):
        config = read_config(tmp_path / f"r/conf/train_{name}.yaml")
        template = read_config(TEMPLATE / f"train_{name}.yaml")
        assert config["fusion_conf"] == template["fusion_conf"] | {"size": 384}
        assert config["objectives"] == template["objectives"]
        assert (config["max_epoch"], config["optim_conf"]["lr"]) == (8, 1.0e-3)


def test_the_tree_has_every_base_and_its_systems():
    tree = re.findall(r"```\n(common.*?)```", PAGE, re.DOTALL)[0]
    bases = {yaml.safe_load(file.read_text(encoding="utf-8")).get("base") for file in TEMPLATE.glob("*.yaml")}
    assert {"common.yaml", "speech_text.yaml", "train_m4ser.yaml", "espnet.yaml"} <= bases
    missing = [file.name for file in TEMPLATE.glob("*.yaml") if file.name not in tree]
    assert all(re.match(r"train_m4ser_", name) for name in missing), missing
