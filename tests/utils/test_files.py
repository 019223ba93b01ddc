"""Files written whole or not at all, and read back."""

import pytest

from m4ser.utils.errors import DamagedFileError
from m4ser.utils.files import read_json, write_json


def test_json_round_trip_says_what_made_it(tmp_path):
    write_json(tmp_path / "a.json", {"text": "é", "list": [1, 2]})
    found = read_json(tmp_path / "a.json")
    assert set(found.pop("made_by")) >= {"command", "m4ser", "git"}
    assert found == {"text": "é", "list": [1, 2]}
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize("content", [b"", b'{"a": 1', b"\xff\xfe"])
def test_damaged_json_is_named(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(DamagedFileError, match=r"a.json: is not JSON .*make it again"):
        read_json(tmp_path / "a.json")


def test_value_that_is_no_json_leaves_the_old_file(tmp_path):
    write_json(tmp_path / "a.json", {"n": 1})
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {"n": object()})
    assert read_json(tmp_path / "a.json")["n"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
