"""ESPnet's checkpoints, and weights to start from, read as data: a pickle can name any function, these call none.

ESPnet reads its files with ``torch.load(..., weights_only=False)``, which runs what is in them. The folder of an
experiment may have come from somebody else, so here PyTorch is held to its restricted unpickler for all of a training,
with the few types that a checkpoint holds beside tensors.
"""

import contextlib
import pickle
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch

from m4ser.models.checkpoint import read_tensors, telling
from m4ser.pretrained.load import only_tensors
from m4ser.utils.errors import UserError

# What the reporter and some schedulers hold: times, and numbers of numpy, whose name depends on its version.
_scalar = np.float64(0).__reduce__()[0]
PLAIN: list[Any] = [
    timedelta,
    np.dtype,
    (_scalar, "numpy.core.multiarray.scalar"),
    (_scalar, "numpy._core.multiarray.scalar"),
    *(type(np.dtype(name)) for name in ("float64", "float32", "float16", "int64", "int32", "bool")),
]


@contextlib.contextmanager
def _with_plain_types() -> Iterator[None]:
    """PyTorch forgets all types of a block at its end, also those that a block around it has named."""
    known = torch.serialization.get_safe_globals()
    with torch.serialization.safe_globals([plain_type for plain_type in PLAIN if plain_type not in known]):
        yield


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Content of ``checkpoint.pth`` or ``<n>epoch.pth``, on the CPU.

    Raises:
        UserError: it holds what a checkpoint does not.
        RuntimeError, EOFError, OSError, ValueError, KeyError: it is missing, or was cut off while it was written.
    """
    try:
        with _with_plain_types():
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "WeightsUnpickler error" not in str(error):  # no pickle at all
            raise ValueError(str(error)) from None
        raise UserError(
            f"{path}: refused: holds more than a checkpoint of a training ({telling(error)}); delete it to begin anew"
        ) from None


@contextlib.contextmanager
def only_data() -> Iterator[None]:
    """While this lasts, nothing of a file runs that ESPnet reads, weights to start from or a checkpoint."""
    from espnet2.tasks import abs_task

    loader, abs_task.load_pretrained_model = abs_task.load_pretrained_model, load_initial
    try:
        with only_tensors(), _with_plain_types():
            yield
    finally:
        abs_task.load_pretrained_model = loader


def load_initial(
    init_param: str, model: torch.nn.Module, ignore_init_mismatch: bool, map_location: str = "cpu"
) -> None:
    """ESPnet's ``load_pretrained_model``, for files of safetensors too, and of a pickle the tensors alone.

    Args:
        init_param: ``file[:from[:to[:without]]]``: prefixes of names in the file and in the model, and of names in the
            file that are left out, with commas between them.
        model: gets the weights.
        ignore_init_mismatch: leave out tensors that the model has not, or has in another shape.
        map_location: where weights are put; they are copied to where the model is anyway.

    Raises:
        UserError: the file is damaged or holds more than weights.
    """
    from espnet2.torch_utils.load_pretrained_model import filter_state_dict

    path, *words = init_param.split(":", 4)
    source, target, without = [*words, "", "", ""][:3]
    weights = read_tensors(Path(path))
    for prefix in without.split(",") if without else ():
        weights = {name: value for name, value in weights.items() if not name.startswith(prefix)}
    if source:
        weights = {name[len(source) + 1 :]: value for name, value in weights.items() if name.startswith(source)}
    part = model.get_submodule(target)
    state_dict = part.state_dict()
    if ignore_init_mismatch:
        weights = filter_state_dict(state_dict, weights)
    part.load_state_dict({**state_dict, **weights})
