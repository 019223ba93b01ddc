"""Paired tests: right under the null hypothesis, powerful off it, exact where a hand can follow."""

from itertools import product

import numpy as np
import pytest

from m4ser.scoring.bootstrap import cluster_confusions
from m4ser.scoring.metrics import ua, wa
from m4ser.scoring.significance import holm, mcnemar, paired, permutation_test, smallest_p

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
    p = [permutation_test(*(m[0] for m in systems(rng, 0.6, 0.6)), permutations=200, seed=i) for i in range(300)]
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
    """Four speakers, two classes: enumerate the 16 ways to exchange the systems, on lists of answers."""
    rng = np.random.default_rng(2)
    speaker, ref = np.repeat(np.arange(4), 6), rng.integers(2, size=24)
    a, b = np.where(rng.random((2, 24)) < [[0.8], [0.55]], ref, 1 - ref)
    hits = {"wa": 0, "ua": 0}
    for swap in product([False, True], repeat=4):
        swapped = np.array(swap)[speaker]
        one, other = np.where(swapped, b, a), np.where(swapped, a, b)
        for name, score in (("wa", wa), ("ua", ua)):
            hits[name] += abs(score(ref, one) - score(ref, other)) >= abs(score(ref, a) - score(ref, b)) - 1e-9
    matrices = [cluster_confusions(speaker, ref, hyp[None], 2)[0] for hyp in (a, b)]
    found = permutation_test(*matrices)
    assert found["wa"] == hits["wa"] / 16 and found["ua"] == hits["ua"] / 16
    assert smallest_p(4) == 2 / 16


def test_same_system():
    a, _ = systems(np.random.default_rng(3), 0.6, 0.6)
    assert paired(a, a)["ua"] == {"difference": 0, "ci": (0, 0), "p": 1}


def test_different_numbers_of_seeds():
    a, _ = systems(np.random.default_rng(4), 0.6, 0.6, seeds=3)
    assert paired(a, a[[0, 1, 2, 0, 1, 2]])["ua"]["difference"] == pytest.approx(0)


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
