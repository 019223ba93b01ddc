"""Writing files so that a reader only ever sees the old content or the complete new one."""

import contextlib
import json
import os
import shutil
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from m4ser.utils.errors import DamagedFileError, first_line
from m4ser.utils.provenance import made_by

LONGEST_LINE = 400  # of a page


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


def remove(path: str | Path) -> None:
    """Remove a file or a folder, if it is there; it is away under its name before anything in it is."""
    path = Path(path)
    gone = path.with_name(f".{path.name}.removed")
    shutil.rmtree(gone, ignore_errors=True)
    if path.exists():
        os.replace(path, gone)
        shutil.rmtree(gone) if gone.is_dir() else gone.unlink()


def sweep(folder: str | Path) -> None:
    """Remove what processes that were killed have left of unfinished files in a folder and in those directly in it.

    Nobody may be writing there.
    """
    with os.scandir(folder) as entries:
        within = [folder, *(entry.path for entry in entries if entry.is_dir(follow_symlinks=False))]
    for one in map(Path, within):
        for path in [*one.glob(".tmp[0-9]*.*"), *one.glob(".old[0-9]*.*"), *one.glob(".*.removed")]:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def write_json(path: str | Path, value: Mapping[str, object]) -> None:
    """Write ``value`` as indented JSON, headed by ``made_by``: the command, version and date that made the file."""
    with atomic_write(path) as file:
        encoder = json.JSONEncoder(indent=1, ensure_ascii=False)
        file.writelines(encoder.iterencode({"made_by": made_by(), **value}))
        file.write("\n")


def write_markdown(path: str | Path, body: str, provenance: Mapping[str, str] | None = None) -> None:
    """Write a generated page, headed by the command that made it (default: this one)."""
    provenance = provenance or made_by()
    version = ", ".join(
        [f"m4ser {provenance['m4ser']}", f"git {provenance['git']}", *filter(None, [provenance.get("date")])]
    )
    head = f"> Made by `{provenance['command']}` ({version}); do not edit."
    lines = textwrap.wrap(head, LONGEST_LINE, subsequent_indent="> ", break_long_words=False, break_on_hyphens=False)
    with atomic_write(path) as file:
        file.write("\n".join(lines) + f"\n\n{body}")


def rounded(value: Any) -> Any:
    """Plain Python values for JSON, arrays as lists, six decimals: the last bits may differ between machines."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    return round(value, 6) if isinstance(value, float) else value


def read_json(path: str | Path) -> dict[str, Any]:
    """Read JSON written by :func:`write_json`.

    Raises:
        DamagedFileError: the file is not JSON, or no mapping.
        OSError: it cannot be read.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        value = json.loads(text)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()  # half a character can be read, but not written
    except (ValueError, RecursionError) as error:  # JSONDecodeError and UnicodeError are ValueErrors
        raise DamagedFileError(f"{path}: is not JSON ({first_line(error)}); make it again") from None
    if not isinstance(value, dict):
        raise DamagedFileError(f"{path}: is not JSON of names and values; make it again")
    return value
