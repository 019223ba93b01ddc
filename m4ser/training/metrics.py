"""The metrics of speech emotion recognition, each from a confusion matrix, so that none can be mistaken for another.

WA (weighted accuracy) is the overall accuracy; UA (unweighted average recall) is the mean of the class recalls.
"""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

Metric = Literal["wa", "ua", "macro_f1", "weighted_f1"]
NAMES: dict[Metric, str] = {"wa": "WA", "ua": "UA", "macro_f1": "macro-F1", "weighted_f1": "weighted F1"}
DEFINITIONS = (
    "WA (weighted accuracy) = overall accuracy. UA (unweighted accuracy) = mean of the class recalls. macro-F1 = mean "
    "of the class F1 scores. weighted F1 = the same, weighted by class frequency. Means run over the classes that "
    "occur in the references."
)


def confusion(ref: ArrayLike, hyp: ArrayLike, classes: int) -> np.ndarray:
    """Counts of class index ``ref`` (rows) recognised as ``hyp`` (columns). Shape: (utterances,) twice -> (C, C)."""
    ref, hyp = np.asarray(ref, dtype=np.int64), np.asarray(hyp, dtype=np.int64)
    known = (ref >= 0) & (ref < classes) & (hyp >= 0) & (hyp < classes)
    return np.bincount(classes * ref[known] + hyp[known], minlength=classes**2).reshape(classes, classes)


def _divide(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Quotient, zero where nothing was counted."""
    return np.divide(numerator, denominator, out=np.zeros(np.shape(numerator)), where=denominator > 0)


def per_class(matrix: np.ndarray) -> dict[str, np.ndarray]:
    """Recall, precision, F1 and number of references of each class. Shape: (..., C, C) -> four times (..., C)."""
    matrix = np.asarray(matrix, dtype=float)
    right = np.diagonal(matrix, axis1=-2, axis2=-1)
    references, predicted = matrix.sum(-1), matrix.sum(-2)
    return {
        "recall": _divide(right, references),
        "precision": _divide(right, predicted),
        "f1": _divide(2 * right, references + predicted),
        "references": references,
    }


def from_confusion(matrix: np.ndarray) -> dict[Metric, np.ndarray]:
    """All scores in ``NAMES`` of one or many confusion matrices. Shape: (..., C, C) -> dict of (...)."""
    classes = per_class(matrix)
    references = classes["references"]
    total, present = references.sum(-1), references > 0
    return {
        "wa": _divide((classes["recall"] * references).sum(-1), total),
        "ua": _divide((classes["recall"] * present).sum(-1), present.sum(-1)),
        "macro_f1": _divide((classes["f1"] * present).sum(-1), present.sum(-1)),
        "weighted_f1": _divide((classes["f1"] * references).sum(-1), total),
    }


def scores(ref: ArrayLike, hyp: ArrayLike) -> dict[Metric, float]:
    """All scores in ``NAMES`` for class indices ``ref`` and ``hyp``.

    >>> {name: round(value, 3) for name, value in scores([0, 0, 0, 1], [0, 0, 1, 1]).items()}
    {'wa': 0.75, 'ua': 0.833, 'macro_f1': 0.733, 'weighted_f1': 0.767}
    """
    classes = int(max(np.max(ref, initial=0), np.max(hyp, initial=0))) + 1
    return {name: float(value) for name, value in from_confusion(confusion(ref, hyp, classes)).items()}


def wa(ref: ArrayLike, hyp: ArrayLike) -> float:
    """Weighted accuracy: the share of utterances recognised correctly."""
    return scores(ref, hyp)["wa"]


def ua(ref: ArrayLike, hyp: ArrayLike) -> float:
    """Unweighted accuracy: the mean recall of the classes that occur in ``ref``."""
    return scores(ref, hyp)["ua"]


def macro_f1(ref: ArrayLike, hyp: ArrayLike) -> float:
    """Mean F1 of the classes that occur in ``ref``."""
    return scores(ref, hyp)["macro_f1"]


def weighted_f1(ref: ArrayLike, hyp: ArrayLike) -> float:
    """Mean F1 of the classes, weighted by how often each occurs in ``ref``."""
    return scores(ref, hyp)["weighted_f1"]


def expected_calibration_error(ref: ArrayLike, probabilities: np.ndarray, bins: int = 15) -> float:
    """Mean distance between confidence and accuracy over equally wide bins of confidence (Guo et al. 2017).

    Shape: ref (utterances,), probabilities (utterances, C). Confidence is the probability of the chosen class.
    """
    probabilities = np.asarray(probabilities, dtype=float)
    confidence, right = probabilities.max(-1), probabilities.argmax(-1) == np.asarray(ref)
    index = np.minimum((confidence * bins).astype(int), bins - 1)
    gap = np.bincount(index, weights=confidence - right, minlength=bins)  # = bin size * (confidence - accuracy)
    return float(np.abs(gap).sum() / len(confidence))


def weighted_auc(positive: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Probability that a positive item has the higher score than a negative one, ties count half.

    Shape: positive, scores (N,); weights (R, N), how often each item counts -> (R,), NaN where one side is empty.
    """
    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])  # of groups of equal scores
    positives = np.add.reduceat(weights[:, order] * positive[order], starts, axis=1)
    negatives = np.add.reduceat(weights[:, order] * ~positive[order], starts, axis=1)
    won = (positives * (np.cumsum(negatives, axis=1) - negatives / 2)).sum(1)
    pairs = positives.sum(1) * negatives.sum(1)
    return np.divide(won, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)


def macro_auc(ref: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean over classes of one class against the rest; a class that does not occur does not count.

    Shape: ref (N,), probabilities (N, C), weights (R, N) -> (R,).
    """
    each = [weighted_auc(ref == c, probabilities[:, c], weights) for c in range(probabilities.shape[1])]
    return np.nanmean([values for values in each if not np.isnan(values).all()], axis=0)
