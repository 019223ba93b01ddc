"""The folder of one experiment: ``exp/<tag>/run.json`` and one run per fold and seed."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from m4ser.data.folds import Folds
from m4ser.data.scp import read_scp
from m4ser.models.description import PLAN
from m4ser.models.systems import SER, system_class
from m4ser.utils.cli import shell_words
from m4ser.utils.errors import UserError
from m4ser.utils.files import read_json, write_json

NO_TEXT = "none"


@dataclass(frozen=True)
class Run:
    """One training: a fold and a seed of an experiment."""

    fold: str
    seed: int
    folder: Path


def read_config(path: str | Path) -> dict[str, Any]:
    """Read a training configuration, checking what ESPnet would only trip over later.

    Raises:
        UserError: the file is missing, is not a YAML mapping, or has a number that YAML reads as text (``1e-3``).
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such training configuration; see --train-config")
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid YAML ({' '.join(str(error).split())})") from None
    if not isinstance(config, dict):
        raise UserError(f"{path}: must be a mapping of option: value")
    _refuse_numbers_as_text(config, str(path))
    return config


def _refuse_numbers_as_text(value: Any, where: str) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            _refuse_numbers_as_text(inner, f"{where}: {key}")
    elif isinstance(value, str) and value[:1].isdigit() and "e" in value.lower():
        try:
            number = float(value)
        except ValueError:
            return
        raise UserError(f"{where}: {value!r} is text in YAML; write {number:.1e}")


def parse_task(config: str | Path, extra: str = "") -> argparse.Namespace:
    """ESPnet's arguments of a configuration file and extra options (one shell-quoted string).

    Raises:
        UserError: there is no such configuration or task, or YAML reads a number in it or in the options as text.
    """
    task = system_class(read_config(config).get("task", SER), str(config))
    args = task.get_parser().parse_args(["--config", str(config), *shell_words(extra, "--train-args")])
    for option, value in vars(args).items():
        if isinstance(value, dict):
            _refuse_numbers_as_text(value, f"--train-args: --{option}")
    return args


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
