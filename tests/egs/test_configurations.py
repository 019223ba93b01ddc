"""Ablations differ from M4SER only in what they ablate; other systems may have a learning rate of their own."""

from pathlib import Path

import pytest
import yaml

from m4ser.training.configuration import parse_task

EGS = Path(__file__).resolve().parents[2] / "egs"
RECIPES = sorted(path.parent for path in EGS.glob("*/conf/train_m4ser.yaml"))
ADVERSARIAL = ("objectives.adversarial", "param_groups.objectives.adversarial")
OWN = ("optim_conf.lr",)  # of systems that are no ablation, chosen on dev by tune.sh
FUSION = ("fusion", "fusion_conf", *ADVERSARIAL)
ABLATED = {
    "mf_aed_aec": ("objectives.contrastive", *ADVERSARIAL),
    "m4ser_no_aed": ("objectives.aed",),
    "m4ser_no_aec": ("objectives.aec",),
    "m4ser_no_aed_aec": ("objectives.aed", "objectives.aec"),
    "m4ser_no_fusion": FUSION,
    "m4ser_no_adversarial": ADVERSARIAL,
    "m4ser_no_contrastive": ("objectives.contrastive",),
    "concat": (*FUSION, *OWN, "objectives"),
    "speech": (*FUSION, *OWN, "objectives", "text_encoder", "text_encoder_conf", "param_groups"),
    "text": (*FUSION, *OWN, "objectives", "speech_encoder", "speech_encoder_conf"),
}


def leaves(tree, path=""):
    """Nested mapping -> {dotted path: value}."""
    if isinstance(tree, dict):
        return {p: v for key, inner in tree.items() for p, v in leaves(inner, f"{path}.{key}".lstrip(".")).items()}
    return {path: tree}


def read(folder, name):
    return leaves(yaml.safe_load((folder / f"train_{name}.yaml").read_text(encoding="utf-8")))


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda folder: folder.parent.name)
def test_an_ablation_changes_only_what_it_ablates(recipe):
    full = read(recipe, "m4ser")
    for name, ablated in ABLATED.items():
        if not (recipe / f"train_{name}.yaml").exists():
            continue
        other = read(recipe, name)
        changed = {key for key in full.keys() | other.keys() if full.get(key) != other.get(key)}
        assert changed, name
        strangers = {key for key in changed if not any(key == a or key.startswith(a + ".") for a in ablated)}
        assert not strangers, f"{recipe}/train_{name}.yaml also changes {sorted(strangers)}"


@pytest.mark.parametrize("recipe", ["mini", "ravdess"])
def test_every_ablation_is_there_and_valid(recipe):
    for name in ("m4ser", *ABLATED):
        parse_task(EGS / recipe / "conf" / f"train_{name}.yaml")
