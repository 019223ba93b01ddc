"""The folder of one experiment: ``exp/<tag>/run.json`` and one run per fold and seed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from m4ser.data.folds import Folds
from m4ser.data.scp import read_scp
from m4ser.models.description import PLAN
from m4ser.utils.errors import UserError
from m4ser.utils.files import read_json, write_json

NO_TEXT = "none"


@dataclass(frozen=True)
class Run:
    """One training: a fold and a seed of an experiment."""

    fold: str
    seed: int
    folder: Path


def choose_folds(folds: Folds, asked: list[str]) -> list[str]:
    """Names of the folds asked for, all of them for none or ``all``."""
    if not asked or asked == ["all"]:
        return list(folds.folds)
    if unknown := [name for name in asked if name not in folds.folds]:
        raise UserError(f"--folds: there is no fold {unknown[0]}; the folds are {', '.join(folds.folds)}")
    return asked


def runs(exp: str | Path, folds: list[str], seeds: list[int]) -> list[Run]:
    """All runs of an experiment, seeds outermost, in the order in which jobs are numbered from 1."""
    return [Run(fold, seed, Path(exp) / f"fold{fold}" / f"seed{seed}") for seed in seeds for fold in folds]


def read_maps(data: str | Path, sets: list[str], name: str, allow_empty: bool = False, stage: int = 0) -> dict:
    """Join the files ``<data>/<set>/<name>`` of all sets.

    Raises:
        UserError: one is missing; the message names the stage that makes it.
    """
    joined: dict[str, str] = {}
    for part in sets:
        path = Path(data) / part / name
        if not path.exists():
            raise UserError(f"{path}: no such file; run stage {stage} first")
        joined |= read_scp(path, allow_empty)
    return joined


def write_plan(exp: str | Path, plan: dict[str, Any]) -> None:
    """Write ``run.json``; seeds and folds of earlier calls are kept.

    Raises:
        UserError: the folder holds runs of another configuration.
    """
    path = Path(exp) / PLAN
    if path.exists():
        old = read_json(path)
        for key, value in plan.items():
            if key not in ("seeds", "folds", "wer", "pipeline") and old.get(key) != value:
                raise UserError(
                    f"{path}: was planned with another {key}; give this run a --tag of its own or delete {exp}"
                )
        plan = plan | {
            "seeds": sorted({*old["seeds"], *plan["seeds"]}),
            "folds": [*old["folds"], *(f for f in plan["folds"] if f not in old["folds"])],
        }
    write_json(path, plan)
