"""Stage 4: train one model per fold and seed through ESPnet's trainer.

``--plan`` checks the configuration and writes ``exp/<tag>/run.json``; ``--job J`` trains the J-th of folds x seeds.
Both may be given at once, which imports ESPnet once. A finished run is left alone, an interrupted one continues from
its last complete epoch.
"""

import argparse
import os
import shutil
import sys
import time
from pathlib import Path

import yaml

from m4ser.data.folds import Folds
from m4ser.models.systems import system_class
from m4ser.training.configuration import parse_task
from m4ser.training.experiment import NO_TEXT, Run, choose_folds, runs
from m4ser.training.history import HISTORY, read_history
from m4ser.training.lists import check_inputs, read_folds, write_data
from m4ser.training.options import task_command
from m4ser.training.plan import plan, seeds_of
from m4ser.utils.cli import boolean, command, words
from m4ser.utils.errors import UserError
from m4ser.utils.files import atomic_path, write_json

DONE = "train_info.json"


def get_parser() -> argparse.ArgumentParser:
    """Options shared by the plan and the jobs."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--data", default="data", help="folder with folds.json (default: data)")
    parser.add_argument("--audio", default="dump/audio", help="stage 1 audio (default: dump/audio)")
    parser.add_argument("--feats", default="", help="stage 1 features of one encoder, for speech_encoder: precomputed")
    parser.add_argument(
        "--perturbed",
        action="append",
        default=[],
        help="stage 1 features at another speed, to train on too; repeatable",
    )
    parser.add_argument("--text", default="", help="stage 3 targets of one text source: dump/text/<source>")
    parser.add_argument("--tokenizers", default="", help="stage 3 sentencepiece models, for text_encoder: transformer")
    parser.add_argument("--asr-dir", default="", help="stage 2 of one recogniser, for its WER in the results")
    parser.add_argument("--exp", required=True, help="experiment folder exp/<tag>")
    parser.add_argument("--config", required=True, help="training configuration (YAML)")
    parser.add_argument("--train-args", default="", help="options that override the configuration, as one argument")
    parser.add_argument("--folds", type=words, default=[], help="folds to train (default: all)")
    parser.add_argument("--seeds", type=words, default=["1"], help="random seeds (default: 1)")
    parser.add_argument("--text-source", default="asr", choices=["asr", "ref", NO_TEXT], help="(default: asr)")
    parser.add_argument("--text-encoder", default="", help="name or folder, overrides text_encoder_conf: model")
    parser.add_argument(
        "--speech-encoder",
        default="",
        help="with --feats: name of the encoder that made them; else overrides speech_encoder_conf: model",
    )
    parser.add_argument("--asr-tag", default="", help="name of the recogniser, for the results")
    parser.add_argument(
        "--init-exp", default="", help="start from the models of this experiment, fold by fold and seed"
    )
    parser.add_argument("--pretrained-dir", default="", help="where pretrained folders are looked for first")
    parser.add_argument("--ngpu", type=int, default=0, help="GPUs for this job (default: 0)")
    parser.add_argument(
        "--keep-snapshots", type=boolean, default=False, help="keep all epochs' models (default: false)"
    )
    parser.add_argument("--plan", action="store_true", help="check the configuration and write run.json")
    parser.add_argument("--job", type=int, help="train this run, 1 to the number of folds x seeds")
    return parser


def _trained(run: Run) -> bool:
    return (run.folder / DONE).exists()


def train(args: argparse.Namespace, folds: Folds, run: Run) -> None:
    """Train one run to its end and keep the selected model as ``model.pth``.

    On several machines each runs this; the first of them writes the lists and, when all have trained, the results.
    """
    if _trained(run):
        print(f"{run.folder}: trained already")
        return
    started = time.monotonic()
    task = parse_task(args.config, args.train_args)
    check_inputs(args, task)
    first, listed = is_first(task), run.folder / f".listed.{os.environ.get('SLURM_JOB_ID', '')}"
    if first:
        write_data(args, task, folds, folds.folds[run.fold], run.folder / "data")
        listed.touch()
    else:
        wait_for(listed)
    options = task_command(args, task, folds, run)
    if args.ngpu > 1:
        _launch(options, args.ngpu, run)
    else:
        system_class(task.task).main(cmd=options)
    if first:
        listed.unlink(missing_ok=True)
        finish(run.folder, task, time.monotonic() - started, args.keep_snapshots)


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


def finish(folder: Path, task: argparse.Namespace, seconds: float, keep_snapshots: bool) -> None:
    """Copy the selected (averaged) model and the history, drop the snapshots, leave the done-marker with the costs."""
    criterion = task.best_model_criterion[0]
    phase, key, _ = criterion
    chosen = next(
        (p for p in (folder / f"{phase}.{key}.ave.pth", folder / f"{phase}.{key}.best.pth") if p.exists()), None
    )
    if chosen is None:
        raise UserError(f"{folder}: training left no model chosen by {phase} {key}; see its log")
    with atomic_path(folder / "model.pth") as temporary:
        shutil.copyfile(chosen, temporary)
    if (folder / "checkpoint.pth").exists():
        history = read_history(folder / "checkpoint.pth", criterion)
        write_json(folder / HISTORY, history)
        epochs_took = sum(phase.get("time", 0.0) for phases in history["epochs"].values() for phase in phases.values())
        seconds = max(seconds, epochs_took)  # of a training that went on, only the last start was timed
    stored = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    epochs = sorted(int(p.name.removesuffix("epoch.pth")) for p in folder.glob("[0-9]*epoch.pth"))
    info = {"seconds": round(seconds, 3), "last_epoch": epochs[-1] if epochs else 0, **stored.get("parameters", {})}
    write_json(folder / DONE, info)
    if not keep_snapshots:
        for path in folder.glob("*.pth"):
            if path.name != "model.pth":
                path.unlink()


@command
def main(cmd: list[str] | None = None) -> None:
    """Command line entry."""
    args = get_parser().parse_args(cmd)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    folds = read_folds(args.data)
    if not args.plan and args.job is None:
        raise UserError("give --plan, --job, or both")
    todo = runs(args.exp, choose_folds(folds, args.folds), seeds_of(args))
    if args.job is not None and not 1 <= args.job <= len(todo):
        raise UserError(f"--job {args.job}: there are {len(todo)} runs (folds x seeds)")
    run = todo[args.job - 1] if args.job else None
    # Of many jobs, those that have nothing to train leave the plan to the first.
    if args.plan and (args.job in (None, 1) or not _trained(run)):
        plan(args, folds)
    if run:
        train(args, folds, run)


if __name__ == "__main__":
    main()
