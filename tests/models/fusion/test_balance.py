"""Standardised contributions: values by hand, running statistics, padding."""

import numpy as np
import torch

from m4ser.models.fusion.balance import FLOOR, MOMENTUM, Standardised


def test_means_over_time_have_mean_zero_and_deviation_one():
    torch.manual_seed(0)
    x, mask = 5 + 3 * torch.randn(20, 4, 6), torch.rand(20, 4) < 0.7
    mask[:, 0] = True
    part = Standardised(6)
    found = part(x, mask)
    pooled = np.stack([values[valid].mean(0) for values, valid in zip(x.numpy(), mask.numpy(), strict=True)])
    mean, deviation = pooled.mean(0), pooled.std(0, ddof=1)
    np.testing.assert_allclose(found.numpy(), (x.numpy() - mean) / deviation, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(part.mean, MOMENTUM * mean, rtol=1e-4)
    np.testing.assert_allclose(part.deviation, 1 - MOMENTUM + MOMENTUM * deviation, rtol=1e-4)


def test_at_inference_statistics_are_those_of_training():
    part = Standardised(2).eval()
    part.mean.copy_(torch.tensor([1.0, -2.0]))
    part.deviation.copy_(torch.tensor([2.0, 0.5]))
    x, mask = torch.tensor([[[3.0, -1.0]], [[1.0, 9.0]]]), torch.ones(2, 1, dtype=torch.bool)
    torch.testing.assert_close(part(x, mask), torch.tensor([[[1.0, 2.0]], [[0.0, 22.0]]]))
    torch.testing.assert_close(part.train()(x[:1], mask[:1]), torch.tensor([[[1.0, 2.0]]]))  # a batch of one


def test_what_does_not_vary_stays_finite():
    x = torch.ones(3, 2, 4, requires_grad=True)
    found = Standardised(4)(x, torch.ones(3, 2, dtype=torch.bool))
    assert found.abs().max().item() < 1e-3 / FLOOR
    found.sum().backward()
    assert torch.isfinite(x.grad).all()
