"""What the folder of an experiment says of its making: models and data, and the code that trained its runs."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from m4ser.models.description import read_plan
from m4ser.training.experiment import INFER_INFO, TRAIN_INFO
from m4ser.training.settings import NO_TEXT
from m4ser.utils.errors import UserError
from m4ser.utils.files import read_json

SETUP = {  # what of run.json a result names
    "fusion": "fusion",
    "objectives": "objectives",
    "speech_encoder": "speech encoder",
    "text_encoder": "text encoder",
    "text_source": "text",
    "asr": "ASR",
    "operating_point": "operating point by dev",
    "config": "configuration",
}
INPUT = ("speech_encoder", "text_encoder", "text_source", "asr")  # of these a system may have none
COST = ("parameters", "trained_parameters", "seconds", "real_time_factor")


def read_run(path: Path) -> dict[str, Any]:
    """What the training stage says of itself; nothing in it is obligatory."""
    try:
        return dict(read_plan(path)) if path.exists() else {}
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None


def named_setup(run: Mapping[str, Any]) -> dict[str, Any]:
    """What `run.json` says of the keys of :data:`SETUP`."""
    return {key: run[key] for key in SETUP if run.get(key) not in (None, "", {}, [])}


def setup_text(setup: Mapping[str, Any]) -> str:
    """Models and data as one sentence without its end: ``fusion concat; speech encoder tiny``."""
    return "; ".join(f"{name} {shown(setup[key])}" for key, name in SETUP.items() if key in setup)


def shown(value: Any) -> str:
    """A configuration value as plain text."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {shown(item)}" for key, item in value.items())
    if isinstance(value, list):
        return " ".join(str(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def trained_with(path: Path, folds: Sequence[str], seeds: Sequence[str]) -> dict[str, list[str]]:
    """Versions and commits of the code that trained these runs, earliest first; nothing where runs do not say.

    Runs that are added later, or made again, can be of other code than the first ones.
    """
    files = [path / f"fold{fold}" / f"seed{seed}" / TRAIN_INFO for fold in folds for seed in seeds]
    makers = [read_json(file).get("made_by", {}) for file in files if file.exists()]
    makers.sort(key=lambda maker: (maker.get("date", ""), maker.get("git", "")))
    return joined_makers({key: [maker[key]] for key in ("m4ser", "git") if key in maker} for maker in makers)


def trained_text(trained: Mapping[str, Sequence[str]]) -> str:
    """Which code trained the runs, as a sentence; empty if that is not known."""
    makers = ", ".join(f"{key} {' '.join(values)}" for key, values in trained.items())
    return f"Trained with {makers}." if makers else ""


def joined_makers(several: Iterable[Mapping[str, Sequence[str]]]) -> dict[str, list[str]]:
    """What :func:`trained_with` says of several systems as of one, each version and commit once."""
    every_maker: dict[str, list[str]] = {}
    for makers in several:
        for key, values in makers.items():
            every_maker[key] = list(dict.fromkeys([*every_maker.get(key, []), *values]))
    return every_maker


def common_setup(runs: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """What several systems have in common (``setup``), and whose input is another (``setup_differs``: value to names).

    ``runs``: `run.json` by name. A system without speech or text says nothing about encoder or recogniser.
    """
    setup, differs = {}, {}
    for key in SETUP:
        values = {name: run.get(key) for name, run in runs.items()}
        if key in INPUT:
            values = {name: value for name, value in values.items() if value and value != NO_TEXT}
        first = next(iter(values.values()), None)
        if first and all(value == first for value in values.values()):
            setup[key] = first
        elif key in INPUT and values:
            differs[key] = {str(v): [name for name, other in values.items() if other == v] for v in values.values()}
    return {"setup": setup, "setup_differs": differs}


def cost(path: Path, run: Mapping[str, Any], folds: Sequence[str], seeds: Sequence[str]) -> dict[str, float]:
    """Parameters, training seconds and inference real-time factor, as far as recorded.

    From `run.json`, else the mean over the runs' `train_info.json` and `infer_info.json`.
    """
    files = [path / f"fold{f}" / f"seed{s}" / name for f in folds for s in seeds for name in (TRAIN_INFO, INFER_INFO)]
    infos = [read_json(file) for file in files if file.exists()]
    costs: dict[str, float] = {}
    for key in COST:
        values = [run[key]] if isinstance(run.get(key), int | float) else [info[key] for info in infos if key in info]
        if values:
            costs[key] = float(np.mean(values))
    return costs
