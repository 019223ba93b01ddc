"""Split jobs: every job writes its part to a folder of its own, one last call joins the parts.

A part is complete or absent, and remembers the settings and inputs it was made from: a job that is run again leaves
a finished part alone, and parts left by a run with other options are made again.
"""

import argparse
import contextlib
import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from m4ser.utils.errors import UserError
from m4ser.utils.files import atomic_directory

Item = TypeVar("Item")
FOLDER = ".parts"
SETTINGS = "settings.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of a command that can be split."""
    group = parser.add_argument_group("splitting (with none of these: all parts one after the other, then joined)")
    group.add_argument("--nj", type=int, default=1, help="number of jobs the work is split into (default: 1)")
    group.add_argument("--job", type=int, default=0, help="do the part of this job, 1 to NJ, and nothing else")
    group.add_argument("--merge", action="store_true", help="join the finished parts of all jobs")


def steps(args: argparse.Namespace) -> tuple[list[int], bool]:
    """Jobs to run now and whether to join the parts afterwards.

    Raises:
        UserError: a job number beyond NJ.
    """
    if not 0 <= args.job <= args.nj or args.nj < 1:
        raise UserError(f"--job {args.job} --nj {args.nj}: the job must be between 1 and NJ")
    if args.job:
        return [args.job], args.merge
    return ([] if args.merge else list(range(1, args.nj + 1))), True


def share(items: Sequence[Item], job: int, nj: int) -> Sequence[Item]:
    """Every NJ-th item from the job's own number on: sorted items then make parts of about equal work."""
    return items[job - 1 :: nj]


def digest(values: Iterable[Any]) -> str:
    """Short hash of the inputs of a part."""
    result = hashlib.sha256()
    for value in values:
        result.update(repr(value).encode())
    return result.hexdigest()[:16]


def part(out: str | Path, job: int, nj: int) -> Path:
    """Folder of one job's part."""
    return Path(out) / FOLDER / f"{job}of{nj}"


def is_finished(folder: Path, settings: dict[str, Any]) -> bool:
    """Whether this part exists and was made with the same settings."""
    try:
        return json.loads((folder / SETTINGS).read_text(encoding="utf-8")) == settings
    except (OSError, json.JSONDecodeError):
        return False


@contextlib.contextmanager
def writing(folder: Path, settings: dict[str, Any]) -> Iterator[Path]:
    """Fill a part; it appears under its name when the block succeeds."""
    with atomic_directory(folder) as temporary:
        yield temporary
        (temporary / SETTINGS).write_text(json.dumps(settings), encoding="utf-8")


def finished(out: str | Path, all_settings: Sequence[dict[str, Any]]) -> list[Path]:
    """Folders of all parts, given the settings of each job in turn.

    Raises:
        UserError: a part is missing or was made with other settings.
    """
    folders = [part(out, job, len(all_settings)) for job in range(1, len(all_settings) + 1)]
    for job, (folder, settings) in enumerate(zip(folders, all_settings, strict=True), 1):
        if not is_finished(folder, settings):
            what = "was made with other options or inputs" if folder.is_dir() else "is missing"
            raise UserError(f"{folder}: the part of job {job} {what}; run --job {job} --nj {len(folders)} first")
    return folders


def remove(out: str | Path) -> None:
    """Delete all parts once they are joined."""
    shutil.rmtree(Path(out) / FOLDER, ignore_errors=True)
