"""Paired tests: right under the null hypothesis, powerful off it, exact where a hand can follow."""

from itertools import product

import numpy as np
import pytest
from sklearn.metrics import f1_score

from m4ser.scoring.intervals import cluster_confusions
from m4ser.scoring.significance import holm, mcnemar, paired, permutation_test, smallest_p
from m4ser.training.metrics import ua, wa

SPEAKERS = np.repeat(np.arange(20), 12)


def systems(rng, accuracy_a, accuracy_b, seeds=1):
    """Confusions of two systems on one set of utterances that share their difficulty by speaker."""
    ref = rng.integers(3, size=len(SPEAKERS))
    hardness = rng.normal(0, 0.15, size=20)[SPEAKERS]
    matrices = []
    for accuracy in (accuracy_a, accuracy_b):
        right = rng.random((seeds, len(ref))) < np.clip(accuracy + hardness, 0, 1)
        hyp = np.where(right, ref, (ref + rng.integers(1, 3, size=(seeds, len(ref)))) % 3)
        matrices.append(cluster_confusions(SPEAKERS, ref, hyp, 3))
    return matrices


def test_p_values_are_uniform_without_a_difference():
    rng = np.random.default_rng(0)
    p = [permutation_test(*systems(rng, 0.6, 0.6), permutations=200, seed=i) for i in range(300)]
    for name in ("wa", "ua", "macro_f1"):
        values = np.array([value[name] for value in p])
        assert abs(values.mean() - 0.5) < 0.06
        for level in (0.05, 0.2, 0.5):
            assert (values <= level).mean() == pytest.approx(level, abs=3.5 * np.sqrt(level * (1 - level) / 300))


def test_clear_difference():
    a, b = systems(np.random.default_rng(1), 0.8, 0.5, seeds=3)
    found = paired(a, b)
    for name in ("wa", "ua", "macro_f1", "weighted_f1"):
        low, high = found[name]["ci"]
        assert found[name]["p"] < 0.001
        assert 0.1 < low < found[name]["difference"] < high < 0.5


def test_exact_against_all_swaps():
    """Four speakers, two classes, two seeds: enumerate the 16 ways to exchange the systems, on lists of answers.

    The score of each seed is taken before the mean, as in the difference that is printed beside the p value.
    """
    rng = np.random.default_rng(2)
    speaker, ref = np.repeat(np.arange(4), 6), rng.integers(2, size=24)
    a, b = np.where(rng.random((2, 2, 24)) < [[[0.8], [0.6]], [[0.55], [0.5]]], ref, 1 - ref)
    metrics = {"wa": wa, "ua": ua, "macro_f1": lambda ref, hyp: f1_score(ref, hyp, average="macro")}
    hits = dict.fromkeys(metrics, 0)
    for swap in product([False, True], repeat=4):
        swapped = np.array(swap)[speaker]
        one, other = np.where(swapped, b, a), np.where(swapped, a, b)
        for name, score in metrics.items():
            seen, moved = (
                np.mean([score(ref, x) - score(ref, y) for x, y in zip(*two, strict=True)])
                for two in ((a, b), (one, other))
            )
            hits[name] += abs(moved) >= abs(seen) - 1e-9
    found = permutation_test(*(cluster_confusions(speaker, ref, hyp, 2) for hyp in (a, b)))
    assert {name: found[name] for name in metrics} == {name: count / 16 for name, count in hits.items()}
    assert smallest_p(4) == 2 / 16


def test_same_system():
    a, _ = systems(np.random.default_rng(3), 0.6, 0.6)
    assert paired(a, a)["ua"] == {"difference": 0, "ci": (0, 0), "p": 1}


def test_different_numbers_of_seeds():
    a, _ = systems(np.random.default_rng(4), 0.6, 0.6, seeds=3)
    assert paired(a, a[[0, 1, 2, 0, 1, 2]])["ua"]["difference"] == pytest.approx(0)
    b, _ = systems(np.random.default_rng(6), 0.5, 0.5, seeds=2)
    repeated = paired(np.concatenate([a, a]), b[[0, 0, 0, 1, 1, 1]])  # each with each, by hand
    for name, value in paired(a, b).items():
        assert value["difference"] == pytest.approx(repeated[name]["difference"]) and value["p"] == repeated[name]["p"]


def test_antisymmetric():
    a, b = systems(np.random.default_rng(5), 0.65, 0.6)
    there, back = paired(a, b)["ua"], paired(b, a)["ua"]
    assert there["difference"] == -back["difference"] and there["p"] == back["p"]
    assert there["ci"] == pytest.approx((-back["ci"][1], -back["ci"][0]))


def test_mcnemar():
    """Right only in a: 5, only in b: 1. Exact two-sided p of 1 in 6 fair coins: 2 * (1 + 6) / 64."""
    ref = np.zeros(10, dtype=int)
    a = np.array([0] * 8 + [1, 1])
    b = np.array([0] * 3 + [1] * 5 + [0, 1])
    assert mcnemar(ref, a, b) == {"only_first_right": 5, "only_second_right": 1, "p": pytest.approx(14 / 64)}
    assert mcnemar(ref, a, a)["p"] == 1


def test_holm():
    """Sorted 0.01 * 3, 0.03 * 2, 0.04 * 1 raised to 0.06."""
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.9, 0.8]) == [1, 1]
    assert holm([]) == []
