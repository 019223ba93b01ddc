"""Kaldi-style lists: one `key value...` per line, UTF-8, sorted by key, unique keys."""

import codecs
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from m4ser.utils.errors import UserError
from m4ser.utils.files import atomic_write

# White space that no list is written with, but that texts can have.
_UNUSUAL_SPACE = re.compile("[\x0b\x0c\x1c-\x1f\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]")


def read_scp(path: str | Path, allow_empty: bool = False) -> dict[str, str]:
    """Read a list as `{key: value}`, in the order of the file.

    Keys compare by code point, which for UTF-8 is the order of `LC_ALL=C sort`. Keys are interned: the lists of a
    data directory share them, which halves the memory of a large one.

    Raises:
        UserError: the file is missing, empty, not UTF-8, has a byte order mark or CRLF line ends, an empty line,
            a key without value (unless `allow_empty`), or keys that are repeated or not sorted.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file; run the stage that writes it first, or correct the path")
    text = _decode(path, path.read_bytes())
    if not text:
        raise UserError(f"{path}: the file is empty; run the stage that writes it again")
    lines = text.split("\n")  # not splitlines(): that splits at U+2028 and others too, which may occur in transcripts
    if lines[-1] == "":
        lines.pop()
    entries: dict[str, str] = {}
    shared: dict[str, str] = {}  # speakers, labels, numbers repeat: keep each string once
    previous = ""
    unusual = _UNUSUAL_SPACE.search(text) is not None  # nearly never, and looking at each key takes long
    for number, line in enumerate(lines, 1):
        key, _, value = line.partition(" ")
        if not key or "\t" in key or (unusual and key.split() != [key]):
            key, value = _split_loosely(path, number, line)
        value = value.strip()
        if not value and not allow_empty:
            raise UserError(f"{path}: line {number}: {key!r} has no value; add it or delete the line")
        if key <= previous:
            raise _order_error(path, number, key, previous, entries)
        previous = key
        entries[sys.intern(key)] = shared.setdefault(value, value)
    return entries


def write_scp(path: str | Path, entries: Mapping[str, object]) -> None:
    """Write `entries` sorted by key, atomically; values are turned into text with `str`.

    Raises:
        UserError: a key is empty or has white space in it, or a value has a line break.
    """
    path = Path(path)
    with atomic_write(path) as file:
        for key in sorted(entries):
            value = str(entries[key])
            if not key or key.split() != [key]:
                raise UserError(f"{path}: {key!r} cannot be a key: replace the white space in it, e.g. by '_'")
            if "\n" in value or "\r" in value:
                raise UserError(f"{path}: the value of {key!r} has a line break in it; remove it")
            file.write(f"{key} {value}\n" if value else f"{key}\n")


def _decode(path: Path, content: bytes) -> str:
    if content.startswith(codecs.BOM_UTF8):
        raise UserError(
            f"{path}: starts with a byte order mark; save it as UTF-8 without BOM, e.g. sed -i '1s/^\\xef\\xbb\\xbf//'"
        )
    if b"\r" in content:
        number = content[: content.index(b"\r")].count(b"\n") + 1
        raise UserError(f"{path}: line {number} ends in CRLF (Windows); convert the file, e.g. sed -i 's/\\r$//'")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        number = content[: error.start].count(b"\n") + 1
        raise UserError(
            f"{path}: line {number} is not UTF-8; convert the file, e.g. iconv -f CP1252 -t UTF-8"
        ) from None


def _split_loosely(path: Path, number: int, line: str) -> tuple[str, str]:
    """Split at tabs or runs of blanks, the rare case."""
    parts = line.split(maxsplit=1)
    if not parts:
        raise UserError(f"{path}: line {number} is empty; delete it")
    return parts[0], parts[1] if len(parts) == 2 else ""


def _order_error(path: Path, number: int, key: str, previous: str, entries: Mapping[str, str]) -> UserError:
    if key in entries:
        return UserError(f"{path}: line {number}: {key!r} is there twice; delete one of the two lines")
    return UserError(
        f"{path}: line {number}: {key!r} must not come after {previous!r}; sort the file: LC_ALL=C sort -o FILE FILE"
    )
