"""Area under the ROC curve: how well a system ranks, wherever its threshold lies.

Scores of answers (WA, UA, F1) also move with how readily a system answers the frequent class: two systems can differ in
weighted F1 and rank alike.
"""

from collections.abc import Sequence

import numpy as np

from m4ser.scoring.bootstrap import RESAMPLES, clusters, resampled


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


def values(ref: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Macro AUC of each seed. Shape: ref (N,), probabilities (seeds, N, C) -> (seeds,)."""
    once = np.ones((1, len(ref)))
    return np.array([macro_auc(ref, answers, once)[0] for answers in probabilities])


def distribution(
    speakers: Sequence[str], ref: np.ndarray, probabilities: np.ndarray, resamples: int = RESAMPLES, seed: int = 0
) -> np.ndarray:
    """Macro AUC of resampled speakers, mean over seeds; the same ``seed`` draws the same speakers.

    Shape: speakers, ref (N,), probabilities (seeds, N, C) -> (resamples,).
    """
    index, _ = clusters(speakers)
    parts = []
    for drawn in resampled(int(index.max()) + 1, resamples, seed):
        parts.append(np.mean([macro_auc(ref, answers, drawn[:, index]) for answers in probabilities], axis=0))
    return np.concatenate(parts)
