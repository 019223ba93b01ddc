"""What computes the logits of a batch: PyTorch, or a graph that was exported to ONNX."""

import json
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from m4ser.models.batches import logits
from m4ser.models.model import SERModel
from m4ser.models.systems import EmotionModel
from m4ser.utils.errors import UserError

Backend = Callable[[dict[str, Tensor]], Tensor]  # a batch as the collate function makes it -> logits (B, E)


class TorchBackend:
    """Logits from the model, on the device that it is on."""

    def __init__(self, model: EmotionModel, device: str) -> None:
        self.model, self.device = model, device

    def __call__(self, batch: dict[str, Tensor]) -> Tensor:
        """A batch as the collate function makes it -> logits (B, E)."""
        return logits(self.model, {name: value.to(self.device) for name, value in batch.items()})


class OnnxBackend:
    """Logits from an exported graph; encoders that are not in it are those of `model`.

    Raises:
        UserError: the file is missing, damaged, or of a model with other labels, or the model is a baseline.
    """

    def __init__(self, path: str | Path, model: EmotionModel) -> None:
        from m4ser.models.onnx_graph import LABELS, open_session

        path = Path(path)
        if not isinstance(model, SERModel):
            raise UserError("the model is a baseline, of which there is no ONNX graph; leave --onnx away")
        if not path.is_file():
            raise UserError(f"{path}: no such file; make it with m4ser export-onnx")
        self.session, self.model = open_session(path), model
        labels = self.session.get_modelmeta().custom_metadata_map.get(LABELS)
        if labels is None or json.loads(labels) != list(model.labels):
            raise UserError(f"{path}: was not exported from this model (its labels are {labels})")
        self.inputs = [value.name for value in self.session.get_inputs()]

    def __call__(self, batch: dict[str, Tensor]) -> Tensor:
        """A batch as the collate function makes it -> logits (B, E)."""
        tensors: dict[str, Tensor] = {}
        for name in ("speech", "text"):
            if f"{name}_states" in self.inputs:
                encoder = getattr(self.model, f"{name}_encoder")
                states, lengths, _ = encoder(batch[name], batch[f"{name}_lengths"])
                tensors |= {f"{name}_states": states, f"{name}_lengths": lengths}
            elif name in self.inputs:
                tensors |= {key: batch[key] for key in (name, f"{name}_lengths")}
        (logits,) = self.session.run(None, {name: tensors[name].numpy() for name in self.inputs})
        return torch.from_numpy(logits)
