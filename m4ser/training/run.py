"""Stage 4: the trainings of an experiment, each from the lists it reads to the model that is kept."""

import argparse
import contextlib
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import yaml

from m4ser.data.folds import Folds
from m4ser.models.systems import SER, system_class
from m4ser.training.configuration import parse_task, read_config
from m4ser.training.experiment import (
    HISTORY,
    TRAIN_INFO,
    Run,
    TrainInfo,
    choose_folds,
    job_of,
    parse_seeds,
    read_maps,
    runs,
)
from m4ser.training.history import read_history
from m4ser.training.lists import check_inputs, read_folds, write_data
from m4ser.training.options import task_command
from m4ser.training.plan import plan
from m4ser.training.settings import Settings
from m4ser.utils.errors import UserError
from m4ser.utils.files import atomic_path, write_json


def run_stage(settings: Settings, write_plan: bool, job: int | None) -> None:
    """Write the plan of an experiment, train its ``job``-th run, or both.

    Raises:
        UserError: neither was asked for, or there is no such run.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    folds = read_folds(settings.data)
    if not write_plan and job is None:
        raise UserError("give --plan, --job, or both")
    every_run = runs(settings.exp, choose_folds(folds, settings.folds), parse_seeds(settings.seeds))
    run = None if job is None else job_of(every_run, job)
    # Of many jobs, those that have nothing to train leave the plan to the first.
    if write_plan and (run is None or job == 1 or not run.is_trained()):
        plan(settings, folds)
    if run is not None:
        train(settings, folds, run)


def train(settings: Settings, folds: Folds, run: Run) -> None:
    """Train one run to its end and keep the selected model as ``model.pth``.

    On several machines each runs this; the first of them writes the lists and, when all have trained, the results.
    """
    if run.is_trained():
        print(f"{run.folder}: trained already")
        return
    started = time.monotonic()
    task = parse_task(settings.config, settings.train_args)
    check_inputs(settings, task)
    first, listed = is_first(task), run.folder / f".listed.{os.environ.get('SLURM_JOB_ID', '')}"
    if first:
        write_data(settings, task, folds, folds.folds[run.fold], run.folder / "data")
        listed.touch()
    else:
        wait_for(listed)
    options = task_command(settings, task, folds, run)
    if settings.ngpu > 1:
        _launch(options, settings.ngpu, run)
    else:
        with full_disk(run.folder):
            system_class(task.task).main(cmd=options)
    if first:
        listed.unlink(missing_ok=True)
        speakers = read_maps(settings.data, folds.sets, "utt2spk")
        finish(run.folder, task, speakers, time.monotonic() - started, settings.keep_snapshots)


def is_first(task: argparse.Namespace) -> bool:
    """Whether this is the first machine of those that train one model together, as Slurm counts them, or the only."""
    several = getattr(task, "dist_launcher", None) == "slurm"
    return not several or os.environ.get("SLURM_PROCID", "0") == "0"


def wait_for(path: Path, seconds: float = 600.0) -> None:
    """Wait until the first machine has made a file.

    Raises:
        UserError: it does not come.
    """
    end = time.monotonic() + seconds
    while not path.exists():
        if time.monotonic() > end:
            raise UserError(f"{path}: has not come in {seconds:.0f} s; see what the first machine says in its log")
        time.sleep(min(1.0, seconds / 10))


def _launch(options: list[str], ngpu: int, run: Run) -> None:
    """Several processes through ESPnet's launcher."""
    from espnet2.bin.launch import main as launch

    trainer = [sys.executable, "-m", "m4ser.bin.ser_train", "--multiprocessing_distributed", "true", *options]
    log = str(run.folder / "train.log")
    launch(["--cmd", "m4ser-local", "--log", log, "--ngpu", str(ngpu), "--", *trainer])


def finish(
    folder: Path, task: argparse.Namespace, speakers: Mapping[str, str], seconds: float, keep_snapshots: bool
) -> None:
    """Copy the selected (averaged) model and the history, drop the snapshots, leave the done-marker with the costs.

    Raises:
        UserError: training has left no model that was selected as the configuration says.
    """
    criterion = task.best_model_criterion[0]
    phase, key, _ = criterion
    candidates = (folder / f"{phase}.{key}.ave.pth", folder / f"{phase}.{key}.best.pth")
    chosen = next((path for path in candidates if path.exists()), None)
    if chosen is None:
        raise UserError(f"{folder}: training left no model chosen by {phase} {key}; see its log")
    with atomic_path(folder / "model.pth") as temporary:
        shutil.copyfile(chosen, temporary)
    fitted: TrainInfo = {}
    if task.task == SER:
        from m4ser.training.development import fit_on_dev  # seconds of imports, which planning does without

        fitted = fit_on_dev(folder, task, speakers)
    if (folder / "checkpoint.pth").exists():
        history = read_history(folder / "checkpoint.pth", criterion)
        write_json(folder / HISTORY, history)
        epochs_took = sum(phase.get("time", 0.0) for phases in history["epochs"].values() for phase in phases.values())
        seconds = max(seconds, epochs_took)  # of a training that went on, only the last start was timed
    stored = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    epochs = sorted(int(path.name.removesuffix("epoch.pth")) for path in folder.glob("[0-9]*epoch.pth"))
    info = TrainInfo(seconds=round(seconds, 3), last_epoch=epochs[-1] if epochs else 0)
    info.update(fitted)
    info.update(stored.get("parameters", {}))
    write_json(folder / TRAIN_INFO, info)
    if not keep_snapshots:
        for path in folder.glob("*.pth"):
            if path.name != "model.pth":
                path.unlink()


def run_task(words: Sequence[str]) -> None:
    """Train with ESPnet's options alone; the task is the one that the file behind ``--config`` is for."""
    config = words[words.index("--config") + 1] if "--config" in words[:-1] else None
    task = read_config(config).get("task", SER) if config else SER
    folder = words[words.index("--output_dir") + 1] if "--output_dir" in words[:-1] else "."
    with full_disk(Path(folder)):
        system_class(task).main(cmd=list(words))


@contextlib.contextmanager
def full_disk(folder: Path) -> Iterator[None]:
    """Say what PyTorch means when it could not write a checkpoint: it names a position in its source or in the file.

    Raises:
        UserError: a checkpoint could not be written.
    """
    try:
        yield
    except RuntimeError as error:
        writing = "inline_container" in str(error) or "iostream error" in str(error)
        if not writing or "PytorchStreamReader" in str(error):
            raise
        free = shutil.disk_usage(folder).free / 1e6
        raise UserError(
            f"{folder}: a checkpoint cannot be written; {free:.0f} MB are left on this disk: free some space and run "
            "the same command again"
        ) from None
