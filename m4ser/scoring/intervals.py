"""95 % confidence intervals: by resampling speakers, and over few conditions.

Utterances of one speaker succeed and fail together, so an interval from resampled utterances is too narrow. Every score
is a function of the confusion matrix, and the confusion matrix of a resample is the sum of its speakers' matrices:
2000 resamples are one matrix product of integers, exact on any machine.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike

from m4ser.training.metrics import Metric, from_confusion

MIN_SPEAKERS = 5  # of fewer, resamples repeat too often to say anything
RESAMPLES = 2000
LEVEL = 0.95
MIN_CONDITIONS = 3  # of fewer, the interval is too wide to say anything


def clusters(speakers: ArrayLike) -> tuple[np.ndarray, str]:
    """What is resampled together: an index per utterance, and the unit, ``speaker`` or, of too few, ``utterance``."""
    names, index = np.unique(np.asarray(speakers, dtype=str), return_inverse=True)
    if len(names) >= MIN_SPEAKERS:
        return index, "speaker"
    return np.arange(len(index)), "utterance"


def cluster_confusions(cluster: np.ndarray, ref: np.ndarray, hyp: np.ndarray, classes: int) -> np.ndarray:
    """One confusion matrix per cluster and seed; a ``hyp`` of -1 (not predicted) is not counted.

    Shape: cluster (N,), ref (N,), hyp (seeds, N) -> (seeds, clusters, C, C).
    """
    counts = np.zeros((len(hyp), int(cluster.max(initial=-1)) + 1, classes, classes))
    for seed, answers in enumerate(hyp):
        known = answers >= 0
        np.add.at(counts[seed], (cluster[known], ref[known], answers[known]), 1)
    return counts


def resampled(count: int, resamples: int, seed: int, chunk: int = 250) -> Iterator[np.ndarray]:
    """How often each of ``count`` clusters is drawn. Shape: (<= chunk, count), ``resamples`` rows in all."""
    rng = np.random.default_rng(seed)
    for start in range(0, resamples, chunk):
        rows = min(chunk, resamples - start)
        draws = rng.integers(count, size=(rows, count)) + count * np.arange(rows)[:, None]
        yield np.bincount(draws.ravel(), minlength=rows * count).reshape(rows, count).astype(float)


def seed_mean(matrices: np.ndarray) -> dict[Metric, np.ndarray]:
    """Scores averaged over the seeds that have counts at all. Shape: (..., seeds, C, C) -> dict of (...)."""
    counted = matrices.sum((-2, -1)) > 0
    seeds = np.maximum(counted.sum(-1), 1)
    return {name: (value * counted).sum(-1) / seeds for name, value in from_confusion(matrices).items()}


def distribution(confusions: np.ndarray, resamples: int = RESAMPLES, seed: int = 0) -> dict[Metric, np.ndarray]:
    """Scores of resampled clusters, averaged over training seeds within each resample.

    Shape: (seeds, clusters, C, C) -> dict of (resamples,). The same ``seed`` draws the same clusters, which pairs the
    resamples of two systems.
    """
    seeds, count, classes, _ = confusions.shape
    flat = confusions.transpose(1, 0, 2, 3).reshape(count, -1)
    weights = resampled(count, resamples, seed)
    return seed_mean(np.concatenate([(w @ flat).reshape(-1, seeds, classes, classes) for w in weights]))


def percentiles(values: np.ndarray) -> tuple[float, float]:
    """The central interval that holds 95 % of the values."""
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def intervals(confusions: np.ndarray, resamples: int = RESAMPLES, seed: int = 0) -> dict[Metric, tuple[float, float]]:
    """Percentile interval of each score. Shape: (seeds, clusters, C, C)."""
    return {name: percentiles(values) for name, values in distribution(confusions, resamples, seed).items()}


def mean_interval(values: Sequence[float]) -> tuple[float, tuple[float, float]]:
    """Mean of one value per condition (text, noise), and its interval by Student's t: they are too few to resample.

    Conditions share their test utterances: the interval says what other texts and trainings would change, not what
    other speakers would.
    """
    from scipy import stats  # half a second of import

    mean = float(np.mean(values))
    half = float(stats.t.ppf((1 + LEVEL) / 2, len(values) - 1) * stats.sem(values))
    return mean, (mean - half, mean + half)
