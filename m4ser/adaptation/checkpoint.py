"""The end of a model that is kept as PyTorch's weights; the only module of the adaptation that imports PyTorch."""

from pathlib import Path

import numpy as np
import torch
import yaml
from safetensors.torch import load_file, save_file

from m4ser.adaptation.classifier import Layer
from m4ser.inference.backends.base import Backend, Batch
from m4ser.inference.backends.torch import TorchBackend
from m4ser.inference.recognizer import EmotionRecognizer
from m4ser.models.batches import represent
from m4ser.models.fusion.base import LinearClassifier
from m4ser.models.model import SERModel
from m4ser.utils.errors import UserError
from m4ser.utils.plain import read_stored_yaml

WEIGHT, BIAS = "classifier.weight", "classifier.bias"


def layer_of(recognizer: EmotionRecognizer, name: str | Path) -> Layer:
    """The last layer of a loaded model.

    Raises:
        UserError: it has another end than one linear layer, or none, as baselines have.
    """
    classifier = _model(recognizer, name).classifier
    if not isinstance(classifier, LinearClassifier):
        raise UserError(f"{name}: does not end in one linear layer; such a model cannot be adapted")
    weight, bias = classifier.weight.detach(), classifier.bias.detach()
    return Layer(weight.double().cpu().numpy(), bias.double().cpu().numpy())


def without_layer(recognizer: EmotionRecognizer) -> Backend:
    """What computes utterance vectors (B, U) of a batch."""
    backend = recognizer.forward
    assert isinstance(backend, TorchBackend)

    def vectors(batch: Batch) -> np.ndarray:
        tensors = {name: torch.from_numpy(array).to(backend.device) for name, array in batch.items()}
        with torch.inference_mode():
            return represent(backend.model, tensors).utterance.float().cpu().numpy()

    return vectors


def write_layer(folder: Path, layer: Layer, labels: list[str]) -> None:
    """Replace the last layer and the labels of a model in a folder, an unpacked archive."""
    path, config = folder / "model.safetensors", folder / "config.yaml"
    weights = load_file(path)
    for name, values in ((WEIGHT, layer.weight), (BIAS, layer.bias)):
        weights[name] = torch.from_numpy(values).to(weights[name].dtype).contiguous()
    save_file(weights, path)
    conf = read_stored_yaml(config)
    conf["labels"] = labels
    (conf.get("model_conf") or {}).pop("class_weights", None)  # one for each label, and for training only
    config.write_text(yaml.safe_dump(conf, allow_unicode=True), encoding="utf-8")


def _model(recognizer: EmotionRecognizer, name: str | Path) -> SERModel:
    backend = recognizer.forward
    model = backend.model if isinstance(backend, TorchBackend) else None
    if not isinstance(model, SERModel):
        raise UserError(f"{name}: is a baseline; only models of this project can be adapted")
    return model
