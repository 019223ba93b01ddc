"""Area under the ROC curve: by hand, and against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from m4ser.scoring import auc


def test_by_hand():
    positive, scores = np.array([False, False, True, True]), np.array([0.1, 0.4, 0.35, 0.8])
    once, without_second, doubled = [1, 1, 1, 1], [1, 0, 1, 1], [1, 2, 1, 1]
    found = auc.weighted_auc(positive, scores, np.array([once, without_second, doubled], dtype=float))
    assert found.tolist() == pytest.approx([3 / 4, 1.0, 4 / 6])  # pairs in order: of 4, of 2, of 6
    assert auc.weighted_auc(positive, np.full(4, 0.5), np.ones((1, 4))).tolist() == [0.5]  # ties count half
    assert np.isnan(auc.weighted_auc(positive, scores, np.array([[1.0, 1.0, 0.0, 0.0]]))).all()


def test_same_as_scikit_learn_with_ties_and_weights():
    rng = np.random.default_rng(0)
    positive, scores = rng.random(200) < 0.3, rng.integers(0, 20, 200) / 20
    weights = rng.integers(0, 4, (5, 200)).astype(float)
    expected = [roc_auc_score(positive, scores, sample_weight=each) for each in weights]
    assert auc.weighted_auc(positive, scores, weights).tolist() == pytest.approx(expected)


def test_macro_is_the_mean_over_classes_that_occur():
    rng = np.random.default_rng(1)
    ref, probabilities = rng.integers(0, 3, 90), rng.dirichlet(np.ones(3), 90)
    expected = roc_auc_score(ref, probabilities, multi_class="ovr", average="macro")
    assert auc.values(ref, np.stack([probabilities, probabilities])).tolist() == pytest.approx([expected] * 2)
    two = np.minimum(ref, 1)
    expected = np.mean([roc_auc_score(two == c, probabilities[:, c]) for c in (0, 1)])
    assert auc.values(two, probabilities[None])[0] == pytest.approx(expected)


def test_resamples_are_of_whole_speakers_and_paired():
    rng = np.random.default_rng(2)
    speakers = np.repeat([f"s{i}" for i in range(6)], 20)
    ref = rng.integers(0, 3, 120)
    good = rng.dirichlet(np.ones(3), (2, 120)) + 0.5 * np.eye(3)[ref]
    drawn = auc.distribution(speakers, ref, good, resamples=300)
    assert drawn.shape == (300,) and (drawn == auc.distribution(speakers, ref, good, resamples=300)).all()
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert low < auc.values(ref, good).mean() < high < 1
    same = np.tile(good[:, :20], (1, 6, 1))  # every speaker alike: nothing changes with who is drawn
    assert np.ptp(auc.distribution(speakers, np.tile(ref[:20], 6), same, resamples=50)) == pytest.approx(0, abs=1e-12)
