"""PyTorch, and graphs whose encoders are PyTorch's; the only part of inference that imports it."""

import functools
from pathlib import Path

import numpy as np
import torch

from m4ser.hub.stored import StoredModel
from m4ser.inference.backends.base import Backend, Batch, Network
from m4ser.inference.backends.onnx import GRAPH, Encoder, OnnxBackend
from m4ser.models.arrays import Padding
from m4ser.models.batches import logits
from m4ser.models.build import build_preprocessor
from m4ser.models.checkpoint import load_run
from m4ser.models.encoders.frozen import frozen_features
from m4ser.models.model import SERModel
from m4ser.models.systems import EmotionModel
from m4ser.utils.errors import UserError


class TorchBackend:
    """Logits from the model, on the device that it is on."""

    def __init__(self, model: EmotionModel, device: str) -> None:
        self.model, self.device = model, device

    def __call__(self, batch: Batch) -> np.ndarray:
        """A batch -> logits (B, E)."""
        tensors = {name: torch.from_numpy(array).to(self.device) for name, array in batch.items()}
        with torch.inference_mode():
            return logits(self.model, tensors).float().cpu().numpy()


def outside(model: EmotionModel) -> dict[str, Encoder]:
    """The encoders of a model for a graph that does not hold them, see :class:`.OnnxBackend`.

    Raises:
        UserError: it is a baseline.
    """
    if not isinstance(model, SERModel):
        raise UserError("the model is a baseline, of which there is no ONNX graph; leave --onnx away")
    return {name: _states_of(model, name) for name in ("speech", "text")}


def _states_of(model: SERModel, name: str) -> Encoder:
    def states(inputs: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        encoder = getattr(model, f"{name}_encoder")
        with torch.inference_mode():
            values, frames, _ = encoder(torch.from_numpy(inputs), torch.from_numpy(lengths))
        return values.numpy(), frames.numpy()

    return states


def open_run(
    stored: StoredModel, device: str = "auto", onnx: str | Path | bool = False, pretrained_dir: str | Path | None = None
) -> Network:
    """The network of a trained run, or of an archive with its weights.

    Raises:
        UserError: it is damaged, or there is no such device.
    """
    device = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise UserError(f"--device {device}: torch sees no GPU; use cpu")
    model, args = load_run(stored.folder, "cpu" if onnx else device)
    forward: Backend = TorchBackend(model, device)
    if onnx:
        path = stored.folder / GRAPH if onnx is True else onnx
        forward = OnnxBackend(path, model.labels, outside(model))
    preprocess = build_preprocessor(args)
    places = pretrained_dir or args.pretrained_dir
    encoder, speech, features = stored.speech_encoder(places, device), stored.pipeline["speech"], None
    if encoder is not None and speech:
        features = functools.partial(frozen_features, encoder, layers=speech["layers"], pool=speech["pool"])
    text = preprocess.text
    pad = Padding(text.padding if text else 0)
    return Network(model.labels, features, preprocess, pad, forward, pretrained_dir=places)
