"""Whether a step has work to do, and a note of what a finished one was made from.

A marker in the folder that a step writes records the options that matter for the step, hashes of its inputs and the ids
of the steps it builds on; its id is a hash of all that. So a step runs again when an option, an input or anything
upstream is another one, and only then.

While a step runs its record is called ``.doing``, afterwards ``.done`` (``.NAME.doing``, ``.NAME.done`` for a step with
a name). A ``.doing`` that is found with the same id was interrupted: its work is continued. One with another id belongs
to other options: what it left is removed first, or set aside (:class:`Leftovers`).
"""

import contextlib
import enum
import functools
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict, cast

from m4ser.data.folds import Folds
from m4ser.training.experiment import choose_folds
from m4ser.utils.errors import UserError
from m4ser.utils.files import write_json

LOCK = ".lock"


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
    cleaning: bool  # what was there before was being taken away


class Leftovers(enum.Enum):
    """What becomes of a folder's content when it is made again from something else."""

    KEEP = enum.auto()
    REMOVE = enum.auto()
    SET_ASIDE = enum.auto()


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
        """Path of the marker ``doing`` or ``done``."""
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
    return not step.force and _complete(step, make_record(step), read_marker(step.marker("done")))


def begin(step: Step) -> bool:
    """Whether the step has to run; if so, its ``.doing`` is in place and ``.done`` is gone.

    Raises:
        UserError: something is missing or out of date that an earlier stage makes.
    """
    record = make_record(step)
    done, doing = read_marker(step.marker("done")), read_marker(step.marker("doing"))
    if _complete(step, record, done) and not step.force:
        return False
    if done is not None and done["id"] == record["id"]:
        record["cells"] = sorted({*done["cells"], *record["cells"]})
    earlier = done or doing
    if earlier is not None and earlier["id"] == record["id"]:
        record["generation"] = earlier.get("generation", 0) + (step.force and done is not None)
    another = earlier is not None and earlier["id"] != record["id"]
    cut_short = bool(doing and doing.get("cleaning"))
    whole = another or cut_short or (step.force and step.runs is None)
    cleaning = step.leftovers is not Leftovers.KEEP and whole
    if earlier is not None and another:
        kept = f" (the earlier one is kept as {step.folder}.previous)"
        kept = kept if step.leftovers is Leftovers.SET_ASIDE else ""
        print(f"stage {step.stage}: {step.folder} is made again{kept}: {differences(earlier, record)}", file=sys.stderr)
    # From here on no marker vouches for what is about to change, whenever this may be cut short.
    new, folder = step.marker("doing"), Path(step.folder)
    write_json(new, {**record, "cleaning": cleaning})
    step.marker("done").unlink(missing_ok=True)
    if cleaning and step.leftovers is Leftovers.SET_ASIDE:
        set_aside(folder, new.name, cut_short)
    elif cleaning:
        empty(folder, new.name)
    elif step.force:
        for path in step.paths(output for output in step.outputs if "@cell" in output):
            remove(path)
    if cleaning:
        write_json(new, record)
    return True


def finish(folder: str, name: str = "") -> None:
    """Turn ``.doing`` into ``.done``.

    Raises:
        UserError: the marker has disappeared.
    """
    try:
        os.replace(marker(folder, name, "doing"), marker(folder, name, "done"))
    except FileNotFoundError:
        raise UserError(f"{folder}: its marker has disappeared; run the stage again") from None


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


def check_cells(upstream: Upstream, asked: Sequence[str]) -> None:
    """Refuse to build on runs (folds, seeds) that an upstream step has not made, if it is split that way.

    Raises:
        UserError: some are missing.
    """
    record = read_marker(marker(upstream.folder, upstream.name, "done"))
    made = record["cells"] if record else []
    if made and (missing := [cell for cell in asked if cell not in made]):
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


def empty(folder: Path, keep: str) -> None:
    """Remove everything from a folder but its lock and the file ``keep``."""
    for path in folder.iterdir():
        if path.name not in (LOCK, keep):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def set_aside(folder: Path, keep: str, cut_short: bool) -> None:
    """Move all but the lock and ``keep`` to ``FOLDER.previous``, which is replaced unless a move was cut short."""
    aside = Path(f"{folder}.previous")
    if not cut_short:
        shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.name not in (LOCK, keep):
            os.replace(path, aside / path.name)


def remove(path: Path) -> None:
    """Remove a file or a folder; it is away under its name before anything in it is."""
    gone = path.with_name(f".{path.name}.removed")
    shutil.rmtree(gone, ignore_errors=True)
    if path.exists():
        os.replace(path, gone)
        shutil.rmtree(gone) if gone.is_dir() else gone.unlink()


def lock(descriptor: int, folder: str) -> None:
    """Lock the caller's open file, waiting for another run (or what is left of a killed one) to let go of it."""
    try:
        import fcntl
    except ImportError:  # no file locks on this system: two runs at once are the user's to avoid
        return
    with contextlib.suppress(OSError):  # file systems without locks
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"another run is at work on {folder}; waiting for it (Ctrl-C ends the waiting)", file=sys.stderr)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
