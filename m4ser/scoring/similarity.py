"""How alike, and how movable, representations are: statistics of utterances that count more or less often.

A statistic takes weights (R, N), how often each of N utterances counts in each of R resamples, and gives its value in
each, (R,). With weights of one it is the value itself. What cannot be said, for example where all weights are zero, is
NaN.
"""

from collections.abc import Callable, Iterable

import numpy as np

Statistic = Callable[[np.ndarray], np.ndarray]
NOTHING = 1e-12  # of a spread that is no more than this times the values, only rounding is left
STILL = 1e-4  # of a movement that is less, likewise: batches are padded otherwise


def mean(values: np.ndarray) -> Statistic:
    """Mean of a value per utterance (N,)."""
    return lambda weights: _divide(weights @ values, weights.sum(1))


def larger_share(values: np.ndarray) -> Statistic:
    """Share of what is on the larger of two sides, of the share (N,) of each utterance that is on one of them."""
    on_one = mean(values)

    def statistic(weights: np.ndarray) -> np.ndarray:
        share = on_one(weights)
        return np.maximum(share, 1 - share)

    return statistic


def movement(before: np.ndarray, after: np.ndarray) -> Statistic:
    """How far vectors have moved: root mean square of their way, in units of their spread before.

    The spread is the root mean square distance from their mean. Vectors that have changed places with others at
    random come to the square root of two. Shape: (N, D) twice.
    """
    before, after = before.astype(np.float64), after.astype(np.float64)
    way, centred = np.square(after - before).sum(1), before - before.mean(0)
    squares, least = np.square(centred).sum(1), NOTHING * np.square(before).sum(1).mean()

    def statistic(weights: np.ndarray) -> np.ndarray:
        total = weights.sum(1)
        spread = _divide(weights @ squares, total) - np.square(_divide(weights @ centred, total[:, None])).sum(1)
        moved = np.sqrt(_divide(_divide(weights @ way, total), np.where(spread > least, spread, 0.0)))
        return np.where(moved < STILL, 0.0, moved)

    return statistic


def ratio(numerator: Statistic, denominator: Statistic) -> Statistic:
    """One statistic in units of another."""
    return lambda weights: _divide(numerator(weights), denominator(weights))


def cosine(x: np.ndarray, y: np.ndarray) -> Statistic:
    """Mean cosine of pairs of vectors, each side without the mean of its vectors. Shape: (N, D) twice."""
    x, y = (side.astype(np.float64) - side.astype(np.float64).mean(0) for side in (x, y))
    norms = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
    return mean(np.divide((x * y).sum(1), norms, out=np.zeros(len(x)), where=norms > 0))


def linear_cka(x: np.ndarray, y: np.ndarray, debiased: bool = True) -> Statistic:
    """Linear centred kernel alignment (Kornblith et al. 2019): 1 the same up to rotation and scale, 0 unrelated.

    Of few vectors with many dimensions even unrelated ones come far above zero; ``debiased`` leaves out what every
    vector has in common with itself (Song et al. 2012, Nguyen et al. 2021): unrelated ones come to zero on average, and
    copies of an utterance in a resample do not count as alike.

    Shape: (N, D), (N, E).
    """
    kernels = [_kernel(side, debiased) for side in (x, y)]
    pairs = (0, 1), (0, 0), (1, 1)
    summed: dict[bytes, tuple[list[np.ndarray], list[np.ndarray]]] = {}

    def sums(group: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Kernels with the rows of a group added up, (G, N), and their products, rows and columns, (G, G)."""
        if group.tobytes() not in summed:
            products = [_added(_added(kernels[i] * kernels[j], group).T, group) for i, j in pairs]
            summed.clear()
            summed[group.tobytes()] = [_added(kernel, group) for kernel in kernels], products
        return summed[group.tobytes()]

    def statistic(weights: np.ndarray) -> np.ndarray:
        group, first = _counted_alike(weights)
        rows, products = sums(group)
        drawn = weights[:, first]
        along = [drawn @ each for each in rows]
        aligned, own_x, own_y = (
            _dependence(weights, ((drawn @ product) * drawn).sum(1), along[i], along[j], debiased)
            for product, (i, j) in zip(products, pairs, strict=True)
        )
        return _divide(aligned, np.sqrt(np.maximum(own_x, 0) * np.maximum(own_y, 0)))

    return statistic


def _counted_alike(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Groups of utterances that count alike in all resamples, as those of one speaker do.

    What is summed over them once need not be summed in each resample. Shape: (R, N) -> group of each (N,), in the order
    of their first utterances, which are the second value (G,).
    """
    _, first, group = np.unique(weights, axis=1, return_index=True, return_inverse=True)
    order = np.argsort(first)
    return np.argsort(order)[group.reshape(-1)], first[order]


def _added(values: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Rows of a group added up. Shape: (N, K), (N,) -> (G, K)."""
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    return np.add.reduceat(values[order], starts, axis=0)


def _kernel(x: np.ndarray, debiased: bool) -> np.ndarray:
    """Inner products (N, N) of vectors without their mean, in units of their mean square."""
    centred = x.astype(np.float64) - x.astype(np.float64).mean(0)
    scale = np.square(centred).sum(1).mean()
    if scale <= NOTHING * np.square(x.astype(np.float64)).sum(1).mean():
        return np.zeros((len(x), len(x)))
    kernel = centred @ centred.T / scale
    if debiased:
        np.fill_diagonal(kernel, 0.0)
    return kernel


def _dependence(
    weights: np.ndarray, all_pairs: np.ndarray, along_k: np.ndarray, along_m: np.ndarray, debiased: bool
) -> np.ndarray:
    """The Hilbert-Schmidt independence criterion of two kernels (N, N), but for its factor, in each resample (R,).

    Shape: weights, these times either kernel, (R, N); weighted sum of the kernels' product value by value (R,).
    """
    count, rows = weights.sum(1), (weights * along_k * along_m).sum(1)
    sums = (along_k * weights).sum(1) * (along_m * weights).sum(1)
    if debiased:
        return all_pairs + _divide(sums, (count - 1) * (count - 2)) - _divide(2 * rows, count - 2)
    return all_pairs + _divide(sums, count**2) - _divide(2 * rows, count)


def average(parts: Iterable[tuple[np.ndarray, Statistic]], weights: np.ndarray) -> np.ndarray:
    """A statistic of several models, averaged; each counts as much as its utterances do.

    Args:
        parts: for each model which of all utterances it has seen (indices), and its statistic of these.
        weights: of all utterances (R, N).

    Returns:
        (R,); a model that cannot say anything of a resample does not count there.
    """
    total, count = np.zeros(len(weights)), np.zeros(len(weights))
    for seen, statistic in parts:
        part_weights = weights[:, seen]
        with np.errstate(invalid="ignore"):
            value = statistic(part_weights)
        known, size = np.isfinite(value), part_weights.sum(1)
        total += np.where(known, size * np.nan_to_num(value), 0.0)
        count += np.where(known, size, 0.0)
    return _divide(total, count)


def _divide(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Quotient, NaN where the denominator is not positive."""
    shape = np.broadcast_shapes(np.shape(numerator), np.shape(denominator))
    positive = np.broadcast_to(denominator, shape) > 0
    return np.divide(numerator, denominator, out=np.full(shape, np.nan), where=positive)
