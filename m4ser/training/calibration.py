"""Probabilities that mean what they say: one temperature for a trained model (Guo et al. 2017).

Logits are divided by it before the softmax. That changes how sure the model is and never what it chooses. How far the
probabilities then are from the truth says :func:`m4ser.training.metrics.expected_calibration_error`.
"""

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from m4ser.models.arrays import log_softmax, softmax
from m4ser.training.predictions import read_predictions
from m4ser.utils.errors import UserError

LOWEST, HIGHEST = 0.05, 20.0  # temperatures; a set on which everything is right would call for 0
SMALLEST = 5e-7  # probability: files of predictions have six decimals, and say 0 of what is less
PRECISION = 1e-6  # of the temperature, relative


def negative_log_likelihood(logits: ArrayLike, ref: ArrayLike, temperature: float = 1.0) -> float:
    """Mean of minus the logarithm of the right class's probability. Shape: (utterances, C), (utterances,)."""
    logarithms = log_softmax(np.asarray(logits, dtype=float) / temperature)
    return -float(np.take_along_axis(logarithms, np.asarray(ref)[:, None], -1).mean())


def fit_temperature(logits: ArrayLike, ref: ArrayLike) -> float:
    """The temperature at which utterances that the model has not been trained with are most likely.

    The likelihood has one maximum over 1 / temperature: where the mean logit that the probabilities expect is the mean
    logit of the right classes. It is found by halving, between 0.05 and 20.

    Shape: logits (utterances, C), ref (utterances,), class indices.

    Raises:
        ValueError: there are no utterances, or a logit is not finite.
    """
    logits, ref = np.asarray(logits, dtype=float), np.asarray(ref)
    if logits.ndim != 2 or not len(logits) or ref.shape != logits.shape[:1]:
        raise ValueError(f"logits (utterances, C) and ref (utterances,), not {logits.shape} and {ref.shape}")
    if not np.isfinite(logits).all():
        raise ValueError("a logit is not finite")
    right = np.take_along_axis(logits, ref[:, None], -1).mean()

    def too_sure(inverse: float) -> bool:
        return float((softmax(logits, 1 / inverse) * logits).sum(-1).mean()) > right

    low, high = 1 / HIGHEST, 1 / LOWEST
    if too_sure(low):
        return HIGHEST
    if not too_sure(high):
        return LOWEST
    while high / low > 1 + PRECISION:
        middle = (low * high) ** 0.5
        low, high = (low, middle) if too_sure(middle) else (middle, high)
    return float(1 / (low * high) ** 0.5)


def run_temperature(run: Path, labels: list[str]) -> float:
    """The temperature of a trained run, fitted to what stage 5 has written of the development part of its fold.

    Raises:
        UserError: stage 5 has not run, or its file is not one of this model.
    """
    path = run / "predictions_dev.tsv"
    predictions = read_predictions(path, labels)
    if not predictions.utts:
        raise UserError(f"{path}: no utterances, from which no temperature can be fitted; give a number")
    return fit_temperature(np.log(np.maximum(predictions.probabilities, SMALLEST)), predictions.ref)
