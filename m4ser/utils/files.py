"""Writing files so that a reader only ever sees the old content or the complete new one."""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from m4ser.utils.errors import DamagedFileError
from m4ser.utils.provenance import made_by


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Give a temporary neighbour of ``path``, renamed to ``path`` when the block ends without an exception.

    It has the suffix of ``path``, by which some libraries choose a format. On an exception it is removed and ``path``
    is untouched. Parent folders are made.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(path)
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_write(path: str | Path, mode: str = "w") -> Iterator[IO[Any]]:
    """Open the temporary file of :func:`atomic_path`; text is written as UTF-8 with Unix line ends."""
    encoding, newline = (None, None) if "b" in mode else ("utf-8", "\n")
    with atomic_path(path) as temporary, open(temporary, mode, encoding=encoding, newline=newline) as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def atomic_directory(path: str | Path) -> Iterator[Path]:
    """Fill a temporary folder and swap it in for ``path`` (an existing one is replaced) when the block succeeds."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary, old = _temporary(path), _temporary(path, "old")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        if path.exists():
            os.replace(path, old)
        os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _temporary(path: Path, what: str = "tmp") -> Path:
    return path.with_name(f".{what}{os.getpid()}.{path.name}")


def write_json(path: str | Path, value: Mapping[str, object]) -> None:
    """Write ``value`` as indented JSON, headed by ``made_by``: the command, version and date that made the file."""
    with atomic_write(path) as file:
        encoder = json.JSONEncoder(indent=1, ensure_ascii=False)
        file.writelines(encoder.iterencode({"made_by": made_by(), **value}))
        file.write("\n")


def read_json(path: str | Path) -> dict[str, Any]:
    """Read JSON written by :func:`write_json`.

    Raises:
        DamagedFileError: the file is not JSON.
        OSError: it cannot be read.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DamagedFileError(f"{path}: is not JSON ({error}); make it again") from None
