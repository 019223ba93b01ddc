"""Configurations of all recipes: each system once, ablations that ablate, options that the tasks have."""

import functools
from pathlib import Path

import pytest

from m4ser.training import configuration

EGS = Path(__file__).resolve().parents[2] / "egs"
RECIPES = sorted(path.parent.name for path in EGS.glob("*/run.sh"))
SYSTEMS = """concat cross_attention egemaps_logistic egemaps_svm espnet_asr espnet_cls gated lamer late m4ser
    m4ser_hubert_bert m4ser_no_adversarial m4ser_no_aec m4ser_no_aed m4ser_no_aed_aec m4ser_no_contrastive
    m4ser_mended m4ser_no_fusion m4ser_no_invariant m4ser_no_specific m4ser_wavlm_roberta m4ser_whisper_deberta m4ser_x
    mf_aed_aec mmer mtl_aug speech text""".split()
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
    "m4ser_no_invariant": ("fusion_conf.parts", *ADVERSARIAL),
    "m4ser_no_specific": ("fusion_conf.parts",),
}
PARTS = ABLATED | {
    "concat": (*FUSION, *OWN, "objectives"),
    "speech": (*FUSION, *OWN, "objectives", "text_encoder", "text_encoder_conf", "param_groups"),
    "text": (*FUSION, *OWN, "objectives", "speech_encoder", "speech_encoder_conf"),
}


@functools.cache
def read(recipe, name):
    return configuration.read_config(configuration.find_config(name, EGS / recipe))


def leaves(tree, path=""):
    """Nested mapping -> {dotted path: value}."""
    if isinstance(tree, dict):
        return {p: v for key, inner in tree.items() for p, v in leaves(inner, f"{path}.{key}".lstrip(".")).items()}
    return {path: tree}


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_has_every_system(recipe):
    assert set(SYSTEMS) <= set(configuration.systems(EGS / recipe))
    assert set(SYSTEMS) == set(configuration.systems(EGS / "TEMPLATE"))


@pytest.mark.parametrize("recipe", RECIPES)
def test_an_ablation_changes_only_what_it_ablates(recipe):
    full = leaves(read(recipe, "m4ser"))
    for name, ablated in PARTS.items():
        other = leaves(read(recipe, name))
        changed = {key for key in full.keys() | other.keys() if full.get(key) != other.get(key)}
        kinds = {a for a in ablated for key in changed if key == a or key.startswith(a + ".")}
        assert kinds >= set(ablated) - set(OWN), f"{recipe}: {name} leaves something as it is"
        strangers = {key for key in changed if not any(key == a or key.startswith(a + ".") for a in ablated)}
        assert not strangers, f"{recipe}: {name} also changes {sorted(strangers)}"


def test_an_ablations_file_says_what_it_ablates_and_no_more():
    for name in ABLATED:
        assert len((EGS / f"TEMPLATE/conf/train_{name}.yaml").read_text().splitlines()) <= 5, name


def test_no_file_is_a_copy_of_another():
    files = [path for path in EGS.rglob("*.yaml") if path.relative_to(EGS).parts[1] not in ("data", "dump", "exp")]
    settings = ["".join(line for line in path.read_text().splitlines() if line[:1] != "#") for path in files]
    assert len(set(settings)) == len(files) <= 60


def test_values_that_a_recipe_chose():
    """By hand from RAVDESS's tuning and the small corpus: what recipe.yaml says reaches the systems that it is for."""
    rates = {
        name: read("ravdess", name).get("optim_conf", {}).get("lr") for name in configuration.systems(EGS / "ravdess")
    }
    expected = {"speech": 2.0e-3, "late": 2.0e-3, "espnet_asr": 2.0e-3, "gated": 1.0e-3, "espnet_cls": 1.0e-3}
    expected |= dict.fromkeys([name for name in rates if name.startswith("egemaps_")])
    expected |= dict.fromkeys([name for name in rates if "whisper" in name or "bert" in name], 1.0e-4)
    expected |= {"whisper_finetune": 3.0e-5, "whisper_lora": 3.0e-5}
    assert rates == dict.fromkeys(rates, 5.0e-4) | expected
    assert read("mini", "m4ser_no_aed")["max_epoch"] == read("mini", "m4ser_no_aed")["scheduler_conf"]["T_max"] == 12
    assert read("mini", "espnet_cls")["scheduler_conf"] == {"warmup_steps": 40}
    assert read("meld_tts", "speech")["batch_type"] == "sorted" and "shuffle_within_batch" not in read(
        "meld_tts", "text"
    )
    assert read("emodb", "m4ser") == read("TEMPLATE", "m4ser")


@pytest.mark.slow
def test_all_are_valid_options_of_their_tasks():
    parsed = []
    for recipe in RECIPES:
        for name in configuration.systems(EGS / recipe):
            config = read(recipe, name)
            if config not in parsed:  # most recipes have TEMPLATE's values
                args = configuration.parse_task(configuration.find_config(name, EGS / recipe))
                assert {key: getattr(args, key) for key in config} == config
                parsed.append(config)
    assert len(parsed) > 4 * len(SYSTEMS) - 20
