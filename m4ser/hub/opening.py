"""Find a trained model by what a user calls it: experiment, run, archive, unpacked archive, hub id."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import m4ser
from m4ser.hub.archive import check_folder, unpack
from m4ser.hub.remote import download
from m4ser.hub.stored import DESCRIPTION, StoredModel
from m4ser.models.description import PLAN, read_plan
from m4ser.utils.errors import UserError

IN_THE_BOX = Path(m4ser.__file__).resolve().parent / "box" / "default.m4ser.zip"  # comes with the package
NEEDED = ("labels", "folds", "seeds")  # of an experiment, to open a model


@contextlib.contextmanager
def open_model(name: str | Path, fold: str | None = None, seed: int | None = None) -> Iterator[StoredModel]:
    """Find a model by folder, archive or hub id; what had to be unpacked is deleted when the block ends.

    Raises:
        UserError: there is none, or it is not intact.
    """
    path = Path(name).expanduser()
    if path.is_file():
        with tempfile.TemporaryDirectory(prefix="m4ser-") as folder:
            yield unpack(path, Path(folder) / "model")
    elif path.is_dir():
        yield find_model(path, fold, seed)
    elif str(name).count("/") == 1 and not str(name).startswith((".", "/", "~")):
        yield download(str(name))
    else:
        raise UserError(f"{name}: no such model; give exp/<tag>, one of its runs, an archive, or a hub id org/name")


def find_model(path: Path, fold: str | None = None, seed: int | None = None) -> StoredModel:
    """The model in a folder: an unpacked archive, an experiment or one of its runs."""
    path = path.resolve()
    if (path / DESCRIPTION).is_file():
        return check_folder(path)
    if (path / "config.yaml").is_file() and (path.parents[1] / PLAN).is_file():
        run_fold, run_seed = path.parent.name.removeprefix("fold"), int(path.name.removeprefix("seed") or 0)
        return StoredModel(path, dict(read_plan(path.parents[1] / PLAN, NEEDED)), False, run_fold, run_seed)
    if not (path / PLAN).is_file():
        raise UserError(f"{path}: no trained model in this folder; give exp/<tag>, one of its runs, or an archive")
    plan = read_plan(path / PLAN, NEEDED)
    fold = str(fold) if fold is not None else plan["folds"][0]
    seed = seed if seed is not None else plan["seeds"][0]
    run = path / f"fold{fold}" / f"seed{seed}"
    if not (run / "model.pth").is_file():
        there = ", ".join(sorted(str(p.parent.relative_to(path)) for p in path.glob("fold*/seed*/model.pth")))
        raise UserError(f"{run}: is not trained; trained runs: {there or 'none, run stage 4 first'}")
    return StoredModel(run, dict(plan), False, fold, seed)


def default_model() -> str:
    """What to use without a name: ``$M4SER_MODEL``, else the model that comes with the package.

    Raises:
        UserError: neither is there.
    """
    if os.environ.get("M4SER_MODEL"):
        return os.environ["M4SER_MODEL"]
    if not IN_THE_BOX.is_file():
        raise UserError(
            f"no model: {IN_THE_BOX} is missing; give --model (exp/<tag>, an archive, a folder or a hub id), set "
            "M4SER_MODEL, or install m4ser again"
        )
    return str(IN_THE_BOX)
