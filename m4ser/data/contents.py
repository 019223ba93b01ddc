"""What a finished folder of a dump holds: lines and CRC-32 of its lists, bytes and CRC-32 of its archives.

A list that has lost lines or a flipped byte in an archive would otherwise be trained with, without a word. Stages write
`contents.json` last; whoever reads the folder checks it first. Lists are small and are checked whole. Archives can be
of any size: one that has not been written to since (by its time of change) is checked by its size alone, because every
matrix has a checksum of its own, which is looked at whenever it is read (:mod:`m4ser.data.features`).
"""

import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, TypedDict

from m4ser.utils.errors import DamagedFileError, UserError
from m4ser.utils.files import read_json, write_json

CONTENTS = "contents.json"
BLOCK = 1 << 20


class ListContents(TypedDict):
    """Of a list."""

    lines: int
    crc32: str


class ArchiveContents(TypedDict):
    """Of an archive."""

    bytes: int
    crc32: str


def write_contents(folder: Path, lists: Sequence[str], archives: Mapping[str, int] | None = None) -> None:
    """Write what is in a folder.

    Args:
        folder: the data of one set.
        lists: names of its lists.
        archives: names of its archives, and the CRC-32 that each was written with.
    """
    listed: dict[str, ListContents] = {}
    for name in lists:
        lines, crc = _measure(folder / name)
        listed[name] = {"lines": lines, "crc32": as_text(crc)}
    stored: dict[str, ArchiveContents] = {
        name: {"bytes": (folder / name).stat().st_size, "crc32": as_text(crc)}
        for name, crc in sorted((archives or {}).items())
    }
    write_json(folder / CONTENTS, {"lists": listed, "archives": stored} if archives is not None else {"lists": listed})


def check_contents(folder: Path, stage: int) -> None:
    """Check that a folder holds what `stage` has written; one that an earlier version has made is not checked.

    Raises:
        UserError: a file is missing, incomplete or another one.
    """
    path = folder / CONTENTS
    try:
        contents = read_json(path)
        for name, known_list in contents["lists"].items():
            _check_list(folder / name, known_list["lines"], known_list["crc32"], stage)
        written = path.stat().st_mtime_ns
        for name, known in contents.get("archives", {}).items():
            _check_archive(folder / name, known["bytes"], known["crc32"], written, stage)
    except FileNotFoundError:
        return
    except (DamagedFileError, AttributeError, KeyError, TypeError):
        raise UserError(f"{path}: is damaged; {remedy(stage)}") from None


def _check_list(path: Path, lines: int, crc32: str, stage: int) -> None:
    try:
        line_count, crc = _measure(path)
    except FileNotFoundError:
        raise UserError(f"{path}: is missing; {remedy(stage)}") from None
    if line_count != lines:
        raise UserError(f"{path}: has {line_count} line(s), but stage {stage} wrote {lines}; {remedy(stage)}")
    if as_text(crc) != crc32:
        raise UserError(f"{path}: has been changed since stage {stage} wrote it; {remedy(stage)}")


def _check_archive(path: Path, size: int, crc32: str, written: int, stage: int) -> None:
    try:
        status = path.stat()
    except FileNotFoundError:
        raise UserError(f"{path}: is missing; {remedy(stage)}") from None
    if status.st_size != size:
        raise UserError(f"{path}: has {status.st_size} bytes, but stage {stage} wrote {size}; {remedy(stage)}")
    if status.st_mtime_ns > written and as_text(_measure(path)[1]) != crc32:
        raise UserError(f"{path}: is damaged (its checksum is another one); {remedy(stage)}")


def remedy(stage: int) -> str:
    """What to do about damage to what a stage has written."""
    return f"run stage {stage} again: ./run.sh --stage {stage} --stop-stage {stage} --force true"


def as_text(crc: int) -> str:
    """A CRC-32 as lists and JSON have it."""
    return f"{crc:08x}"


def append(source: IO[bytes], target: IO[bytes], crc: int = 0) -> int:
    """Copy the rest of a file to the end of another; the CRC-32 `crc` of what went before, continued."""
    while block := source.read(BLOCK):
        target.write(block)
        crc = zlib.crc32(block, crc)
    return crc


def _measure(path: Path) -> tuple[int, int]:
    """Line ends in a file, and its CRC-32."""
    lines = crc = 0
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            lines += block.count(b"\n")
            crc = zlib.crc32(block, crc)
    return lines, crc
