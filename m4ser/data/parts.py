"""Work that is split into jobs: every job writes its part to a folder of its own, one last call joins the parts.

A part is complete or absent, and remembers the settings and inputs it was made from: a job that is run again leaves
a finished part alone, and parts left by a run with other options are made again.

A command that can be split has the options of :func:`add_arguments`, describes its work as a :class:`SplitWork`, and
passes both to :func:`run`.
"""

import argparse
import contextlib
import hashlib
import json
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from m4ser.data.datadir import DataDir
from m4ser.utils.errors import UserError
from m4ser.utils.files import atomic_directory

Item = TypeVar("Item")
Share = Sequence[tuple[str, str]]  # set and utterance of everything that one job works on
Settings = dict[str, object]  # what a part was made from, as JSON has it
FOLDER = ".parts"
SETTINGS = "settings.json"


@dataclass(frozen=True)
class Jobs:
    """What one call does: the jobs to run now, of how many, and whether to join all parts afterwards."""

    count: int
    now: Sequence[int]
    merge: bool


class SplitWork(ABC):
    """Something to be made of every utterance of some data directories.

    Attributes:
        sets: the data directories by name.
        out: folder of the results; until they are joined, parts lie in its folder `.parts`.
    """

    sets: Mapping[str, DataDir]
    out: Path

    @abstractmethod
    def settings(self, share: Share) -> Settings:
        """Everything that the results of a share depend on; must survive JSON."""

    def inputs(self, share: Share) -> str:
        """Hash of the audio of a share: files, times, and numbers of samples where stage 1 has counted them."""
        samples = {name: data.maps.get("utt2num_samples", {}) for name, data in self.sets.items()}
        return digest((name, utt, *self.sets[name].audio(utt), samples[name].get(utt)) for name, utt in share)

    @abstractmethod
    def make(self, share: Share, folder: Path, part: str) -> None:
        """Write the results of a share to `folder`, a temporary one; `part` is its name, such as `2of3`."""

    @abstractmethod
    def join(self, folders: Sequence[Path]) -> None:
        """Make the results in `out` of the folders of all parts, in the order of the jobs."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of a command that can be split."""
    group = parser.add_argument_group("splitting (with none of these: all parts one after the other, then joined)")
    group.add_argument("--nj", type=int, default=1, help="number of jobs the work is split into (default: 1)")
    group.add_argument("--job", type=int, default=0, help="do the part of this job, 1 to NJ, and nothing else")
    group.add_argument("--merge", action="store_true", help="join the finished parts of all jobs")


def chosen_jobs(args: argparse.Namespace) -> Jobs:
    """What the options of :func:`add_arguments` ask for.

    Raises:
        UserError: a job number beyond NJ.
    """
    if not 0 <= args.job <= args.nj or args.nj < 1:
        raise UserError(f"--job {args.job} --nj {args.nj}: the job must be between 1 and NJ")
    if args.job:
        return Jobs(args.nj, [args.job], args.merge)
    return Jobs(args.nj, [] if args.merge else range(1, args.nj + 1), True)


def run(work: SplitWork, jobs: Jobs) -> None:
    """Make the parts of the jobs whose turn it is, leaving finished ones alone, and join all of them if asked to.

    Raises:
        UserError: parts are to be joined and one is missing or was made with other settings.
    """
    items = [(name, utt) for name, data in work.sets.items() for utt in data.utts]
    shares = [share(items, job, jobs.count) for job in range(1, jobs.count + 1)]
    for job in jobs.now:
        folder, settings = part(work.out, job, jobs.count), work.settings(shares[job - 1])
        if is_finished(folder, settings):
            print(f"{folder}: already there")
            continue
        with writing(folder, settings) as temporary:
            work.make(shares[job - 1], temporary, folder.name)
    if jobs.merge:
        work.join(finished(work.out, [work.settings(some) for some in shares]))
        remove(work.out)


def share(items: Sequence[Item], job: int, nj: int) -> Sequence[Item]:
    """Every NJ-th item from the job's own number on: sorted items then make parts of about equal work."""
    return items[job - 1 :: nj]


def digest(values: Iterable[object]) -> str:
    """Short hash of the inputs of a part."""
    result = hashlib.sha256()
    for value in values:
        result.update(repr(value).encode())
    return result.hexdigest()[:16]


def part(out: str | Path, job: int, nj: int) -> Path:
    """Folder of one job's part."""
    return Path(out) / FOLDER / f"{job}of{nj}"


def is_finished(folder: Path, settings: Settings) -> bool:
    """Whether this part exists and was made with the same settings."""
    try:
        return json.loads((folder / SETTINGS).read_text(encoding="utf-8")) == settings
    except (OSError, json.JSONDecodeError):
        return False


@contextlib.contextmanager
def writing(folder: Path, settings: Settings) -> Iterator[Path]:
    """Fill a part; it appears under its name when the block succeeds."""
    with atomic_directory(folder) as temporary:
        yield temporary
        (temporary / SETTINGS).write_text(json.dumps(settings), encoding="utf-8")


def finished(out: str | Path, all_settings: Sequence[Settings]) -> list[Path]:
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
