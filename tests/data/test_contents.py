"""What a dump says of itself, and what is found when it is no longer so."""

import json
import os
import zlib

import pytest

from m4ser.data.contents import CONTENTS, append, check_contents, write_contents
from m4ser.utils.errors import UserError

AGAIN = "run stage 1 again: ./run.sh --stage 1 --stop-stage 1 --force true"


@pytest.fixture
def folder(tmp_path):
    """A list of two lines, one with letters beyond ASCII, and an archive."""
    (tmp_path / "list").write_text("a 1\nb ü\n", encoding="utf-8")
    (tmp_path / "an.ark").write_bytes(b"123456789")
    write_contents(tmp_path, ["list"], {"an.ark": zlib.crc32(b"123456789")})
    return tmp_path


def fault(folder):
    """What is said, without the folder."""
    with pytest.raises(UserError) as error:
        check_contents(folder, stage=1)
    message = str(error.value)
    assert message.startswith(f"{folder}/") and message.endswith(f"; {AGAIN}")
    return message.removeprefix(f"{folder}/").removesuffix(f"; {AGAIN}")


def test_an_unchanged_folder_passes(folder):
    check_contents(folder, stage=1)
    contents = json.loads((folder / CONTENTS).read_text())
    assert contents["archives"] == {"an.ark": {"bytes": 9, "crc32": "cbf43926"}}  # the usual check value of CRC-32
    assert contents["lists"]["list"]["lines"] == 2


def test_a_folder_of_an_earlier_version_is_not_checked(folder):
    (folder / CONTENTS).unlink()
    (folder / "list").unlink()
    check_contents(folder, stage=1)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("list", b"a 1\n", "list: has 1 line(s), but stage 1 wrote 2"),
        ("list", "a ü\nb 1\n".encode(), "list: has been changed since stage 1 wrote it"),
        ("list", None, "list: is missing"),
        ("an.ark", b"12345678", "an.ark: has 8 bytes, but stage 1 wrote 9"),
        ("an.ark", b"12345x789", "an.ark: is damaged (its checksum is another one)"),
        ("an.ark", None, "an.ark: is missing"),
        (CONTENTS, b"{", f"{CONTENTS}: is damaged"),
        (CONTENTS, b"{}", f"{CONTENTS}: is damaged"),
        (CONTENTS, b"[1]", f"{CONTENTS}: is damaged"),
        (CONTENTS, b'{"lists": {"list": {}}}', f"{CONTENTS}: is damaged"),
        (CONTENTS, b'{"lists": [], "archives": []}', f"{CONTENTS}: is damaged"),
    ],
)
def test_damage_is_named(folder, name, content, said):
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)
        later = (folder / CONTENTS).stat().st_mtime_ns + 1_000_000
        os.utime(folder / name, ns=(later, later))
    assert fault(folder) == said


def test_an_archive_that_nobody_has_written_to_is_not_read(folder, monkeypatch):
    """It may be of any size; its matrices are checked when they are read."""
    before = (folder / "an.ark").stat().st_mtime_ns
    (folder / "an.ark").write_bytes(b"987654321")
    os.utime(folder / "an.ark", ns=(before, before))
    check_contents(folder, stage=1)


def test_a_copied_archive_is_read_and_passes(folder):
    later = (folder / CONTENTS).stat().st_mtime_ns + 1_000_000
    os.utime(folder / "an.ark", ns=(later, later))
    check_contents(folder, stage=1)


def test_append_continues_the_checksum(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    (tmp_path / "b").write_bytes(b"6789")
    crc = 0
    with (tmp_path / "both").open("wb") as target:
        for name in "ab":
            with (tmp_path / name).open("rb") as source:
                crc = append(source, target, crc)
    assert (tmp_path / "both").read_bytes() == b"123456789"
    assert crc == 0xCBF43926
