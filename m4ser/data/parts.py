"""Work that is split into jobs: every job writes its share to folders of its own, one last call joins them.

Shares last about equally long: they are balanced by duration where it is known.

A job writes its share in chunks of about half a minute each. A chunk is complete or absent, and remembers the settings
and inputs it was made from: a job that was killed goes on behind its last chunk, one that runs again leaves a finished
share alone, and chunks left by a run with other options are made again. A chunk ends between two batches, so that what
is made together is the same however often a job was interrupted.

A command that can be split has the options of :func:`add_arguments`, describes its work as a :class:`SplitWork`, and
passes both to :func:`run`.
"""

import argparse
import contextlib
import hashlib
import heapq
import json
import time
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, TypeVar

from m4ser.data.datadir import DataDir
from m4ser.utils import files
from m4ser.utils.errors import UserError
from m4ser.utils.files import atomic_directory, atomic_write
from m4ser.utils.progress import track

Item = TypeVar("Item", bound=Hashable)
Share = Sequence[tuple[str, str]]  # set and utterance of everything that one job works on
Settings = dict[str, object]  # what a share is made from, as JSON has it
FOLDER = ".parts"
SETTINGS = "settings.json"
SAVE_EVERY = 30.0  # seconds of work that a kill may cost


class ChunkInfo(TypedDict):
    """Content of a chunk's `settings.json`: which utterances of the share, from the first to before the end."""

    first: int
    end: int
    utterances: str  # hash of those
    settings: Settings


@dataclass(frozen=True)
class Jobs:
    """What one call does: the jobs to run now, of how many, and whether to join all parts afterwards.

    A chunk ends `save_every` seconds after it began, at the next border between batches. With `keep` parts stay when
    they are joined: until something else vouches for the result, joining them again costs little.
    """

    count: int
    now: Sequence[int]
    merge: bool
    save_every: float = SAVE_EVERY
    keep: bool = False


class SplitWork(ABC):
    """Something to be made of every utterance of some data directories.

    Attributes:
        sets: the data directories by name.
        out: folder of the results; until they are joined, parts lie in its folder `.parts`.
        doing: what is made, for the progress display.
    """

    sets: Mapping[str, DataDir]
    out: Path
    doing = "work"

    @abstractmethod
    def settings(self, share: Share) -> Settings:
        """Everything that the results of a share depend on; must survive JSON."""

    def inputs(self, share: Share) -> str:
        """Hash of the audio of a share: files, times, and numbers of samples where stage 1 has counted them."""
        samples = {name: data.maps.get("utt2num_samples", {}) for name, data in self.sets.items()}
        return digest((name, utt, *self.sets[name].audio(utt), samples[name].get(utt)) for name, utt in share)

    def durations(self) -> dict[tuple[str, str], float]:
        """Seconds of every utterance, by set and utterance, where all are known: counted by stage 1, or of segments."""
        from m4ser.data.audio import RATE  # has more to load than what removes parts needs

        seconds: dict[tuple[str, str], float] = {}
        for name, data in self.sets.items():
            samples = data.maps.get("utt2num_samples")
            if samples is None and "segments" not in data.maps:
                return {}
            for utt in data.utts:
                if samples is not None:
                    seconds[name, utt] = int(samples[utt]) / RATE
                else:
                    _, start, end = data.audio(utt)
                    seconds[name, utt] = float(end or 0.0) - float(start or 0.0)
        return seconds

    def order(self, share: Share) -> Share:
        """The order in which a share is worked on; depends on the data alone."""
        return share

    def batches(self, items: Share) -> Iterable[Share]:
        """What is made together: `items` in order, cut into pieces; cut at such a border, the rest gives the same."""
        return ([item] for item in items)

    @abstractmethod
    def make(self, batches: Iterable[Share], folder: Path, part: str) -> None:
        """Write the results of some batches to `folder`, a temporary one; `part` names the job, such as `2of3`."""

    @abstractmethod
    def join(self, by_job: Sequence[Sequence[Path]]) -> None:
        """Make the results in `out` of the chunks of all jobs, in order; a job without utterances has none."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of a command that can be split."""
    group = parser.add_argument_group("splitting (with none of these: all parts one after the other, then joined)")
    group.add_argument("--nj", type=int, default=1, help="number of jobs the work is split into (default: 1)")
    group.add_argument("--job", type=int, default=0, help="do the part of this job, 1 to NJ, and nothing else")
    group.add_argument("--merge", action="store_true", help="join the finished parts of all jobs")
    group.add_argument("--keep-parts", action="store_true", help="do not remove them when they are joined")
    group.add_argument(
        "--save-every",
        type=float,
        default=SAVE_EVERY,
        help=f"seconds of work after which it is saved, the most that a kill costs (default: {SAVE_EVERY:g})",
    )


def chosen_jobs(args: argparse.Namespace) -> Jobs:
    """What the options of :func:`add_arguments` ask for.

    Raises:
        UserError: a job number beyond NJ.
    """
    if not 0 <= args.job <= args.nj or args.nj < 1:
        raise UserError(f"--job {args.job} --nj {args.nj}: the job must be between 1 and NJ")
    if args.job:
        return Jobs(args.nj, [args.job], args.merge, args.save_every, args.keep_parts)
    now = [] if args.merge else range(1, args.nj + 1)
    return Jobs(args.nj, now, True, args.save_every, args.keep_parts)


def run(work: SplitWork, jobs: Jobs) -> None:
    """Make what is missing of the jobs whose turn it is, and join all of them if asked to.

    Raises:
        UserError: parts are to be joined and one is missing or was made with other settings.
    """
    items = [(name, utt) for name, data in work.sets.items() for utt in data.utts]
    divided = shares(items, jobs.count, work.durations() if jobs.count > 1 else {})
    for job in jobs.now:
        _make_part(work, part(work.out, job, jobs.count), work.order(divided[job - 1]), jobs.save_every)
    if jobs.merge:
        ordered = map(work.order, divided)
        work.join(finished(work.out, [(some, work.settings(some)) for some in ordered]))
        if not jobs.keep:
            remove(work.out)


def _make_part(work: SplitWork, folder: Path, items: Share, save_every: float) -> None:
    """Write the chunks that are missing of one job's utterances."""
    settings = work.settings(items)
    done_chunks = chunks(folder, items, settings)
    done = done_chunks[-1][1] if done_chunks else 0
    if done == len(items):
        print(f"{folder}: already there")
        return
    if done:
        print(f"{folder}: {done} of {len(items)} utterances are there; going on")
    rest = iter(work.batches(items[done:]))
    progress = track(items, work.doing, start=done)
    while done < len(items):
        with writing(_chunk(folder, done), settings, items, done) as (temporary, chunk_items):
            work.make(_until(rest, time.monotonic() + save_every, chunk_items, progress), temporary, folder.name)
        done += len(chunk_items)
    next(progress, None)  # says that it is complete


def _until(batches: Iterator[Share], limit: float, items: list[object], progress: Iterator[object]) -> Iterator[Share]:
    """Batches until it is so late, one at least; their items are added to `items`."""
    for batch in batches:
        for item in batch:
            next(progress)
            items.append(item)
        yield batch
        if time.monotonic() >= limit:
            return


def shares(items: Sequence[Item], nj: int, durations: Mapping[Item, float]) -> list[list[Item]]:
    """What each job works on, in the order of `items`.

    The longest items are dealt first, each to the job that has least so far, so that all have about the same time to
    work. Of items that last equally long, or of unknown duration (no `durations`), a job has every NJ-th.
    """
    order = sorted(range(len(items)), key=lambda index: -durations[items[index]]) if durations else range(len(items))
    jobs = [(0.0, job) for job in range(nj)]  # a heap of what each has so far
    chosen: list[list[int]] = [[] for _ in jobs]
    for index in order:
        load, job = jobs[0]
        heapq.heapreplace(jobs, (load + (durations[items[index]] if durations else 1), job))
        chosen[job].append(index)
    return [[items[index] for index in sorted(indices)] for indices in chosen]


def digest(values: Iterable[object]) -> str:
    """Short hash of the inputs of a part."""
    result = hashlib.sha256()
    for value in values:
        result.update(repr(value).encode())
    return result.hexdigest()[:16]


def part(out: str | Path, job: int, nj: int) -> Path:
    """What the folders of one job's chunks begin with."""
    return Path(out) / FOLDER / f"{job}of{nj}"


def _chunk(folder: Path, first: int) -> Path:
    return folder.with_name(f"{folder.name}.{first}")


def chunks(folder: Path, items: Share, settings: Settings) -> list[tuple[Path, int]]:
    """The chunks of one job that can be used, with the number of utterances up to the end of each.

    Args:
        folder: of :func:`part`.
        items: the job's utterances in the order in which they are worked on.
        settings: a chunk that was made with others is no use, nor is any behind it.
    """
    chunks: list[tuple[Path, int]] = []
    done = 0
    while done < len(items):
        path = _chunk(folder, done)
        info = _read_info(path)
        if info is None or not done < info["end"] <= len(items) or info != _info(settings, items, done, info["end"]):
            break
        done = info["end"]
        chunks.append((path, done))
    return chunks


def _info(settings: Settings, items: Share, first: int, end: int) -> ChunkInfo:
    return {"first": first, "end": end, "utterances": digest(items[first:end]), "settings": settings}


def _read_info(path: Path) -> ChunkInfo | None:
    try:
        info = json.loads((path / SETTINGS).read_text(encoding="utf-8"))
        return info if isinstance(info["end"], int) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


@contextlib.contextmanager
def writing(path: Path, settings: Settings, items: Share, first: int) -> Iterator[tuple[Path, list[object]]]:
    """Fill a chunk: gives its temporary folder and a list to be filled with what of `items`, from `first` on, is in it.

    The chunk appears under its name when the block succeeds.
    """
    chunk_items: list[object] = []
    with atomic_directory(path) as temporary:
        yield temporary, chunk_items
        with atomic_write(temporary / SETTINGS) as file:
            json.dump(_info(settings, items, first, first + len(chunk_items)), file)


def finished(out: str | Path, shares: Sequence[tuple[Share, Settings]]) -> list[list[Path]]:
    """The chunks of every job, given its utterances and settings.

    Raises:
        UserError: a job has not made all of its utterances, or has made them with other settings.
    """
    parts = []
    for job, (items, settings) in enumerate(shares, 1):
        folder = part(out, job, len(shares))
        done_chunks = chunks(folder, items, settings)
        done = done_chunks[-1][1] if done_chunks else 0
        if done < len(items):
            what = "was made with other options or inputs" if _chunk(folder, done).is_dir() else "is missing"
            what = f"has only {done} of {len(items)} utterances" if done else what
            raise UserError(f"{folder}: the part of job {job} {what}; run --job {job} --nj {len(shares)} first")
        parts.append([path for path, _ in done_chunks])
    return parts


def remove(out: str | Path) -> None:
    """Delete all parts once they are joined, all of them or none: half of them would be taken for all that there is."""
    files.remove(Path(out) / FOLDER)
