"""Error detection: its loss by plain numpy, its metric by hand."""

import numpy as np
import pytest

from m4ser.models.objectives.aed import ErrorDetection
from m4ser.models.text import IGNORE


def log_softmax(x):
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def test_loss_is_the_weighted_cross_entropy(bench, pairs):
    reps, targets = bench.batch(pairs)
    states = reps.text.detach().numpy().astype(np.float64)
    scores = log_softmax(states @ bench.aed.linear.weight.detach().numpy().T + bench.aed.linear.bias.detach().numpy())
    total = weights = 0.0
    for row, tags in enumerate(targets.tags.tolist()):
        for position, tag in enumerate(tags):
            if tag != IGNORE:
                weight = (1.0, 1.0, 1.5)[tag]
                total, weights = total - weight * scores[row, position, tag], weights + weight
    assert bench.aed(reps, targets, bench.tools).loss.item() == pytest.approx(total / weights, abs=1e-5)


def test_metric_by_hand():
    assert ErrorDetection.summarise([(np.array([0, 1, 1, 2]), np.array([0, 1, 2, 2]))]) == pytest.approx(
        {"aed_f1": (1 + 2 / 3 + 2 / 3) / 3, "aed_f1_delete": 1.0, "aed_f1_keep": 2 / 3, "aed_f1_change": 2 / 3}
    )
