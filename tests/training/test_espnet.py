"""How our parts fit into ESPnet2."""

import numpy as np
import pytest
import torch
from espnet2.asr.encoder.abs_encoder import AbsEncoder
from espnet2.train.abs_espnet_model import AbsESPnetModel
from espnet2.train.dataset import ESPnetDataset

from m4ser.data.features import FeatureWriter
from m4ser.models.encoders.precomputed import PrecomputedEncoder
from m4ser.training.espnet import FEATURES, TrainedSERModel, autocast_forward


def test_our_encoders_and_models_pass_for_espnets():
    assert isinstance(PrecomputedEncoder(), AbsEncoder)
    assert issubclass(TrainedSERModel, AbsESPnetModel)


def test_its_dataset_reads_our_features(tmp_path):
    matrix = np.arange(6, dtype=np.float32).reshape(3, 2)
    with FeatureWriter(tmp_path) as writer:
        writer.write("a", matrix)
        writer.write("b", matrix + 1)
    dataset = ESPnetDataset([(str(tmp_path / "feats.scp"), "speech", FEATURES)])
    name, arrays = dataset["b"]
    assert name == "b"
    np.testing.assert_array_equal(arrays["speech"], matrix + 1)


def test_only_the_forward_pass_is_under_autocast(processor):
    processor("medium", "avx512_bf16")
    model, inside = torch.nn.Linear(3, 2), []
    with autocast_forward(model, "cpu"):
        output = model(torch.ones(4, 3))
        output.register_hook(lambda _: inside.append(torch.is_autocast_enabled("cpu")))
        output.float().sum().backward()
    assert output.dtype == torch.bfloat16
    assert inside == [False]
    assert model.weight.grad.dtype == torch.float32
    torch.testing.assert_close(model.weight.grad, torch.full((2, 3), 4.0))
    assert model(torch.ones(4, 3)).dtype == torch.float32


def test_a_failing_forward_pass_leaves_the_model_as_it_was(processor):
    processor("medium", "avx512_bf16")
    model = torch.nn.Linear(3, 2)
    with pytest.raises(RuntimeError), autocast_forward(model, "cpu"):
        model(torch.ones(4, 5))
    assert "forward" not in vars(model)
    assert not torch.is_autocast_enabled("cpu")
