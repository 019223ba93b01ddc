"""The vectorised bootstrap against a plain loop, and how often its intervals hold the truth."""

import numpy as np
import pytest

from m4ser.scoring.intervals import (
    MIN_SPEAKERS,
    cluster_confusions,
    clusters,
    distribution,
    intervals,
    mean_interval,
    resampled,
)
from m4ser.training.metrics import NAMES, scores


def make(rng, speakers=8, per_speaker=10, classes=3, seeds=2, accuracy=0.6):
    names = np.repeat([f"s{i}" for i in range(speakers)], per_speaker)
    ref = rng.integers(classes, size=len(names))
    hyp = np.where(rng.random((seeds, len(names))) < accuracy, ref, rng.integers(classes, size=(seeds, len(names))))
    return names, ref, hyp


def test_against_plain_loop():
    """Same draws, utterances gathered one speaker at a time, scores from lists, mean over seeds."""
    names, ref, hyp = make(np.random.default_rng(0))
    index, unit = clusters(names)
    assert unit == "speaker"
    found = distribution(cluster_confusions(index, ref, hyp, 3), resamples=300, seed=7)
    weights = np.concatenate(list(resampled(8, 300, seed=7)))
    for row in range(300):
        drawn = [
            i
            for speaker in range(8)
            for _ in range(int(weights[row, speaker]))
            for i in np.flatnonzero(index == speaker)
        ]
        loop = [scores(ref[drawn], answers[drawn]) for answers in hyp]
        for name in NAMES:
            assert found[name][row] == pytest.approx(np.mean([score[name] for score in loop]))


def test_resamples_draw_with_replacement():
    weights = np.concatenate(list(resampled(6, 4000, seed=1, chunk=999)))
    assert weights.shape == (4000, 6) and (weights.sum(1) == 6).all()
    assert weights.mean(0) == pytest.approx(np.ones(6), abs=0.06)
    assert weights.var(0) == pytest.approx(np.full(6, 5 / 6), abs=0.08)  # of a binomial (6, 1/6)


def test_seeded():
    names, ref, hyp = make(np.random.default_rng(2))
    matrices = cluster_confusions(clusters(names)[0], ref, hyp, 3)
    assert intervals(matrices, seed=3) == intervals(matrices, seed=3)
    assert intervals(matrices, seed=3) != intervals(matrices, seed=4)


def test_few_speakers_fall_back_to_utterances():
    index, unit = clusters(["a", "b", "a", "b"])
    assert unit == "utterance" and index.tolist() == [0, 1, 2, 3]
    assert clusters([str(i) for i in range(MIN_SPEAKERS)])[1] == "speaker"


def test_a_missing_seed_does_not_count_as_wrong():
    names, ref, hyp = make(np.random.default_rng(3))
    hyp[1, names < "s4"] = -1  # the second seed lacks half of the speakers
    matrices = cluster_confusions(clusters(names)[0], ref, hyp, 3)
    assert matrices[1].sum() == (names >= "s4").sum()
    matrices[1] = 0
    assert distribution(matrices, 50)["wa"] == pytest.approx(distribution(matrices[:1], 50)["wa"])


def test_coverage_with_speaker_effects():
    """Speakers differ in accuracy: the interval over 24 of them holds the truth about as often as it says.

    One over utterances, which ignores that, does so clearly less often.
    """
    rng, truth, held, held_utterances, runs = np.random.default_rng(4), 0.6, 0, 0, 150
    for _ in range(runs):
        right = rng.random((24, 40)) < rng.beta(3, 2, size=(24, 1))  # mean accuracy 0.6
        ref = np.zeros(24 * 40, dtype=int)
        hyp = (1 - right.ravel().astype(int))[None]
        by_speaker = cluster_confusions(np.repeat(np.arange(24), 40), ref, hyp, 2)
        by_utterance = cluster_confusions(np.arange(24 * 40), ref, hyp, 2)
        low, high = intervals(by_speaker, resamples=300)["wa"]
        held += low <= truth <= high
        low, high = intervals(by_utterance, resamples=100)["wa"]
        held_utterances += low <= truth <= high
    assert 0.88 <= held / runs <= 0.99
    assert held_utterances / runs < 0.7


def test_mean_over_conditions_and_interval_by_hand():
    mean, ends = mean_interval([1, 2, 3])
    assert mean == 2
    assert ends == pytest.approx((2 - 2.48414, 2 + 2.48414), abs=1e-5)  # t 4.30265, sd 1, square root of 3
