"""The folder of one experiment: ``exp/<tag>/run.json`` and one run per fold and seed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from m4ser.data.folds import Folds
from m4ser.data.scp import read_scp
from m4ser.models.description import PLAN, Plan, read_plan
from m4ser.utils.errors import UserError
from m4ser.utils.files import write_json

# Of a plan what may be another one when more runs are added to an experiment.
DERIVED = ("seeds", "folds", "wer", "pipeline", "corpora", "trained_on")
TRAIN_INFO, INFER_INFO, HISTORY = "train_info.json", "infer_info.json", "history.json"


@dataclass(frozen=True)
class Run:
    """One training: a fold and a seed of an experiment."""

    fold: str
    seed: int
    folder: Path

    def is_trained(self) -> bool:
        """Whether its training has come to its end, and its model is there."""
        return (self.folder / TRAIN_INFO).exists() and (self.folder / "model.pth").exists()


class TrainInfo(TypedDict, total=False):
    """``train_info.json`` of a run: what its training took."""

    seconds: float
    last_epoch: int
    parameters: int  # used at inference
    trained_parameters: int
    operating_point: float  # strength of the shift, where one was chosen on dev


class History(TypedDict):
    """``history.json`` of a run: statistics of every epoch, times in seconds; what was not finite is missing."""

    criterion: list[str]  # phase, statistic, "max" or "min": what the model was chosen by
    best_epoch: int | None
    epochs: dict[str, dict[str, dict[str, float]]]  # number -> "train" or "valid" -> statistic -> value


class InferInfo(TypedDict, total=False):
    """``infer_info.json`` of a run: what its predictions took. Factors are seconds per second of audio."""

    parts: list[str]
    batch_size: int
    device: str
    infer_seconds: float
    infer_cpu_seconds: float
    audio_seconds: float
    real_time_factor: float
    cpu_real_time_factor: float


def choose_folds(folds: Folds, names: list[str]) -> list[str]:
    """Names of the folds asked for, all of them for none or ``all``."""
    if not names or names == ["all"]:
        return list(folds.folds)
    if unknown := [name for name in names if name not in folds.folds]:
        raise UserError(f"--folds: there is no fold {unknown[0]}; the folds are {', '.join(folds.folds)}")
    return names


def parse_seeds(seeds: Sequence[str]) -> list[int]:
    """Seeds as numbers.

    Raises:
        UserError: one is not a whole number.
    """
    if bad := [seed for seed in seeds if not seed.isdigit()]:
        raise UserError(f"--seeds: {bad[0]!r} is not a whole number of 0 or more")
    return [int(seed) for seed in seeds]


def runs(exp: str | Path, folds: list[str], seeds: list[int]) -> list[Run]:
    """All runs of an experiment, seeds outermost, in the order in which jobs are numbered from 1."""
    return [Run(fold, seed, Path(exp) / f"fold{fold}" / f"seed{seed}") for seed in seeds for fold in folds]


def job_of(every_run: list[Run], job: int) -> Run:
    """The run with a number, from 1.

    Raises:
        UserError: there is none.
    """
    if not 1 <= job <= len(every_run):
        raise UserError(f"--job {job}: there are {len(every_run)} runs (folds x seeds)")
    return every_run[job - 1]


def read_maps(
    data: str | Path, sets: list[str], name: str, allow_empty: bool = False, stage: int = 0
) -> dict[str, str]:
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


def write_plan(exp: str | Path, plan: Plan) -> None:
    """Write ``run.json``; seeds and folds of earlier calls are kept.

    Raises:
        UserError: the folder holds runs of another configuration.
    """
    path = Path(exp) / PLAN
    if path.exists():
        old = read_plan(path, need=("seeds", "folds"))
        for key, value in plan.items():
            if key not in DERIVED and old.get(key) != value:
                raise UserError(
                    f"{path}: was planned with another {key}; give this run a --tag of its own or delete {exp}"
                )
        plan["seeds"] = sorted({*old["seeds"], *plan["seeds"]})
        plan["folds"] = [*old["folds"], *(fold for fold in plan["folds"] if fold not in old["folds"])]
    write_json(path, plan)
