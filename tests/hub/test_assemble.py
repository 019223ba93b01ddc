"""The last steps of making an archive."""

import json
import zipfile

import pytest

from m4ser.hub.archive import sha256_of
from m4ser.hub.assemble import finish_folder, zip_folder
from m4ser.utils.errors import UserError


@pytest.fixture
def description():
    return {
        "format": 1,
        "m4ser": "0.2.0",
        "labels": ["happy", "sad"],
        "parameters": 1,
        "pipeline": {"speech": None, "text": None},
        "training": {"tag": "tiny", "fold": "1", "seed": 1},
        "metrics": {},
    }


def test_files_are_listed_but_for_the_card(description, tmp_path):
    (tmp_path / "tokenizer").mkdir()
    (tmp_path / "tokenizer/tokenizer.json").write_text("{}")
    (tmp_path / "LICENSE").write_text("free")
    finish_folder(tmp_path, description, tmp_path)
    listed = json.loads((tmp_path / "m4ser.json").read_text())["files"]
    assert listed["LICENSE"] == {"size": 4, "sha256": sha256_of(tmp_path / "LICENSE")}
    assert list(listed) == ["LICENSE", "tokenizer/tokenizer.json"]
    assert "# tiny: 2 emotions from speech" in (tmp_path / "README.md").read_text()


def test_a_file_that_archives_may_not_hold(description, tmp_path):
    (tmp_path / "run.py").touch()
    with pytest.raises(UserError, match=r"exp/x: run\.py is of a kind that archives may not hold"):
        finish_folder(tmp_path, description, "exp/x")
    assert not (tmp_path / "m4ser.json").exists()


def test_files_are_stored_as_they_are(tmp_path):
    (tmp_path / "model/asr").mkdir(parents=True)
    (tmp_path / "model/asr/a.txt").write_text("a" * 100)
    zip_folder(tmp_path / "model", tmp_path / "x.zip")
    with zipfile.ZipFile(tmp_path / "x.zip") as file:
        (entry,) = file.infolist()
    assert (entry.filename, entry.compress_size, entry.compress_type) == ("asr/a.txt", 100, zipfile.ZIP_STORED)
