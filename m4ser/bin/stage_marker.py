"""Decide whether a step of ``ser.sh`` has work to do, and note what a finished one was made from.

``begin FOLDER ...`` prints ``run`` or ``done``, ``finish FOLDER`` leaves the done-marker. A marker records the options
that matter for the step, hashes of its inputs and the ids of the steps it builds on; its id is a hash of all that. So
a step runs again when an option, an input or anything upstream is another one, and only then.

While a step runs its record is called ``.doing``, afterwards ``.done`` (``.NAME.doing``, ``.NAME.done`` with --name).
A ``.doing`` that is found with the same id was interrupted: its work is continued. One with another id belongs to
other options: what it left is removed first (--clean), or set aside (--keep-previous).
"""

import argparse
import contextlib
import functools
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # no file locks on this system: two runs at once are the user's to avoid
    fcntl = None

from m4ser.data.folds import Folds
from m4ser.training.experiment import choose_folds
from m4ser.utils import cli
from m4ser.utils.errors import UserError
from m4ser.utils.files import write_json

LOCK = ".lock"
FIELDS = ("id", "stage", "options", "inputs", "after", "cells")


def get_parser() -> argparse.ArgumentParser:
    """Command line: actions on the marker of one folder."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    actions = parser.add_subparsers(dest="action", required=True)
    begin = actions.add_parser("begin", allow_abbrev=False, help="print `run` or `done`")
    finish = actions.add_parser("finish", allow_abbrev=False, help="the step that began is complete")
    option = actions.add_parser("option", allow_abbrev=False, help="print an option of the finished step")
    count = actions.add_parser("count", allow_abbrev=False, help="print the number of runs of folds and seeds")
    for action in (begin, finish, option):
        action.add_argument("folder", type=Path, help="folder the step writes")
        action.add_argument("--name", default="", help="tells several steps of one folder apart")
    option.add_argument("option", help="its name")
    add = functools.partial(begin.add_argument, action="append", default=[])
    begin.add_argument("--stage", required=True, help="number of the stage, for messages")
    add("--option", metavar="NAME=VALUE", help="option that matters")
    add("--need", metavar="FILE=STAGE", help="file that has to be there, and the stage that makes it")
    add("--after", metavar="FOLDER:NAME=STAGE", help="finished step this one builds on")
    add("--input", metavar="PATH", help="file, or folder of lists, that is read; @set stands for every set of the data")
    add("--output", metavar="PATH", help="what it leaves; @set as above, @cell: every fold and seed")
    for action in (begin, count):
        action.add_argument("--data", type=Path, default=Path("data"), help="folder with folds.json")
        action.add_argument("--folds", type=cli.words, help="folds now worked on, others may be later ('': all)")
        action.add_argument("--seeds", type=cli.words, default=["1"], help="seeds now worked on")
    begin.add_argument("--force", type=cli.boolean, default=False, help="true: run even when done")
    begin.add_argument("--clean", type=cli.boolean, default=False, help="true: remove what was made from other inputs")
    begin.add_argument("--keep-previous", type=cli.boolean, default=False, help="true: set it aside instead")
    begin.add_argument("--lock-fd", type=int, help="open file to lock until the caller closes it")
    return parser


@cli.command
def main(cmd: Sequence[str] | None = None) -> None:
    """Run the action."""
    args = get_parser().parse_args(cmd)
    if args.action == "begin":
        print("run" if begin(args) else "done")
    elif args.action == "finish":
        finish(args.folder, args.name)
    elif args.action == "count":
        print(len(cells(args)))
    else:
        record = read(marker(args.folder, args.name, "done"))
        print(record["options"].get(args.option, "") if record else "")


def begin(args: argparse.Namespace) -> bool:
    """Whether the step has to run; if so, its ``.doing`` is in place and ``.done`` is gone.

    Raises:
        UserError: something is missing or out of date that an earlier stage makes.
    """
    if args.lock_fd is not None:
        lock(args.lock_fd, args.folder)
    record = make_record(args)
    done = read(marker(args.folder, args.name, "done"))
    doing = read(marker(args.folder, args.name, "doing"))
    same = done is not None and done["id"] == record["id"]
    complete = same and set(record["cells"]) <= set(done["cells"]) and all(map(Path.exists, by_set(args.output, args)))
    if complete and not args.force:
        return False
    if same:
        record["cells"] = sorted({*done["cells"], *record["cells"]})
    earlier = done or doing
    if earlier is not None and earlier["id"] == record["id"]:
        record["generation"] = earlier.get("generation", 0) + (args.force and done is not None)
    another = earlier is not None and earlier["id"] != record["id"]
    cut_short = bool(doing and doing.get("cleaning"))
    whole = another or cut_short or (args.force and args.folds is None)
    cleaning = (args.clean or args.keep_previous) and whole
    if another:
        kept = f" (the earlier one is kept as {args.folder}.previous)" if args.keep_previous else ""
        print(f"stage {args.stage}: {args.folder} is made again{kept}: {differences(earlier, record)}", file=sys.stderr)
    # From here on no marker vouches for what is about to change, whenever this may be cut short.
    new = marker(args.folder, args.name, "doing")
    write_json(new, {**record, "cleaning": cleaning})
    marker(args.folder, args.name, "done").unlink(missing_ok=True)
    if cleaning and args.keep_previous:
        set_aside(args.folder, new.name, cut_short)
    elif cleaning:
        empty(args.folder, new.name)
    elif args.force:
        for path in by_set((output for output in args.output if "@cell" in output), args):
            remove(path)
    if cleaning:
        write_json(new, record)
    return True


def finish(folder: Path, name: str = "") -> None:
    """Turn ``.doing`` into ``.done``."""
    try:
        os.replace(marker(folder, name, "doing"), marker(folder, name, "done"))
    except FileNotFoundError:
        raise UserError(f"{folder}: its marker has disappeared; run the stage again") from None


def marker(folder: Path, name: str, state: str) -> Path:
    """Path of a marker."""
    return folder / (f".{name}.{state}" if name else f".{state}")


def read(path: Path) -> dict[str, Any] | None:
    """Content of a marker; None if there is none or it is damaged (then the step runs again)."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return record if set(FIELDS) <= set(record) else None
    except (OSError, ValueError, TypeError):
        return None


def make_record(args: argparse.Namespace) -> dict[str, Any]:
    """What the step is about to be made from.

    Raises:
        UserError: an upstream step is unfinished, or older than its own inputs.
    """
    for need in args.need:
        file, _, stage = need.rpartition("=")
        if not Path(file).exists():
            raise UserError(f"{file} is missing; {how_to_run(stage)}")
    after = {}
    for argument in args.after:
        step, _, stage = argument.rpartition("=")
        after[step] = upstream_id(step, stage)
        check_cells(step, stage, cells(args))
    record = {
        "stage": args.stage,
        "options": dict(option.split("=", 1) for option in args.option),
        "inputs": {str(path): digest(path) for path in by_set(args.input, args)},
        "after": after,
    }
    text = json.dumps(record, sort_keys=True)
    return {**record, "id": hashlib.sha256(text.encode()).hexdigest()[:16], "cells": sorted(cells(args))}


def by_set(paths: Iterable[str], args: argparse.Namespace) -> list[Path]:
    """Paths, those with ``@set`` once for every set of the data, with ``@cell`` for every run now worked on."""
    result = []
    for path in paths:
        sets = Folds.read(args.data / "folds.json").sets if "@set" in path else [""]
        folders = cells(args) if "@cell" in path else [""]
        result += [Path(path.replace("@set", name).replace("@cell", cell)) for name in sets for cell in folders]
    return result


def cells(args: argparse.Namespace) -> list[str]:
    """Folders of the folds and seeds now worked on, none for a step that is not split that way."""
    if args.folds is None:
        return []
    names = choose_folds(Folds.read(args.data / "folds.json"), args.folds)
    return [f"fold{fold}/seed{seed}" for fold in names for seed in args.seeds]


@functools.cache
def upstream_id(step: str, stage: str) -> str:
    """Id of a finished step ``FOLDER:NAME``, after checking that nothing it was made from has changed since.

    A step that was made again by --force has another one, although it was made from the same.

    Raises:
        UserError: it has not been finished, or something has changed.
    """
    folder, _, name = step.rpartition(":")
    done = read(marker(Path(folder), name, "done"))
    if done is None:
        what = "is not finished" if Path(folder).exists() else "is missing"
        raise UserError(f"{folder} {what}; {how_to_run(stage)}")
    for path, known in done["inputs"].items():
        if digest(Path(path)) != known:
            raise UserError(f"{folder} was made before {path} was changed; {how_to_run(done['stage'], 'again')}")
    for inner, known in done["after"].items():
        if upstream_id(inner, str(int(done["stage"]) - 1)) != known:
            earlier = inner.rpartition(":")[0]
            raise UserError(f"{folder} was made from an earlier {earlier}; {how_to_run(done['stage'], 'again')}")
    return f"{done['id']}.{generation}" if (generation := done.get("generation", 0)) else done["id"]


def check_cells(step: str, stage: str, asked: Sequence[str]) -> None:
    """Refuse to build on runs (folds, seeds) that an upstream step has not made, if it is split that way.

    Raises:
        UserError: some are missing.
    """
    folder, _, name = step.rpartition(":")
    made = (read(marker(Path(folder), name, "done")) or {}).get("cells", [])
    if made and (missing := [cell for cell in asked if cell not in made]):
        raise UserError(f"{folder}/{missing[0]} is missing; run stage {stage} first, with the same --folds and --seeds")


def how_to_run(stage: str, when: str = "first") -> str:
    """The remedy of most messages."""
    return f"run stage {stage} {when}: ./run.sh --stage {stage} --stop-stage {stage}"


@functools.cache
def digest(path: Path) -> str:
    """Hash of a file's content, or of all lists in a folder (not of its subfolders); "" if it does not exist.

    The ``made_by`` header of a JSON file does not count: made again with the same result is no change.
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


def _hash(pieces: Iterable[bytes]) -> str:
    result = hashlib.sha256()
    for piece in pieces:
        result.update(piece)
    return result.hexdigest()[:16]


def differences(old: dict[str, Any], new: dict[str, Any]) -> str:
    """What makes two records differ, in words."""
    changes = []
    for name in dict.fromkeys([*old["options"], *new["options"]]):
        before, now = old["options"].get(name, ""), new["options"].get(name, "")
        if before != now:
            changes.append(f"--{name} was '{before}' and is '{now}'")
    for what in ("inputs", "after"):
        for name in dict.fromkeys([*old[what], *new[what]]):
            if old[what].get(name) != new[what].get(name):
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


def lock(descriptor: int, folder: Path) -> None:
    """Lock the caller's open file, waiting for another run (or what is left of a killed one) to let go of it."""
    if fcntl is None:
        return
    with contextlib.suppress(OSError):  # file systems without locks
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"another run is at work on {folder}; waiting for it (Ctrl-C ends the waiting)", file=sys.stderr)
            fcntl.flock(descriptor, fcntl.LOCK_EX)


if __name__ == "__main__":
    main()
