"""Cost of a training step and of inference, several configurations in one run, on the dumps of a recipe.

    cd egs/mini && python ../../tools/benchmarks/steps.py concat m4ser

The first configuration is the reference of the ratios. Batches of 32 of the first fold's training part, the same for
all; the configurations take turns. Medians of processor time are printed, which other load moves less than
wall time. Encoders, fusion, objectives, backward pass, clipping and optimizer count; reading files does not.
"""

import argparse
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from espnet2.train.dataset import ESPnetDataset

from m4ser.scoring.table import Cell, Column, Table
from m4ser.training.configuration import find_config, parse_task
from m4ser.training.experiment import runs
from m4ser.training.lists import data_options, read_folds, write_data
from m4ser.training.options import task_command
from m4ser.training.precision import autocast
from m4ser.training.settings import Settings
from m4ser.training.task import SERTask
from m4ser.utils.cli import command

Batch = dict[str, torch.Tensor]
INPUTS = ("speech", "speech_lengths", "text", "text_lengths")


class Subject:
    """One configuration: its model, optimizer and batches."""

    def __init__(self, config: str, options: argparse.Namespace) -> None:
        path = find_config(config, Path.cwd())
        settings = Settings(
            exp=f"{options.exp}/{path.stem}",
            config=str(path),
            data=options.data,
            feats=options.feats,
            text=options.text,
            train_args=options.train_args,
        )
        folds, task = read_folds(settings.data), parse_task(path, settings.train_args)
        (run,) = runs(settings.exp, [next(iter(folds.folds))], [1])
        write_data(settings, task, folds, folds.folds[run.fold], run.folder / "data")
        full = SERTask.get_parser().parse_args(task_command(settings, task, folds, run))
        torch.manual_seed(1)
        self.precision = full.matmul_precision
        self.model = SERTask.build_model(full)
        (self.optimizer,) = SERTask.build_optimizers(full, self.model)
        data = data_options(run.folder / "data", "train", task)
        dataset = ESPnetDataset(data, preprocess=SERTask.build_preprocess_fn(full, train=True))
        collate = SERTask.build_collate_fn(full, train=True)
        ids = folds.folds[run.fold].train[:: max(1, len(folds.folds[run.fold].train) // (32 * options.batches))]
        groups = [ids[start : start + 32] for start in range(0, 32 * options.batches, 32)]
        self.batches = [collate([dataset[utt] for utt in group])[1] for group in groups]

    def step(self, batch: Batch) -> float:
        """Seconds of one training step."""
        self.model.train()
        torch.set_float32_matmul_precision(self.precision)
        start = time.process_time()
        with autocast("cpu"):
            loss = self.model(**batch)["loss"]
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return time.process_time() - start

    @torch.no_grad()
    def infer(self, batch: Batch) -> float:
        """Seconds of the inference graph."""
        self.model.eval()
        torch.set_float32_matmul_precision("highest")
        inputs = {name: batch[name] for name in INPUTS if name in batch}
        start = time.process_time()
        self.model.logits(self.model.represent(**inputs))
        return time.process_time() - start


@command
def main(cmd: Sequence[str] | None = None) -> None:
    """Command line entry."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("configs", nargs="+", help="systems or configurations of the recipe, the reference first")
    parser.add_argument("--data", default="data")
    parser.add_argument("--feats", default="dump/feats/whisper-tiny.en_pool8")
    parser.add_argument("--text", default="dump/text/faster_whisper_whisper-tiny.en-ct2")
    parser.add_argument(
        "--train-args", default="", help="options for all, such as '--text_encoder_conf trained_layers=6'"
    )
    parser.add_argument("--exp", default="exp/.benchmark", help="folder for the lists")
    parser.add_argument("--batches", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="writes OUT.md, OUT.csv, OUT.json")
    options = parser.parse_args(cmd)
    torch.set_num_threads(options.threads)
    subjects = {Path(config).stem.removeprefix("train_"): Subject(config, options) for config in options.configs}
    steps: dict[str, list[float]] = {name: [] for name in subjects}
    inferences: dict[str, list[float]] = {name: [] for name in subjects}
    for turn in range(options.rounds + 1):
        for index in range(options.batches):
            for name, subject in subjects.items():
                pair = subject.step(subject.batches[index]), subject.infer(subject.batches[index])
                if turn:  # the first round warms up
                    steps[name].append(pair[0])
                    inferences[name].append(pair[1])
    reference = next(iter(subjects))
    rows: list[list[Cell]] = []
    for name in subjects:
        row: list[Cell] = [name]
        for times in (steps, inferences):
            seconds = statistics.median(times[name])
            row += [seconds, seconds / statistics.median(times[reference])]
        rows.append(row)
    caption = f"Medians of processor time for batches of 32, threads: {options.threads}."
    columns = [
        Column("configuration"),
        Column("step ms", "step_seconds", digits=1, scale=1e3),
        Column("ratio", "step_ratio"),
        Column("inference ms", "inference_seconds", digits=1, scale=1e3),
        Column("ratio", "inference_ratio"),
    ]
    table = Table(columns, rows, caption=caption)
    print(table.markdown(aligned=True))
    if options.out:
        table.save(options.out)


if __name__ == "__main__":
    main()
