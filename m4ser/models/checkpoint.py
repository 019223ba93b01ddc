"""From a trained run folder to predictions."""

import argparse
import pickle
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
import yaml
from espnet2.torch_utils.device_funcs import to_device
from espnet2.train.dataset import ESPnetDataset
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch.utils.data import DataLoader

from m4ser.models.build import TOKENIZER_DIR, build_collate, build_model, build_preprocessor
from m4ser.models.encoders.lora import merge_lora
from m4ser.models.model import SERModel
from m4ser.models.representations import Representations
from m4ser.training.experiment import task_class
from m4ser.utils.errors import UserError

MODEL, PACKED_MODEL = "model.pth", "model.safetensors"


def load_run(run_dir: str | Path, device: str = "cpu") -> tuple[SERModel, argparse.Namespace]:
    """Build a trained model from ``config.yaml`` and the weights beside it alone, in evaluation mode.

    Objectives are not built: they are not part of the inference graph.

    Raises:
        UserError: the folder is not a trained run, or its weights do not fit its configuration.
    """
    run_dir = Path(run_dir)
    weights = read_weights(run_dir)
    if not (run_dir / "config.yaml").exists():
        raise UserError(f"{run_dir / 'config.yaml'}: no such file; run stage 4 first")
    stored = yaml.safe_load((run_dir / "config.yaml").read_text(encoding="utf-8"))
    args = argparse.Namespace(**stored)
    args.objectives = {}
    args.output_dir = None
    if (run_dir / TOKENIZER_DIR).is_dir():
        args.tokenizer = str(run_dir / TOKENIZER_DIR)
    task = stored.get("task", "ser")
    model = build_model(args) if task == "ser" else task_class(task).build_model(args)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise UserError(
            f"{run_dir}: the weights do not fit config.yaml beside them ({error})".replace("\n", " ")
        ) from None
    merge_lora(model)
    return model.to(device).eval(), args


def read_weights(run_dir: str | Path) -> dict[str, torch.Tensor]:
    """Weights of a run (``model.pth``) or an unpacked archive (``model.safetensors``), without the objectives'.

    Raises:
        UserError: there are none, or the file is damaged.
    """
    run_dir = Path(run_dir)
    try:
        if (run_dir / PACKED_MODEL).exists():
            weights = load_file(run_dir / PACKED_MODEL)
        elif (run_dir / MODEL).exists():
            weights = torch.load(run_dir / MODEL, map_location="cpu", weights_only=True)
        else:
            raise UserError(f"{run_dir / MODEL}: no such file; run stage 4 first")
    except (RuntimeError, pickle.UnpicklingError, EOFError, SafetensorError) as error:
        reason = str(error).strip().split("\n")[0]
        raise UserError(f"{run_dir}: the weights are damaged ({reason}); train or get the model again") from None
    return {name: value for name, value in weights.items() if not name.startswith("objectives.")}


def logits(model: SERModel, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """A batch as the collate function makes it -> scores of the classes (B, E)."""
    return model.logits(_represent(model, batch))


def _represent(model: SERModel, batch: dict[str, torch.Tensor]) -> Representations:
    names = ("speech", "speech_lengths", "text", "text_lengths")
    return model.represent(**{name: batch[name] for name in names if name in batch})


@torch.no_grad()
def represent(
    model: SERModel,
    args: argparse.Namespace,
    data: list[tuple[str, str, str]],
    utterances: Iterable[str],
    device: str = "cpu",
    batch_size: int = 32,
) -> Iterator[tuple[list[str], Representations]]:
    """Yield (utterances, what the fusion makes of them) batch by batch, in the order given.

    ``data`` are (path, name, type) as for ESPnet's dataset; names: speech, text.
    """
    dataset = ESPnetDataset(data, preprocess=build_preprocessor(args))
    ids = list(utterances)
    batches = [ids[start : start + batch_size] for start in range(0, len(ids), batch_size)]
    for keys, batch in DataLoader(dataset, batch_sampler=batches, collate_fn=build_collate(args)):
        yield keys, _represent(model, to_device(batch, device))


@torch.no_grad()
def predict(model: SERModel, *args: Any, **options: Any) -> Iterator[tuple[list[str], torch.Tensor]]:
    """Yield (utterances, probabilities (B, E)) batch by batch; arguments as for :func:`represent`."""
    for keys, reps in represent(model, *args, **options):
        yield keys, torch.softmax(model.logits(reps).float(), dim=-1).cpu()
