"""What names code is found at any depth; what only looks like it is not."""

import json

import pytest

from m4ser.utils.errors import DamagedFileError, UserError
from m4ser.utils.plain import code_in, read_plain_json, read_stored_yaml, refuse_code


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ({"auto_map": {"AutoModel": "x.Y"}}, "auto_map"),
        ([[{"a": {"b": [{"trust_remote_code": True}]}}]], "trust_remote_code"),
        ({"a": 1, "b": {"_target_": "os.system"}}, "_target_"),
        ({"_attn_implementation": "org/kernel"}, "attn_implementation: org/kernel"),
        (
            {"attn_implementation": {"text": "sdpa", "audio": "flash_attention_2"}},
            "attn_implementation: flash_attention",
        ),
        ({"model_type": "vision-encoder-decoder"}, "model_type: vision-encoder-decoder"),
        ({"num_beam_groups": 2, "x": "y"}, "num_beam_groups"),
    ],
)
def test_what_names_code(value, found):
    assert (code_in(value) or "").startswith(found)
    with pytest.raises(UserError, match="here: refused: asks for code"):
        refuse_code(value, "here")


@pytest.mark.parametrize(
    "value",
    [
        None,
        "auto_map",
        ["auto_map"],
        {"auto_map": None, "trust_remote_code": False, "num_beam_groups": 1, "penalty_alpha": None, "x": "y"},
        {"auto_map": 17, "the": 3},  # a vocabulary
        {"attn_implementation": "eager", "_attn_implementation_autoset": True},
        {"model_type": "bert", "text": {"model_type": "whisper"}},
    ],
)
def test_what_does_not(value):
    assert code_in(value) is None


def test_a_value_in_itself_is_searched_once():
    value = {"a": [1]}
    value["b"] = [value]
    assert code_in(value) is None


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, '{"a": ' * 100_000, "9" * 5000, "\x00"])
def test_what_is_no_json(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DamagedFileError, match=r"a\.json: is not JSON"):
        read_plain_json(tmp_path / "a.json")


def test_a_stored_configuration_may_have_numbers_for_keys_inside(tmp_path):
    (tmp_path / "a.yaml").write_text("id2label:\n  0: x\n  1: y\n")
    assert read_stored_yaml(tmp_path / "a.yaml") == {"id2label": {0: "x", 1: "y"}}
    for text in ("0: x\n", "- 1\n", "", json.dumps("x")):
        (tmp_path / "a.yaml").write_text(text)
        with pytest.raises(UserError, match=r"a\.yaml: is not a configuration"):
            read_stored_yaml(tmp_path / "a.yaml")
