"""YAML within bounds; what has to be refused is refused at once."""

import time

import pytest

from m4ser.utils.errors import UserError
from m4ser.utils.yaml_text import parse_yaml, read_yaml

LEVELS = range(1, 12)
MERGE_BOMB = "a0: &a0 {x: 1, y: 2}\n" + "".join(
    f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}\n" for i in LEVELS
)
ALIAS_BOMB = "a0: &a0 [1, 2]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in LEVELS)
CHAIN = "a0: &a0 [1]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 2000))


def test_what_a_configuration_has():
    text = "a: 1\nb: [x, 2.5, true, null]\nc: {d: 'e'}\nf: 0x10\n"
    assert parse_yaml(text, "x") == {"a": 1, "b": ["x", 2.5, True, None], "c": {"d": "e"}, "f": 16}
    assert parse_yaml("", "x") is None and parse_yaml("# nothing\n", "x") is None
    assert parse_yaml("3", "x") == 3 and parse_yaml("'3'", "x") == "3"


def test_aliases_and_merges_mean_what_they_mean_in_yaml():
    text = "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: [*a, *a]\n"
    a = {"x": 1, "y": 2}
    assert parse_yaml(text, "x") == {"a": a, "b": {"x": 1, "y": 3}, "c": [a, a]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MERGE_BOMB, "more than 20000 values when all aliases"),
        (ALIAS_BOMB, "more than 20000 values when all aliases"),
        (CHAIN, "more than 32 mappings and lists in one another"),
        ("a: " + "[" * 5000, "more than 32 mappings and lists in one another"),
        ("a: " + "{a: " * 5000, "more than 32 mappings and lists in one another"),
        ("? " * 5000, "more than 32 mappings and lists in one another"),
        ("a: &a [*a]", "line 1: refers to itself"),
        ("a: 1\nb: 2\na: 3\n", "line 3: the key 'a' is there twice; delete one"),
        ("a:\n  b: {c: 1, 'c': 2}\n", "line 2: the key 'c' is there twice"),
        ("1: a", "line 1: the key '1' is no text; put it in quotes"),
        ("no: a", "line 1: the key 'no' is no text"),
        ("[a]: b", "line 1: the key what begins here is no text"),
        ("a: 2020-01-01", "line 1: '2020-01-01' is of the type timestamp, which no option has"),
        ("a: !!set {b}", "line 1: what begins here is of the type set"),
        ("a: !!python/object/apply:os.system [echo]", "line 1: what begins here is of the type python/object/apply"),
        ("a: " + "9" * 5000, "line 1: '99999999999999999999999999999999999...' is too large a number"),
        ("a: !!int x", "not valid YAML (invalid literal for int"),
        ('a: "\\ud800"', "line 1: '\\ud800' is not Unicode"),
        ("a: *b", "not valid YAML (found undefined alias 'b'"),
        ("<<: 3", "not valid YAML (while constructing a mapping"),
        ("a: \0", "not valid YAML (unacceptable character"),
        ("a" * 100_001, "has 100001 characters; at most 100000 are read"),
    ],
)
def test_refused(text, message):
    started = time.process_time()
    with pytest.raises(UserError) as refused:
        parse_yaml(text, "conf/x.yaml")
    assert str(refused.value).startswith("conf/x.yaml: ") and message in str(refused.value)
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 400
    assert time.process_time() - started < 2


def test_files(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text("é: 1\n", encoding="utf-8")
    assert read_yaml(path) == {"é": 1}
    path.write_bytes(b"a: \xe9\n")
    with pytest.raises(UserError, match=r"x.yaml: not valid YAML \('utf-8' codec"):
        read_yaml(path)
    path.write_bytes(b"#" * 100_001)
    with pytest.raises(UserError, match=r"x.yaml: is longer than 100000 bytes"):
        read_yaml(path)
    with pytest.raises(UserError, match=r"cannot be read \(Is a directory\)"):
        read_yaml(tmp_path)
