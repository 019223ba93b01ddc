"""Metrics against values worked out by hand and against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, roc_auc_score

from m4ser.training import metrics

# rows: reference.  recalls 3/4, 1/2, 2/2; precisions 3/4, 1/1, 2/3; F1 3/4, 2/3, 4/5
REF = [0, 0, 0, 0, 1, 1, 2, 2]
HYP = [0, 0, 0, 2, 0, 1, 2, 2]


def test_by_hand():
    assert metrics.wa(REF, HYP) == pytest.approx(6 / 8)
    assert metrics.ua(REF, HYP) == pytest.approx((3 / 4 + 1 / 2 + 1) / 3)
    assert metrics.macro_f1(REF, HYP) == pytest.approx((3 / 4 + 2 / 3 + 4 / 5) / 3)
    assert metrics.weighted_f1(REF, HYP) == pytest.approx((4 * 3 / 4 + 2 * 2 / 3 + 2 * 4 / 5) / 8)
    assert metrics.confusion(REF, HYP, 3).tolist() == [[3, 0, 1], [1, 1, 0], [0, 0, 2]]


def test_wa_is_not_ua():
    """Always the frequent class: WA is its share, UA is one over the number of classes."""
    assert metrics.wa([0, 0, 0, 1], [0, 0, 0, 0]) == 0.75
    assert metrics.ua([0, 0, 0, 1], [0, 0, 0, 0]) == 0.5


def test_per_class():
    found = metrics.per_class(metrics.confusion(REF, HYP, 4))
    assert found["recall"].tolist() == [0.75, 0.5, 1, 0]
    assert found["precision"] == pytest.approx([0.75, 1, 2 / 3, 0])
    assert found["f1"] == pytest.approx([0.75, 2 / 3, 0.8, 0])
    assert found["references"].tolist() == [4, 2, 2, 0]


def test_classes_without_references_do_not_count():
    """Class 2 occurs only as an answer: it costs recall of the others and adds no class of its own."""
    assert metrics.ua([0, 0, 1, 1], [0, 2, 1, 1]) == 0.75
    assert metrics.macro_f1([0, 0, 1, 1], [0, 2, 1, 1]) == pytest.approx((2 / 3 + 1) / 2)


def test_against_scikit_learn():
    rng = np.random.default_rng(0)
    for _ in range(20):
        ref = rng.choice(5, size=60, p=[0.5, 0.2, 0.1, 0.1, 0.1])
        hyp = np.where(rng.random(60) < 0.6, ref, rng.choice(5, size=60))
        present = np.unique(ref)
        found = metrics.scores(ref, hyp)
        assert found["wa"] == pytest.approx(accuracy_score(ref, hyp))
        assert found["ua"] == pytest.approx(np.mean([(hyp[ref == c] == c).mean() for c in present]))
        if set(hyp) <= set(present):
            assert found["ua"] == pytest.approx(balanced_accuracy_score(ref, hyp))
        assert found["macro_f1"] == pytest.approx(f1_score(ref, hyp, labels=present, average="macro"))
        assert found["weighted_f1"] == pytest.approx(f1_score(ref, hyp, average="weighted", zero_division=0))


def test_many_matrices_at_once():
    stack = np.random.default_rng(1).integers(0, 9, size=(2, 3, 4, 4))
    together = metrics.from_confusion(stack)
    for i, j in np.ndindex(2, 3):
        for name, value in metrics.from_confusion(stack[i, j]).items():
            assert together[name][i, j] == pytest.approx(value)


def test_nothing_counted_is_zero_not_nan():
    assert all(value == 0 for value in metrics.from_confusion(np.zeros((3, 3))).values())
    assert metrics.confusion([], [], 3).tolist() == [[0] * 3] * 3


def test_calibration_error():
    """Two bins: confidence 0.9 with 1 of 2 right, confidence 0.6 with 1 of 1 right: (2 * 0.4 + 1 * 0.4) / 3."""
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6]])
    assert metrics.expected_calibration_error([0, 1, 1], probabilities) == pytest.approx(0.4)
    assert metrics.expected_calibration_error([0, 0], np.array([[1.0, 0.0], [1.0, 0.0]])) == 0


def test_auc_by_hand():
    positive, scores = np.array([False, False, True, True]), np.array([0.1, 0.4, 0.35, 0.8])
    once, without_second, doubled = [1, 1, 1, 1], [1, 0, 1, 1], [1, 2, 1, 1]
    found = metrics.weighted_auc(positive, scores, np.array([once, without_second, doubled], dtype=float))
    assert found.tolist() == pytest.approx([3 / 4, 1.0, 4 / 6])  # pairs in order: of 4, of 2, of 6
    assert metrics.weighted_auc(positive, np.full(4, 0.5), np.ones((1, 4))).tolist() == [0.5]  # ties count half
    assert np.isnan(metrics.weighted_auc(positive, scores, np.array([[1.0, 1.0, 0.0, 0.0]]))).all()


def test_auc_is_the_same_as_scikit_learn_with_ties_and_weights():
    rng = np.random.default_rng(0)
    positive, scores = rng.random(200) < 0.3, rng.integers(0, 20, 200) / 20
    weights = rng.integers(0, 4, (5, 200)).astype(float)
    expected = [roc_auc_score(positive, scores, sample_weight=each) for each in weights]
    assert metrics.weighted_auc(positive, scores, weights).tolist() == pytest.approx(expected)
