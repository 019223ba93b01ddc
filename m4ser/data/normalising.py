"""Features with zero mean and unit deviation over everything that a speaker, or a corpus, has said.

As with Kaldi's `apply-cmvn`, only the statistics of a dump are written; whoever reads the features through a list that
has them beside it (:class:`m4ser.data.features.Features`) gets them normalised. No label is needed for it, but several
recordings of whoever is tested.
"""

from collections.abc import Iterable

import numpy as np


def sums(matrix: np.ndarray) -> np.ndarray:
    """Number, sum and sum of squares of the known values of every dimension: (frames, F) -> (3, F) float64."""
    known = ~np.isnan(matrix)
    values = np.where(known, matrix, 0.0).astype(np.float64)
    return np.stack([known.sum(0), values.sum(0), np.square(values).sum(0)])


def statistics(all_sums: Iterable[np.ndarray]) -> np.ndarray:
    """Mean and deviation of every dimension over all frames; missing values (NaN) do not count.

    A dimension that does not vary, or is always missing, has a deviation of one: it is only shifted, or left alone.

    Args:
        all_sums: :func:`sums` of each matrix, one at least.

    Shape: (3, F) each -> (2, F) float32.

    Raises:
        ValueError: there are none.
    """
    total = sum(all_sums)
    if not isinstance(total, np.ndarray):
        raise ValueError("no features to measure")
    count = np.maximum(total[0], 1)
    mean = total[1] / count
    variance = total[2] / count - np.square(mean)
    varies = variance > 1e-12 * (1 + np.square(mean))
    return np.stack([mean, np.sqrt(np.where(varies, variance, 1.0))]).astype(np.float32)


def normalised(matrix: np.ndarray, measured: np.ndarray) -> np.ndarray:
    """Features (frames, F) as they are with :func:`statistics` (2, F)."""
    mean, deviation = measured
    return (matrix - mean) / deviation
