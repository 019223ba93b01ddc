"""Supervised contrastive losses against loops written from the papers' formulas."""

import math

import pytest
import torch
from torch.nn.functional import normalize

from m4ser.models.objectives.base import Sizes, Targets, Tools
from m4ser.models.objectives.contrastive import ContrastiveObjective, clmlf_contrastive, supervised_contrastive
from m4ser.models.representations import Representations


def supcon_loop(q, y, tau):
    """Khosla et al. 2020, eq. 2, anchor by anchor."""
    losses = []
    for i in range(len(y)):
        positives = [p for p in range(len(y)) if p != i and y[p] == y[i]]
        if not positives:
            continue
        bottom = sum(math.exp(float(q[i] @ q[a]) / tau) for a in range(len(y)) if a != i)
        losses.append(-sum(math.log(math.exp(float(q[i] @ q[p]) / tau) / bottom) for p in positives) / len(positives))
    return sum(losses) / len(losses) if losses else 0.0


def clmlf_loop(q, y, tau):
    """CLMLF: mean over all same-label pairs, self included, of -log softmax(q q^T)[i, j] / tau."""
    total, pairs = 0.0, 0
    for i in range(len(y)):
        bottom = sum(math.exp(float(q[i] @ q[j])) for j in range(len(y)))
        for j in range(len(y)):
            if y[i] == y[j]:
                total -= math.log(math.exp(float(q[i] @ q[j])) / bottom) / tau
                pairs += 1
    return total / pairs


@pytest.mark.parametrize("labels", [[0, 0, 1, 1, 1, 2], [0, 1, 2, 3, 4, 5], [0, 0, 0, 0, 0, 0]])
def test_supcon_equals_the_formula(labels):
    torch.manual_seed(1)
    q = normalize(torch.randn(6, 5), dim=-1)
    expected = supcon_loop(q.double(), labels, 0.1)
    assert supervised_contrastive(q, torch.tensor(labels), 0.1).item() == pytest.approx(expected, abs=1e-5)


def test_clmlf_equals_the_formula():
    torch.manual_seed(1)
    q, labels = torch.randn(6, 5), [0, 0, 1, 1, 1, 2]
    expected = clmlf_loop(q.double(), labels, 0.07)
    assert clmlf_contrastive(q, torch.tensor(labels), 0.07).item() == pytest.approx(expected, rel=1e-5)


def test_loss_falls_when_a_class_moves_together():
    labels = torch.tensor([0, 0, 1, 1])
    apart = normalize(torch.tensor([[1.0, 0.1], [0.1, 1.0], [-1.0, 0.1], [0.1, -1.0]]), dim=-1)
    near = normalize(torch.tensor([[1.0, 0.5], [0.5, 1.0], [-1.0, -0.5], [-0.5, -1.0]]), dim=-1)
    assert supervised_contrastive(near, labels, 0.1) < supervised_contrastive(apart, labels, 0.1)


@pytest.mark.parametrize("form", ["supcon", "clmlf"])
@pytest.mark.parametrize("labels", [[3], [0, 1, 2], [1, 1]])
def test_singletons_and_a_batch_of_one_stay_finite(form, labels):
    torch.manual_seed(1)
    module = ContrastiveObjective(Sizes(8, 8, 6, 4), form=form)
    utterance = torch.randn(len(labels), 6, requires_grad=True)
    part = module(Representations(utterance), Targets(torch.tensor(labels)), Tools())
    part.loss.backward()
    assert torch.isfinite(part.loss)
    assert torch.isfinite(utterance.grad).all()
    assert all(torch.isfinite(value) for value in part.stats.values())
