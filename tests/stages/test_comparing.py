"""Systems that are compared."""

import pytest

from m4ser.stages.comparing import Row, check_recipe, rows
from m4ser.utils.errors import UserError


@pytest.fixture
def recipe(tmp_path):
    """A recipe with two systems of its own next to TEMPLATE with four."""
    template, recipe = tmp_path / "TEMPLATE/conf", tmp_path / "stub"
    template.mkdir(parents=True)
    (recipe / "conf").mkdir(parents=True)
    for name in ("m4ser", "concat", "m4ser_no_aed", "text"):
        (template / f"train_{name}.yaml").write_text("fusion: concat\n")
    (template / "train_large.yaml").write_text("speech_encoder: huggingface\n")
    (recipe / "conf/train_own.yaml").write_text("base: train_m4ser.yaml\n")
    (recipe / "conf/train_larger.yaml").write_text("base: train_large.yaml\n")
    return str(recipe)


def tags(recipe, configs):
    return [row.tag for row in rows(configs, "", "m4ser", recipe)]


def test_all_are_those_of_template_and_recipe_that_read_the_dumped_features(recipe):
    """Others have an encoder of their own inside, some need a GPU."""
    assert tags(recipe, "all") == ["concat", "m4ser", "m4ser_no_aed", "own", "text"]


def test_an_ablation_is_m4ser_without_its_parts_then_what_it_came_from(recipe):
    assert tags(recipe, "ablation") == ["m4ser", "m4ser_no_aed", "concat", "text"]


def test_reference_text_is_a_row_of_its_own(recipe):
    found = rows("m4ser", "m4ser own", "m4ser_text-ref", recipe)
    m4ser, own = (f"{recipe}/conf/train_{name}.yaml" for name in ("m4ser", "own"))
    assert found == [
        Row("m4ser", "m4ser", m4ser),
        Row("m4ser, reference text", "m4ser_text-ref", m4ser, "ref"),
        Row("own, reference text", "own_text-ref", own, "ref"),
    ]


def test_mistakes(recipe, tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"^conf/train_lstm.yaml: there is no such configuration$"):
        rows("m4ser lstm", "", "m4ser", recipe)
    with pytest.raises(UserError, match="--reference m4ser: is none of concat text"):
        rows("concat text", "", "m4ser", recipe)
    with pytest.raises(UserError, match="there are no configurations"):
        rows("all", "", "m4ser", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"there is no run\.sh here"):
        check_recipe()
