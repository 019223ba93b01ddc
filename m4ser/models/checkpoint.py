"""From the folder of a trained run to the model: as data, within the size of its weights, or with one line."""

import argparse
import contextlib
import pickle
import threading
import zipfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from m4ser.models.build import TOKENIZER_DIR, build_model
from m4ser.models.encoders.lora import merge_lora
from m4ser.models.systems import SER, EmotionModel, system_class
from m4ser.pretrained.checks import reason
from m4ser.pretrained.load import check_finite
from m4ser.utils.errors import UserError, first_line
from m4ser.utils.plain import read_stored_yaml, refuse_code

MODEL, PACKED_MODEL, CONFIG = "model.pth", "model.safetensors", "config.yaml"
# While a model is built it may be larger than its weights in the end: upper layers that are dropped, objectives.
MORE_PARAMETERS, MORE_VALUES, LEAST_PARAMETERS, LEAST_VALUES = 20, 20, 5000, 50_000_000


def load_run(
    run_dir: str | Path, device: str = "cpu", objectives: Collection[str] = ()
) -> tuple[EmotionModel, argparse.Namespace]:
    """Build a trained model from ``config.yaml`` and the weights beside it alone, in evaluation mode.

    Objectives are not built, for they are not part of the inference graph, but for those that are asked for and that
    the model was trained with.

    Raises:
        UserError: the folder is not a trained run, or its weights do not fit its configuration.
    """
    run_dir = Path(run_dir)
    weights = read_weights(run_dir, objectives)
    args = argparse.Namespace(**read_config(run_dir))
    trained_with = getattr(args, "objectives", None) or {}
    args.objectives = {name: conf for name, conf in trained_with.items() if name in objectives}
    args.output_dir = None
    if (run_dir / TOKENIZER_DIR).is_dir():
        args.tokenizer = str(run_dir / TOKENIZER_DIR)
    task = getattr(args, "task", SER)
    where = run_dir / CONFIG
    try:
        with no_larger_than(weights, where):
            model = build_model(args) if task == SER else system_class(task, str(where)).build_model(args)
    except UserError as error:
        named = str(error) if str(error).startswith(str(run_dir)) else f"{where}: {error}"
        raise UserError(named) from None
    except Exception as error:  # a value of a wrong type is met where some part first uses it
        raise UserError(f"{where}: does not describe a model ({reason(error)}); train or get the model again") from None
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise UserError(
            f"{run_dir}: the weights do not fit config.yaml beside them ({error})".replace("\n", " ")
        ) from None
    merge_lora(model)
    return model.to(device).eval(), args


def read_config(run_dir: Path) -> dict[str, Any]:
    """``config.yaml`` of a run, as ESPnet's task or packing has written it.

    Raises:
        UserError: it is missing, damaged, or asks for code.
    """
    if not (run_dir / CONFIG).is_file():
        raise UserError(f"{run_dir / CONFIG}: no such file; run stage 4 first")
    try:
        stored = read_stored_yaml(run_dir / CONFIG)
    except UserError as error:
        raise UserError(f"{error}; train or get the model again") from None
    refuse_code(stored, str(run_dir / CONFIG))
    return stored


def weights_file(run_dir: Path) -> Path:
    """Where the weights of a run or of an unpacked archive are.

    Raises:
        UserError: there are none.
    """
    path = next((run_dir / name for name in (PACKED_MODEL, MODEL) if (run_dir / name).is_file()), None)
    if path is None:
        raise UserError(f"{run_dir / MODEL}: no such file; run stage 4 first")
    return path


def read_weights(run_dir: str | Path, objectives: Collection[str] = ()) -> dict[str, torch.Tensor]:
    """Weights of a run (``model.pth``) or an unpacked archive (``model.safetensors``), of objectives only those named.

    Raises:
        UserError: there are none, or the file is damaged.
    """
    weights = read_tensors(weights_file(Path(run_dir)))
    kept = tuple(f"objectives.{name}." for name in objectives)
    return {
        name: value for name, value in weights.items() if not name.startswith("objectives.") or name.startswith(kept)
    }


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Tensors by name from a file of safetensors or of PyTorch; of a pickle nothing else is read, so nothing can run.

    Raises:
        UserError: it is damaged, holds something else, or tensors with values that are no numbers.
    """
    try:
        if path.suffix == ".safetensors":
            weights = load_file(path)
        else:
            weights = torch.load(path, map_location="cpu", weights_only=True, mmap=_can_be_mapped(path))
        if not isinstance(weights, Mapping) or not all(isinstance(value, torch.Tensor) for value in weights.values()):
            raise ValueError("it does not hold tensors by name")
    except pickle.UnpicklingError as error:
        raise UserError(f"{path}: refused: holds more than weights ({telling(error)}); get the model again") from None
    except (RuntimeError, ValueError, EOFError, KeyError, OSError, SafetensorError) as error:
        raise UserError(
            f"{path.parent}: the weights are damaged ({first_line(error)}); train or get the model again"
        ) from None
    check_finite(weights, path.parent)
    return dict(weights)


def _can_be_mapped(path: Path) -> bool:
    """Whether a file of PyTorch is of the format of today, an archive, which need not be read into memory at once."""
    return zipfile.is_zipfile(path)


def telling(error: pickle.UnpicklingError) -> str:
    """Of PyTorch's page-long message the line that names what was found."""
    lines = [line.strip() for line in str(error).splitlines() if "WeightsUnpickler error" in line]
    return (lines[0] if lines else first_line(error))[:200].rstrip(".")


@contextlib.contextmanager
def no_larger_than(weights: Mapping[str, torch.Tensor], where: Path) -> Iterator[None]:
    """Models that are built here are about as large as their weights, and not as a few digits in a file would like.

    Raises:
        UserError: there are many more parameters, noticed when they have got their memory and before it is filled.
    """
    most_parameters = LEAST_PARAMETERS + MORE_PARAMETERS * len(weights)
    most_values = LEAST_VALUES + MORE_VALUES * sum(value.numel() for value in weights.values())
    thread, parameters, values = threading.get_ident(), 0, 0

    def count(module: torch.nn.Module, name: str, parameter: torch.Tensor | None) -> None:
        nonlocal parameters, values
        if parameter is None or threading.get_ident() != thread:
            return
        parameters, values = parameters + 1, values + parameter.numel()
        if parameters > most_parameters or values > most_values:
            raise UserError(f"{where}: describes a much larger model than its weights; train or get the model again")

    hooks = [
        torch.nn.modules.module.register_module_parameter_registration_hook(count),
        torch.nn.modules.module.register_module_buffer_registration_hook(count),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
