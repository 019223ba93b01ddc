"""Models that are kept as PyTorch's weights."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from m4ser.adaptation.checkpoint import layer_of, write_layer
from m4ser.adaptation.classifier import Layer
from m4ser.inference.backends.torch import TorchBackend
from m4ser.utils.errors import UserError


def test_the_layer_is_exchanged_with_its_labels(tmp_path):
    save_file({"classifier.weight": torch.ones(3, 2), "classifier.bias": torch.ones(3), "x": torch.ones(4)},
              tmp_path / "model.safetensors")  # fmt: skip
    conf = {"labels": ["a", "b", "c"], "model_conf": {"class_weights": [1, 2, 3], "dropout": 0.5}, "fusion": "speech"}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(conf))
    write_layer(tmp_path, Layer(np.array([[1.0, 2], [3, 4]]), np.array([5.0, 6])), ["x", "y"])
    weights = load_file(tmp_path / "model.safetensors")
    assert weights["classifier.weight"].tolist() == [[1, 2], [3, 4]] and weights["classifier.bias"].tolist() == [5, 6]
    assert weights["classifier.bias"].dtype == torch.float32 and weights["x"].tolist() == [1] * 4
    expected = {"labels": ["x", "y"], "model_conf": {"dropout": 0.5}, "fusion": "speech"}
    assert yaml.safe_load((tmp_path / "config.yaml").read_text()) == expected


def test_a_baseline_is_refused():
    recognizer = SimpleNamespace(forward=TorchBackend(torch.nn.Linear(2, 2), "cpu"))
    with pytest.raises(UserError, match="exp/svm: is a baseline; only models of this project can be adapted"):
        layer_of(recognizer, "exp/svm")
