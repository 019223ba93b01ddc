"""From a sequence to one vector, by hand; padding never counts."""

import pytest
import torch

from m4ser.models.pooling import POOLINGS, AttentivePooling, build_pooling

STATES = torch.tensor([[[1.0, -6.0], [3.0, -2.0], [99.0, 99.0]]])
MASK = torch.tensor([[True, True, False]])


@pytest.mark.parametrize(
    ("name", "expected"),
    [("mean", [2.0, -4.0]), ("max", [3.0, -2.0]), ("statistics", [2.0, -4.0, 1.0, 2.0])],
)
def test_values(name, expected):
    pooling = build_pooling(name, 2)
    assert pooling.output_size == len(expected)
    torch.testing.assert_close(pooling(STATES, MASK), torch.tensor([expected]), atol=1e-4, rtol=0)


def test_equal_attention_gives_plain_statistics():
    pooling = AttentivePooling(2)
    pooling.score[2].weight.data.zero_()
    expected = build_pooling("statistics", 2)(STATES, MASK)
    torch.testing.assert_close(pooling(STATES, MASK), expected, atol=1e-4, rtol=0)


def test_attention_chooses_among_valid_frames():
    """A score that grows with the first value takes the last valid frame, however large the padding is."""
    pooling = AttentivePooling(2, hidden=1)
    first, last = pooling.score[0], pooling.score[2]
    first.weight.data, first.bias.data = torch.tensor([[1.0, 0.0]]), torch.tensor([-2.0])
    last.weight.data = torch.tensor([[100.0]])
    torch.testing.assert_close(pooling(STATES, MASK)[0, :2], torch.tensor([3.0, -2.0]))


@pytest.mark.parametrize("name", POOLINGS)
def test_nothing_valid_stays_finite(name):
    vector = build_pooling(name, 2)(STATES, torch.zeros_like(MASK))
    assert torch.isfinite(vector).all() and vector[0, :2].tolist() == [0.0, 0.0]


def test_unknown_name():
    with pytest.raises(ValueError, match="pooling must be one of mean, max, statistics, attentive, not 'median'"):
        build_pooling("median", 2)
