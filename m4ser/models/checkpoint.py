"""From the folder of a trained run to the model."""

import argparse
import pickle
from pathlib import Path

import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file

from m4ser.models.build import TOKENIZER_DIR, build_model
from m4ser.models.encoders.lora import merge_lora
from m4ser.models.systems import SER, EmotionModel, system_class
from m4ser.utils.errors import UserError, first_line

MODEL, PACKED_MODEL = "model.pth", "model.safetensors"


def load_run(run_dir: str | Path, device: str = "cpu") -> tuple[EmotionModel, argparse.Namespace]:
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
    task = stored.get("task", SER)
    model = build_model(args) if task == SER else system_class(task).build_model(args)
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
        raise UserError(
            f"{run_dir}: the weights are damaged ({first_line(error)}); train or get the model again"
        ) from None
    return {name: value for name, value in weights.items() if not name.startswith("objectives.")}
