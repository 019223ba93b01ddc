"""Files written whole or not at all, and read back."""

import numpy as np
import pytest

from m4ser.utils import files
from m4ser.utils.errors import DamagedFileError
from m4ser.utils.files import (
    atomic_directory,
    atomic_path,
    atomic_write,
    read_json,
    remove,
    rounded,
    write_json,
    write_markdown,
)


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


def test_file_appears_when_it_is_complete(tmp_path):
    path = tmp_path / "new folder" / "a.txt"
    with atomic_write(path) as file:
        file.write("é\n")
        assert not path.exists()
    assert path.read_bytes() == b"\xc3\xa9\n"
    with pytest.raises(ZeroDivisionError), atomic_write(path) as file:
        file.write("half")
        raise ZeroDivisionError
    assert path.read_bytes() == b"\xc3\xa9\n"
    assert list(path.parent.iterdir()) == [path]


def test_temporary_path_keeps_the_suffix(tmp_path):
    with atomic_path(tmp_path / "a.flac") as temporary:
        assert temporary.suffix == ".flac" and temporary.parent == tmp_path and temporary.name.startswith(".")
        temporary.write_bytes(b"new")
        assert not (tmp_path / "a.flac").exists()
    assert (tmp_path / "a.flac").read_bytes() == b"new"
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "b.flac"):
        pass  # nobody has written it
    assert [path.name for path in tmp_path.iterdir()] == ["a.flac"]


def test_folder_is_replaced_as_a_whole(tmp_path):
    for names in (["a", "b"], ["c"]):
        with atomic_directory(tmp_path / "folder") as temporary:
            for name in names:
                (temporary / name).touch()
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["c"]
    with pytest.raises(ZeroDivisionError), atomic_directory(tmp_path / "folder") as temporary:
        (temporary / "d").touch()
        raise ZeroDivisionError
    assert [path.name for path in tmp_path.rglob("*")] == ["folder", "c"]


def test_a_page_is_headed_by_what_made_it(tmp_path):
    made = {"command": "compare.sh " + "word " * 100, "m4ser": "0.2.0", "git": "abc"}
    write_markdown(tmp_path / "a.md", "body\n", made)
    *head, empty, body = (tmp_path / "a.md").read_text().splitlines()
    assert " ".join(line.removeprefix("> ") for line in head).startswith("Made by `compare.sh word word")
    assert head[-1].endswith("(m4ser 0.2.0, git abc); do not edit.") and (empty, body) == ("", "body")
    assert len(head) == 2 and max(map(len, head)) <= 400 and all(line.startswith("> ") for line in head)


def test_rounded_is_plain_and_has_six_decimals():
    found = rounded({1: np.array([1 / 3, 2.0]), "b": (np.float64(0.1234567), np.int64(3), None, "x")})
    assert found == {"1": [0.333333, 2.0], "b": [0.123457, 3, None, "x"]}
    assert type(found["b"][1]) is int


def test_what_is_removed_is_away_before_anything_in_it_is(tmp_path, monkeypatch):
    folder = tmp_path / "folder"
    (folder / "inner").mkdir(parents=True)
    with monkeypatch.context() as patch:
        patch.setattr(files.shutil, "rmtree", lambda *args, **more: None)  # killed here
        remove(folder)
    assert not folder.exists()
    folder.mkdir()
    remove(folder)
    remove(folder)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    remove(tmp_path / "file")
    assert list(tmp_path.iterdir()) == []
