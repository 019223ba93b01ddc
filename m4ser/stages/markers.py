"""Whether a step has work to do, and a note of what a finished one was made from.

A marker in the folder that a step writes records the options that matter for the step, hashes of its inputs and the ids
of the steps it builds on; its id is a hash of all that. So a step runs again when an option, an input or anything
upstream is another one, and only then.

While a step runs its record is called ``.doing``, afterwards ``.done`` (``.NAME.doing``, ``.NAME.done`` for a step with
a name). A ``.doing`` that is found with the same id was interrupted: its work is continued. One with another id belongs
to other options: what it left is taken away first (:class:`Leftovers`). In between it is called ``.finishing``: the
result is complete, and what its making has left is being removed.

What a dump held is only removed when the new content is complete. Until then it lies in the folder's own ``.earlier``
(``.NAME.earlier``), and comes back when a run asks for it before: a run with other options that is stopped costs
nothing that was there. All moving can be cut short at any point; whoever begins next completes it.
"""

import contextlib
import enum
import functools
import hashlib
import json
import os
import select
import shutil
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypedDict, cast

from m4ser.data.folds import Folds
from m4ser.training.experiment import choose_folds
from m4ser.utils.errors import UserError
from m4ser.utils.files import remove, sweep, write_json

LOCK = ".lock"
EXPERIMENTS = 4  # from this stage on, folders that others write to, too: tables, figures
WAIT = 0.2  # seconds between two looks at a lock

Moving = Literal["aside", "away", "back"]


class _Record(TypedDict):
    id: str
    stage: str
    options: dict[str, str]
    inputs: dict[str, str]  # path: hash
    after: dict[str, str]  # FOLDER:NAME of an upstream step: its id
    cells: list[str]  # runs (folds and seeds) that are made


class Record(_Record, total=False):
    """A marker's content."""

    generation: int  # how often --force made it again from the same
    cleaning: bool  # what was there before was being set aside to another folder
    moving: Moving  # it was being moved into the folder for earlier content, removed, or moved back


class Leftovers(enum.Enum):
    """What becomes of a folder's content when it is made again from something else."""

    KEEP = enum.auto()  # stays in its place
    REMOVE = enum.auto()  # goes when the new is complete
    SET_ASIDE = enum.auto()  # is moved to FOLDER.previous


@dataclass(frozen=True)
class Upstream:
    """A finished step that another one builds on, and the stage that makes it."""

    folder: str
    stage: int
    name: str = ""

    @property
    def key(self) -> str:
        """In a record."""
        return f"{self.folder}:{self.name}"


@dataclass(frozen=True)
class Runs:
    """Folds and seeds now worked on, others may be later. No ``folds`` means all."""

    folds: Sequence[str]
    seeds: Sequence[str]


@dataclass(frozen=True)
class Step:
    """What there is to know of a step before it begins.

    In paths, ``@set`` stands for every set of the data, ``@cell`` for every fold and seed now worked on.

    Attributes:
        stage: its number.
        folder: folder that it writes.
        what: what it makes, for a message.
        name: tells several steps of one folder apart.
        data: folder with ``folds.json``.
        needs: files that have to be there, with the stage that makes them.
        after: steps it builds on.
        options: options that matter.
        inputs: files, or folders of lists, that are read.
        outputs: what it leaves.
        runs: folds and seeds, for a step that is split that way.
        leftovers: of something else in its folder.
        force: run even when done.
    """

    stage: int
    folder: str
    what: str = ""
    name: str = ""
    data: str = "data"
    needs: Mapping[str, int] = field(default_factory=dict)
    after: Sequence[Upstream] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    inputs: Sequence[str] = ()
    outputs: Sequence[str] = ()
    runs: Runs | None = None
    leftovers: Leftovers = Leftovers.KEEP
    force: bool = False

    def marker(self, state: str) -> Path:
        """Path of the marker ``doing``, ``finishing`` or ``done``."""
        return marker(self.folder, self.name, state)

    def cells(self) -> list[str]:
        """Folders of the folds and seeds now worked on, none for a step that is not split that way."""
        return cells(self.data, self.runs) if self.runs else []

    def paths(self, patterns: Iterable[str]) -> list[Path]:
        """Paths, those with ``@set`` once for every set of the data, with ``@cell`` for every run now worked on."""
        result = []
        for path in patterns:
            sets = _folds(Path(self.data, "folds.json")).sets if "@set" in path else [""]
            folders = self.cells() if "@cell" in path else [""]
            result += [Path(path.replace("@set", name).replace("@cell", cell)) for name in sets for cell in folders]
        return result


def cells(data: str, runs: Runs) -> list[str]:
    """Folders of folds and seeds.

    Raises:
        UserError: there are no data, or not these folds.
    """
    names = choose_folds(_folds(Path(data, "folds.json")), list(runs.folds))
    return [f"fold{fold}/seed{seed}" for fold in names for seed in runs.seeds]


def is_done(step: Step) -> bool:
    """Whether the step has nothing to do.

    Raises:
        UserError: something is missing or out of date that an earlier stage makes.
    """
    record = make_record(step)
    # Something is still to be moved or removed, which is work for a run that has the lock.
    cut_short = step.marker("doing").exists() or step.marker("earlier").exists()
    return not step.force and not cut_short and _complete(step, record, read_marker(step.marker("done")))


def begin(step: Step) -> bool:
    """Whether the step has to run; if so, its ``.doing`` is in place and ``.done`` is gone.

    Raises:
        UserError: something is missing or out of date that an earlier stage makes, or nobody waits for the answer.
    """
    record = make_record(step)
    check_caller()
    if step.marker("finishing").exists():
        _end(step.folder, step.name)
    if step.leftovers is Leftovers.REMOVE:
        _settle(step)
        _bring_back(step, record)
    if step.stage < EXPERIMENTS:
        sweep(step.folder)
    done, doing = read_marker(step.marker("done")), read_marker(step.marker("doing"))
    if _complete(step, record, done) and not step.force:
        remove(step.marker("earlier"))
        step.marker("doing").unlink(missing_ok=True)  # its begin was cut short, and nothing was changed
        return False
    if done is not None and done["id"] == record["id"]:
        record["cells"] = sorted({*done["cells"], *record["cells"]})
    earlier = done or doing
    if earlier is not None and earlier["id"] == record["id"]:
        generation = earlier.get("generation", 0) + (step.force and done is not None)
        record |= {"generation": generation} if generation else {}
    another = earlier is not None and earlier["id"] != record["id"]
    cut_short = bool(doing and doing.get("cleaning"))
    whole = another or cut_short or (step.force and step.runs is None)
    cleaning = step.leftovers is not Leftovers.KEEP and whole
    if earlier is not None and another:
        kept = f" (the earlier one is kept as {step.folder}.previous)"
        kept = kept if step.leftovers is Leftovers.SET_ASIDE else ""
        print(f"stage {step.stage}: {step.folder} is made again{kept}: {differences(earlier, record)}", file=sys.stderr)
    if cleaning and step.leftovers is Leftovers.REMOVE:
        _clear(step, record, done, doing)
        return True
    # From here on no marker vouches for what is about to change, whenever this may be cut short.
    new = step.marker("doing")
    write_json(new, {**record, "cleaning": cleaning})
    step.marker("done").unlink(missing_ok=True)
    if cleaning:
        set_aside(Path(step.folder), new.name, cut_short)
        write_json(new, record)
    elif step.force:
        for path in step.paths(output for output in step.outputs if "@cell" in output):
            remove(path)
    return True


def _clear(step: Step, record: Record, done: Record | None, doing: Record | None) -> None:
    """Make a folder empty for a step with `record`: what is there goes to its folder for earlier content.

    Something unfinished is removed where that has a content already, or was being removed by an earlier version.
    """
    earlier = step.marker("earlier")
    if done is not None or _read_either(earlier, step.name) is None:
        remove(earlier)
    unfinished = doing if done is None else None
    if unfinished is not None and (earlier.exists() or unfinished.get("cleaning")):
        _write(step, record, "away")
    else:
        earlier.mkdir(exist_ok=True)
        if unfinished is not None:
            write_json(marker(earlier, step.name, "doing"), unfinished)
        _write(step, record, "aside")
    _settle(step)


def _settle(step: Step) -> None:
    """Complete what was being moved in a step's folder."""
    doing = read_marker(step.marker("doing"))
    if doing is None or "moving" not in doing:
        return
    folder, earlier = Path(step.folder), step.marker("earlier")
    done, marker_names = step.marker("done"), (step.marker("doing").name, step.marker("done").name)
    moving = doing.pop("moving")
    if moving == "aside":
        earlier.mkdir(exist_ok=True)
        if done.exists():  # first: it vouches for what is moved
            os.replace(done, earlier / done.name)
        for path in _others(folder, earlier.name, *marker_names):
            os.replace(path, earlier / path.name)
    elif moving == "away":
        for path in _others(folder, earlier.name, *marker_names):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    else:
        for path in _others(earlier, *marker_names) if earlier.exists() else ():
            os.replace(path, folder / path.name)
        # The marker last, for the same reason.
        if (known := earlier / done.name).exists():
            os.replace(known, done)
        if done.exists():
            remove(earlier)
            step.marker("doing").unlink()
            return
        if (known := earlier / marker_names[0]).exists():
            os.replace(known, step.marker("doing"))
        remove(earlier)
        return
    _write(step, doing)


def _bring_back(step: Step, record: Record) -> None:
    """Replace what a run with other options has not finished by the earlier content, if that was made for `record`."""
    earlier, doing = _read_either(step.marker("earlier"), step.name), read_marker(step.marker("doing"))
    if earlier is None or earlier["id"] != record["id"] or step.marker("done").exists():
        return
    if doing is not None and doing["id"] == record["id"]:  # made again by force
        return
    print(f"stage {step.stage}: {step.folder}: what was there before a run with other options is back", file=sys.stderr)
    _write(step, doing or cast(Record, {**record, "id": ""}), "away")
    _settle(step)
    _write(step, record, "back")
    _settle(step)


def _write(step: Step, record: Record, moving: Moving | None = None) -> None:
    write_json(step.marker("doing"), record | ({"moving": moving} if moving else {}))


def _read_either(folder: Path, name: str) -> Record | None:
    """The marker in a folder for earlier content, of a finished or unfinished step."""
    return read_marker(marker(folder, name, "done")) or read_marker(marker(folder, name, "doing"))


def _others(folder: Path, *names: str) -> list[Path]:
    """What is in a folder, but for its lock and these names."""
    return [path for path in folder.iterdir() if path.name not in (LOCK, *names)]


def finish(folder: str, name: str = "") -> None:
    """Turn ``.doing`` into ``.done``; what was in the folder before is removed, and what its jobs have left.

    Raises:
        UserError: the marker has disappeared.
    """
    try:
        os.replace(marker(folder, name, "doing"), marker(folder, name, "finishing"))
    except FileNotFoundError:
        raise UserError(f"{folder}: its marker has disappeared; run the stage again") from None
    _end(folder, name)


def _end(folder: str, name: str) -> None:
    """Remove what a finished step does not need any more; the name of its marker says when that is done."""
    from m4ser.data import parts  # has more to load than what is asked for at every start

    remove(marker(folder, name, "earlier"))
    parts.remove(folder)
    os.replace(marker(folder, name, "finishing"), marker(folder, name, "done"))


def marker(folder: str | Path, name: str, state: str) -> Path:
    """Path of a marker."""
    return Path(folder, f".{name}.{state}" if name else f".{state}")


def read_marker(path: Path) -> Record | None:
    """Content of a marker; None if there is none or it is damaged (then the step runs again)."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return cast(Record, record) if Record.__required_keys__ <= set(record) else None
    except (OSError, ValueError, TypeError):
        return None


def make_record(step: Step) -> Record:
    """What the step is about to be made from.

    Raises:
        UserError: an upstream step is unfinished, or older than its own inputs.
    """
    for file, stage in step.needs.items():
        if not Path(file).exists():
            raise UserError(f"{file} is missing; {how_to_run(stage)}")
    after = {}
    for upstream in step.after:
        after[upstream.key] = upstream_id(upstream)
        check_cells(upstream, step.cells())
    inputs = {str(path): digest(path) for path in step.paths(step.inputs)}
    made_from = {"stage": str(step.stage), "options": dict(step.options), "inputs": inputs, "after": after}
    name = _hash([json.dumps(made_from, sort_keys=True).encode()])
    return cast(Record, {**made_from, "id": name, "cells": sorted(step.cells())})


def _complete(step: Step, record: Record, done: Record | None) -> bool:
    return (
        done is not None
        and done["id"] == record["id"]
        and set(record["cells"]) <= set(done["cells"])
        and all(map(Path.exists, step.paths(step.outputs)))
    )


@functools.cache
def upstream_id(upstream: Upstream) -> str:
    """Id of a finished step, after checking that nothing it was made from has changed since.

    A step that was made again by --force has another one, although it was made from the same.

    Raises:
        UserError: it has not been finished, or something has changed.
    """
    folder = upstream.folder
    done = read_marker(marker(folder, upstream.name, "done"))
    if done is None:
        what = "is not finished" if Path(folder).exists() else "is missing"
        raise UserError(f"{folder} {what}; {how_to_run(upstream.stage)}")
    stage = int(done["stage"])
    for path, known in done["inputs"].items():
        if digest(Path(path)) != known:
            raise UserError(f"{folder} was made before {path} was changed; {how_to_run(stage, 'again')}")
    for key, known in done["after"].items():
        inner, _, name = key.rpartition(":")
        if upstream_id(Upstream(inner, stage - 1, name)) != known:
            raise UserError(f"{folder} was made from an earlier {inner}; {how_to_run(stage, 'again')}")
    return f"{done['id']}.{generation}" if (generation := done.get("generation", 0)) else done["id"]


def check_cells(upstream: Upstream, needed_cells: Sequence[str]) -> None:
    """Refuse to build on runs (folds, seeds) that an upstream step has not made, if it is split that way.

    Raises:
        UserError: some are missing.
    """
    record = read_marker(marker(upstream.folder, upstream.name, "done"))
    complete_cells = record["cells"] if record else []
    if complete_cells and (missing := [cell for cell in needed_cells if cell not in complete_cells]):
        raise UserError(
            f"{upstream.folder}/{missing[0]} is missing; run stage {upstream.stage} first, "
            "with the same --folds and --seeds"
        )


def how_to_run(stage: int, when: str = "first") -> str:
    """The remedy of most messages."""
    return f"run stage {stage} {when}: ./run.sh --stage {stage} --stop-stage {stage}"


@functools.cache
def digest(path: Path) -> str:
    """Hash of a file's content, or of all lists in a folder (not of its subfolders); "" if it does not exist.

    The ``made_by`` header of a JSON file does not count: made again with the same result is no change.

    Raises:
        UserError: a JSON file is damaged.
    """
    if path.is_dir():
        files = sorted(p for p in path.iterdir() if p.is_file() and not p.name.startswith("."))
        return _hash(f"{p.name} {digest(p)}\n".encode() for p in files)
    try:
        if path.suffix == ".json":
            content = json.loads(path.read_text(encoding="utf-8"))
            if isinstance(content, dict):
                content.pop("made_by", None)
            return _hash([json.dumps(content, sort_keys=True).encode()])
        with open(path, "rb") as file:
            return _hash(iter(lambda: file.read(1 << 20), b""))
    except FileNotFoundError:
        return ""
    except ValueError:
        raise UserError(f"{path}: is damaged; delete it and run the stage that makes it again") from None


@functools.cache
def _folds(path: Path) -> Folds:
    return Folds.read(path)


def forget() -> None:
    """Look at all files afresh: a step has changed some."""
    for cache in (digest, upstream_id, _folds):
        cache.cache_clear()


def _hash(pieces: Iterable[bytes]) -> str:
    result = hashlib.sha256()
    for piece in pieces:
        result.update(piece)
    return result.hexdigest()[:16]


def differences(old: Record, new: Record) -> str:
    """What makes two records differ, in words."""
    changes = []
    for name in dict.fromkeys([*old["options"], *new["options"]]):
        before, now = old["options"].get(name, ""), new["options"].get(name, "")
        if before != now:
            changes.append(f"--{name} was '{before}' and is '{now}'")
    for earlier, later in ((old["inputs"], new["inputs"]), (old["after"], new["after"])):
        for name in dict.fromkeys([*earlier, *later]):
            if earlier.get(name) != later.get(name):
                changes.append(f"{name.rpartition(':')[0] or name} has changed")
    return "; ".join(dict.fromkeys(changes))


def set_aside(folder: Path, keep: str, cut_short: bool) -> None:
    """Move all but the lock and ``keep`` to ``FOLDER.previous``, which is replaced unless a move was cut short."""
    aside = Path(f"{folder}.previous")
    if not cut_short:
        shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True, exist_ok=True)
    for path in _others(folder, keep):
        os.replace(path, aside / path.name)


def lock(descriptor: int, folder: str) -> None:
    """Lock the caller's open file, waiting for another run (or what is left of a killed one) to let go of it.

    Raises:
        UserError: the caller has ended while this waited.
    """
    try:
        import fcntl
    except ImportError:  # no file locks on this system: two runs at once are the user's to avoid
        return
    waiting = False
    with contextlib.suppress(OSError):  # file systems without locks
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if not waiting:
                    print(
                        f"another run is at work on {folder}; waiting for it (Ctrl-C ends the waiting)", file=sys.stderr
                    )
                waiting = True
            check_caller()
            time.sleep(WAIT)


def check_caller() -> None:
    """Nothing is changed for a run that is gone: the script that asks reads our standard output as long as it lives.

    Raises:
        UserError: nobody reads it.
    """
    poll = select.poll()
    poll.register(1, 0)
    if any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0)):
        raise UserError("the run that this was asked for has ended; nothing was changed")
