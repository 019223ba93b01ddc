"""How our parts fit into ESPnet2."""

import numpy as np
import pytest
import torch
from espnet2.asr.encoder.abs_encoder import AbsEncoder
from espnet2.iterators.sequence_iter_factory import SequenceIterFactory
from espnet2.train.abs_espnet_model import AbsESPnetModel
from espnet2.train.dataset import ESPnetDataset

from m4ser.data.features import FeatureWriter
from m4ser.models.encoders.precomputed import PrecomputedEncoder
from m4ser.training.espnet import FEATURES, SharedBatches, TrainedSERModel, autocast_forward, clipped_apart
from m4ser.utils.errors import UserError


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


def test_a_discriminator_is_clipped_by_a_norm_of_its_own():
    """Gradients of norm 50 there and 5 elsewhere, clipped to 1: apart each to 1, together by one factor."""
    model = torch.nn.ModuleDict({"rest": torch.nn.Linear(1, 1, bias=False), "judge": torch.nn.Linear(1, 1, bias=False)})

    def clipped(prefixes):
        model["rest"].weight.grad, model["judge"].weight.grad = torch.tensor([[5.0]]), torch.tensor([[50.0]])
        with clipped_apart(model, prefixes, clip=1.0, norm_type=2.0):
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        return norm.item(), model["rest"].weight.grad.item(), model["judge"].weight.grad.item()

    assert clipped(["judge"]) == pytest.approx((5.0, 1.0, 1.0), abs=1e-4)
    whole = 2525**0.5
    for prefixes in ([], ["no such part"]):
        assert clipped(prefixes) == pytest.approx((whole, 5 / whole, 50 / whole), abs=1e-4)
    assert len(list(model.parameters())) == 2


class Letters:
    """Batches of three of ten letters, shuffled as ESPnet does it."""

    def __init__(self, seed):
        batches = [list("abc"), list("def"), list("ghi"), ["j"]]
        options = {"seed": seed, "shuffle": True, "shuffle_within_batch": True, "collate_fn": list}
        self.whole = SequenceIterFactory(dataset={name: name for name in "abcdefghij"}, batches=batches, **options)


def test_processes_share_the_batches_that_one_would_have():
    whole = Letters(seed=7).whole
    for epoch in (1, 2):
        expected = list(whole.build_iter(epoch))
        shares = [list(SharedBatches(whole, rank, 2).build_iter(epoch)) for rank in (0, 1)]
        assert [sorted(set(a + b)) for a, b in zip(*shares, strict=True)] == [sorted(batch) for batch in expected]
        assert [len(batch) for batch in shares[0]] == [2, 2, 2, 1]
        assert shares[0][-1] == shares[1][-1] == expected[-1]  # both have something to do
    assert list(whole.build_iter(1)) != list(whole.build_iter(2))


def test_more_processes_than_utterances_in_a_batch():
    with pytest.raises(UserError, match="a batch of 3 cannot be shared by 4 processes: raise batch_size"):
        SharedBatches(Letters(seed=7).whole, 0, 4).build_iter(1)
