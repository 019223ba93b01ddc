"""Is one system better than another on the same utterances? Paired tests that respect speakers.

Null hypothesis of the permutation test: for each speaker it does not matter which system gave which answers. So the
answers of a speaker are swapped between the systems, for all speakers or a random half, and the p value is the share of
swaps with a difference at least as large as the one seen. A difference is the mean over training seeds: the test speaks
about other speakers, the spread over seeds is reported beside it.
"""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from m4ser.scoring.intervals import RESAMPLES, cluster_confusions, clusters, distribution, percentiles
from m4ser.scoring.runs import NOT_PREDICTED, Experiment
from m4ser.training.metrics import Metric, from_confusion
from m4ser.training.result_files import Difference, Pair
from m4ser.utils.errors import UserError

PERMUTATIONS = 10000


def _swaps(count: int, permutations: int, seed: int, chunk: int = 500) -> Iterator[np.ndarray]:
    """Which clusters to swap, rows of 0 and 1: each subset once if these are few enough, else random ones."""
    if 2**count <= permutations:
        yield ((np.arange(2**count)[:, None] >> np.arange(count)) & 1).astype(float)
        return
    rng = np.random.default_rng(seed)
    for start in range(0, permutations, chunk):
        yield rng.integers(2, size=(min(chunk, permutations - start), count)).astype(float)


def permutation_test(
    a: np.ndarray, b: np.ndarray, permutations: int = PERMUTATIONS, seed: int = 0
) -> dict[Metric, float]:
    """Two-sided p value of each score's difference, mean over seeds. Shape: two (seeds, clusters, C, C).

    Seeds go in pairs; where the systems have different numbers of them each goes with each.
    """
    count, classes = a.shape[1:3]
    pairs = zip(a, b, strict=True) if len(a) == len(b) else itertools.product(a, b)
    first, second = (np.stack(side) for side in zip(*pairs, strict=True))
    move = (second - first).swapaxes(0, 1).reshape(count, -1)
    totals = first.sum(1), second.sum(1)
    seen = _difference(*totals)
    reached, rows = dict.fromkeys(seen, 0), 0
    for swaps in _swaps(count, permutations, seed):
        moved = (swaps @ move).reshape(len(swaps), -1, classes, classes)
        rows += len(swaps)
        for name, value in _difference(totals[0] + moved, totals[1] - moved).items():
            # the tolerance keeps swaps that restore the same difference by other roundings
            reached[name] += int((np.abs(value) >= np.abs(seen[name]) - 1e-9).sum())
    extra = 0 if 2**count <= permutations else 1  # the order seen is itself one of the random permutations
    return {name: (hits + extra) / (rows + extra) for name, hits in reached.items()}


def _difference(a: np.ndarray, b: np.ndarray) -> dict[Metric, np.ndarray]:
    """Difference of each score's mean over seeds. Shape: two (..., seeds, C, C) -> (...)."""
    scores_a, scores_b = from_confusion(a), from_confusion(b)
    return {name: scores_a[name].mean(-1) - scores_b[name].mean(-1) for name in scores_a}


def smallest_p(count: int, permutations: int = PERMUTATIONS) -> float:
    """The smallest p value that :func:`permutation_test` can give for ``count`` clusters."""
    return 2 / 2**count if 2**count <= permutations else 1 / (permutations + 1)


def paired(
    a: np.ndarray, b: np.ndarray, permutations: int = PERMUTATIONS, resamples: int = RESAMPLES, seed: int = 0
) -> dict[Metric, Difference]:
    """Difference a - b of each score with paired bootstrap 95 % interval and permutation p value.

    Shape: (seeds, clusters, C, C) each; the same clusters in the same order, the number of seeds may differ.
    """
    values_a, values_b = distribution(a, resamples, seed), distribution(b, resamples, seed)
    seen, p = _difference(a.sum(1), b.sum(1)), permutation_test(a, b, permutations, seed)
    return {
        name: {"difference": float(seen[name]), "ci": percentiles(values_a[name] - values_b[name]), "p": p[name]}
        for name in p
    }


def pair(first: Experiment, second: Experiment, resamples: int = RESAMPLES, permutations: int = PERMUTATIONS) -> Pair:
    """Paired difference first - second on the items that every seed of both has predicted.

    Raises:
        UserError: there is no such item.
    """
    ours, others = (
        {
            key: i
            for i, key in enumerate(zip(one.fold, one.items, strict=True))
            if (one.hyp[:, i] != NOT_PREDICTED).all()
        }
        for one in (first, second)
    )
    common = [(i, others[key]) for key, i in ours.items() if key in others]
    if not common:
        raise UserError(
            f"{first.path}: no utterance is predicted both here and in {second.path}; score the missing folds"
        )
    mine, theirs = np.array(common).T
    index, unit = clusters(first.speakers[mine])
    ref, answers = first.ref[mine], (first.hyp[:, mine], second.hyp[:, theirs])
    a, b = (cluster_confusions(index, ref, hyp, len(first.labels)) for hyp in answers)
    count = a.shape[1]
    result: Pair = {
        "system": first.tag,
        "reference": second.tag,
        "utterances": len(common),
        "resampled": unit,
        "clusters": count,
        "smallest_p": smallest_p(count, permutations),
        "scores": paired(a, b, permutations, resamples),
    }
    if len(first.seeds) == len(second.seeds) == 1:
        result["mcnemar"] = mcnemar(ref, answers[0][0], answers[1][0])
    return result


def mcnemar(ref: np.ndarray, a: np.ndarray, b: np.ndarray) -> dict[str, float]:
    """Exact McNemar test of two single runs. Shape: three (N,) of class indices. It takes utterances as independent."""
    from scipy.stats import binomtest  # half a second of import

    right_a, right_b = a == ref, b == ref
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    p = binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1.0
    return {"only_first_right": only_a, "only_second_right": only_b, "p": float(p)}


def holm(p: Sequence[float]) -> list[float]:
    """P values corrected for ``len(p)`` tests (Holm 1979), in the same order."""
    order = np.argsort(p, kind="stable")
    factors = len(p) - np.arange(len(p))
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(1, np.maximum.accumulate(factors * np.asarray(p, dtype=float)[order]))
    return corrected.tolist()
