"""ESPnet's trainer with metrics of a whole epoch and restarts that never meet a half-written checkpoint."""

import argparse
import logging
import os
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from espnet2.torch_utils.device_funcs import to_device
from espnet2.torch_utils.recursive_op import recursive_average
from espnet2.train.distributed_utils import DistributedOption
from espnet2.train.reporter import Reporter, SubReporter
from espnet2.train.trainer import Trainer, TrainerOptions, autocast_args
from espnet2.utils.build_dataclass import build_dataclass

from m4ser.training.checkpoints import read_checkpoint
from m4ser.training.espnet import autocast_forward, clipped_apart
from m4ser.training.metrics import scores
from m4ser.training.precision import autocast
from m4ser.utils.files import atomic_path
from m4ser.utils.progress import MARK

CHECKPOINT, PREVIOUS = "checkpoint.pth", "checkpoint.previous.pth"


@dataclass
class SERTrainerOptions(TrainerOptions):
    """ESPnet's and ours."""

    clip_apart: list[str] = field(default_factory=list)


class SERTrainer(Trainer):
    """Model selection by unweighted average recall: dev predictions are pooled over the epoch, then scored.

    ``valid`` gains ``ua``, ``wa``, ``macro_f1`` and each objective's metrics (mean over batches would be wrong for all
    of them), to be named in ``best_model_criterion`` and ``early_stopping_criterion``, and ``epoch``, the number of the
    epoch, by which the last ones can be kept.
    """

    @classmethod
    def build_options(cls, args: argparse.Namespace) -> SERTrainerOptions:
        """From a configuration's options."""
        # ESPnet's own tasks have no such option.
        return build_dataclass(SERTrainerOptions, argparse.Namespace(**{"clip_apart": [], **vars(args)}))

    @classmethod
    def run(
        cls,
        model: torch.nn.Module,
        optimizers: Sequence[torch.optim.Optimizer],
        schedulers: Sequence[Any],
        trainer_options: TrainerOptions,
        distributed_option: DistributedOption,
        **iterators: Any,
    ) -> None:
        """Train, or continue from the last complete epoch; a run that had stopped early is only finished off."""
        output_dir = Path(trainer_options.output_dir)
        if trainer_options.resume and distributed_option.dist_rank in (None, 0):
            repair(output_dir, trainer_options)
        if distributed_option.distributed:
            torch.distributed.barrier()
        if trainer_options.resume and (stopped := _stopped_early(output_dir, trainer_options)):
            trainer_options.max_epoch = stopped
        super().run(
            model=model,
            optimizers=optimizers,
            schedulers=schedulers,
            trainer_options=trainer_options,
            distributed_option=distributed_option,
            **iterators,
        )
        if distributed_option.distributed:
            # All together: a process that ends with open connections may abort ("terminate called without an active
            # exception"), which ends the first one, too, before it has averaged.
            torch.distributed.barrier()
            torch.distributed.destroy_process_group()

    @classmethod
    def train_one_epoch(cls, model: torch.nn.Module, *, options: SERTrainerOptions, **rest: Any) -> bool:
        """ESPnet's, with matrix products as the configuration asks for on a CPU, too; whether no step was valid."""
        apart = clipped_apart(model, options.clip_apart, options.grad_clip, options.grad_clip_type)
        with autocast_forward(model, _device(options)), apart:
            return super().train_one_epoch(model=model, options=options, **rest)

    @classmethod
    @torch.no_grad()
    def validate_one_epoch(
        cls,
        model: torch.nn.Module,
        iterator: Iterable[tuple[list[str], dict[str, torch.Tensor]]],
        reporter: SubReporter,
        options: TrainerOptions,
        distributed_option: DistributedOption,
    ) -> None:
        """Average the losses of the dev set and score its pooled predictions."""
        if distributed_option.dist_rank in (None, 0):
            _set_aside_checkpoint(Path(options.output_dir))
            print(f"{MARK} {reporter.get_epoch()} {options.max_epoch}", file=sys.stderr, flush=True)
        device = _device(options)
        model.eval()
        net: Any = getattr(model, "module", model)
        predictions: list[tuple[str, int, int]] = []
        records: dict[str, list[Any]] = defaultdict(list)
        for utt_id, batch in iterator:
            batch = to_device({**batch, "utt_id": utt_id}, device)
            amp = torch.autocast(device, enabled=options.use_amp and device == "cuda", **autocast_args)
            with amp, autocast(device):
                output, logits, batch_records = net.evaluate(**batch)
            true, best = batch["emotion"].squeeze(-1).tolist(), logits.argmax(-1).tolist()
            predictions.extend(zip(utt_id, true, best, strict=True))
            for name, values in batch_records.items():
                records[name].extend(values)
            stats, weight = output["stats"], output["weight"]
            if distributed_option.distributed:  # what stops early or lowers the learning rate has to agree
                stats, weight = recursive_average(stats, weight, distributed=True)
            reporter.register(stats, weight)
            reporter.next()
        if distributed_option.distributed:
            predictions, records = _gather(predictions, records)
        # Every process sees the same utterances once: a batch is padded with repeats when it does not divide evenly.
        pooled = {utterance: (true, best) for utterance, true, best in predictions}
        true, best = zip(*pooled.values(), strict=True)
        dev = scores(true, best)
        metrics = {name: dev[name] for name in ("ua", "wa", "macro_f1")}
        metrics["epoch"] = float(reporter.get_epoch())
        for name, values in records.items():
            metrics |= net.objectives[name].summarise(values)
        reporter.register(metrics)
        reporter.next()


def _device(options: TrainerOptions) -> str:
    return "cuda" if options.ngpu > 0 else "cpu"


def _gather(
    predictions: list[tuple[str, int, int]], records: dict[str, list[Any]]
) -> tuple[list[tuple[str, int, int]], dict[str, list[Any]]]:
    """Join what all processes collected; every process gets all of it."""
    parts: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(parts, (predictions, dict(records)))
    joined = {name: [r for _, part in parts for r in part.get(name, [])] for name in parts[0][1]}
    return [p for part, _ in parts for p in part], joined


def _set_aside_checkpoint(output_dir: Path) -> None:
    """Keep the last epoch's checkpoint under another name: ESPnet overwrites the file in place after validation."""
    if (output_dir / CHECKPOINT).exists():
        os.replace(output_dir / CHECKPOINT, output_dir / PREVIOUS)


def _load(path: Path) -> dict[str, Any] | None:
    """Content of a checkpoint, None if it is missing or was cut off while being written.

    Raises:
        UserError: it holds what a checkpoint does not.
    """
    try:
        return read_checkpoint(path)
    except FileNotFoundError:
        return None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        logging.warning(f"{path} is incomplete ({error.__class__.__name__}): going back one epoch")
        return None


def repair(output_dir: Path, options: TrainerOptions) -> None:
    """Bring a run that was killed at any moment back to its last complete epoch.

    ESPnet writes, after each epoch: the checkpoint, the epoch's model, links to the latest and best models; then it
    removes models that are no longer among the best. A kill may leave any of these half done.
    """
    checkpoint = _load(output_dir / CHECKPOINT)
    if checkpoint is None:
        (output_dir / CHECKPOINT).unlink(missing_ok=True)
        checkpoint = _load(output_dir / PREVIOUS)
        if checkpoint is None:
            return
        os.replace(output_dir / PREVIOUS, output_dir / CHECKPOINT)
    reporter = Reporter()
    reporter.load_state_dict(checkpoint["reporter"])
    epoch = reporter.get_epoch()
    for path in output_dir.glob("[0-9]*epoch.pth"):  # which the averaging reads in the end
        if path.name != f"{epoch}epoch.pth":
            _load(path)
    with atomic_path(output_dir / f"{epoch}epoch.pth") as temporary:
        torch.save(checkpoint["model"], temporary)
    _link(output_dir / "latest.pth", f"{epoch}epoch.pth")
    for phase, key, mode in options.best_model_criterion:
        if reporter.has(phase, key):
            best = reporter.get_best_epoch(phase, key, mode)
            _link(output_dir / f"{phase}.{key}.best.pth", f"{best}epoch.pth")


def _link(path: Path, target: str) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def _stopped_early(output_dir: Path, options: TrainerOptions) -> int | None:
    """Epoch at which the run in ``output_dir`` had stopped early, None if it had not."""
    checkpoint = _load(output_dir / CHECKPOINT) if options.patience is not None else None
    if checkpoint is None:
        return None
    reporter = Reporter()
    reporter.load_state_dict(checkpoint["reporter"])
    if reporter.check_early_stopping(options.patience, *options.early_stopping_criterion):
        return reporter.get_epoch()
    return None
