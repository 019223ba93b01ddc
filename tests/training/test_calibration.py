"""A temperature makes probabilities mean what they say."""

import numpy as np
import pytest

from m4ser.models.arrays import softmax
from m4ser.training.calibration import (
    HIGHEST,
    LOWEST,
    fit_temperature,
    negative_log_likelihood,
    run_temperature,
)
from m4ser.training.metrics import expected_calibration_error
from m4ser.training.predictions import Predictions, write_predictions
from m4ser.utils.errors import UserError


def test_two_classes_by_hand():
    """Four utterances with a lead of 4 for class 0, three of them right: best is sigmoid(4 / T) = 3/4, T = 4 / ln 3."""
    logits, ref = np.tile([4.0, 0.0], (4, 1)), [0, 0, 0, 1]
    assert fit_temperature(logits, ref) == pytest.approx(4 / np.log(3), rel=1e-5)
    assert softmax(logits, 4 / np.log(3))[0] == pytest.approx([0.75, 0.25])
    assert expected_calibration_error(ref, softmax(logits)) == pytest.approx(1 / (1 + np.exp(-4)) - 0.75)
    assert expected_calibration_error(ref, softmax(logits, fit_temperature(logits, ref))) == pytest.approx(0, abs=1e-6)
    # -(3 ln 0.75 + ln 0.25) / 4
    assert negative_log_likelihood(logits, ref, 4 / np.log(3)) == pytest.approx(0.5623351446)


def test_three_classes_by_hand():
    """A lead of 2 over two equal classes, half right: e^(2/T) / (e^(2/T) + 2) = 1/2, T = 2 / ln 2."""
    logits = np.array([[2.0, 0.0, 0.0], [0.0, 2.0, 0.0]])
    assert fit_temperature(logits, [0, 2]) == pytest.approx(2 / np.log(2), rel=1e-5)


def test_nothing_is_better_than_what_is_found():
    random = np.random.default_rng(0)
    ref = random.integers(0, 5, 300)
    logits = 3 * random.standard_normal((300, 5)) + 2 * np.eye(5)[ref]
    found = fit_temperature(logits, ref)
    best = negative_log_likelihood(logits, ref, found)
    assert all(negative_log_likelihood(logits, ref, t) >= best for t in np.geomspace(LOWEST, HIGHEST, 500))
    assert fit_temperature(logits + 7.0, ref) == pytest.approx(found)  # what is added to all classes does not count
    assert fit_temperature(logits / 10, ref) == pytest.approx(found / 10, rel=1e-4)
    assert (softmax(logits, found).argmax(-1) == logits.argmax(-1)).all()


def test_ends_of_the_range():
    assert fit_temperature([[1.0, 0.0]], [0]) == LOWEST
    assert fit_temperature([[1.0, 0.0]], [1]) == HIGHEST
    assert negative_log_likelihood([[1e5, 0.0]], [1], LOWEST) == pytest.approx(2e6)  # no overflow


@pytest.mark.parametrize(
    ("logits", "ref"), [(np.zeros((0, 2)), []), ([[np.nan, 0.0]], [0]), ([[1.0, 0.0]], [0, 1]), ([1.0, 0.0], [0, 1])]
)
def test_what_no_temperature_is_fitted_to(logits, ref):
    with pytest.raises(ValueError, match="logit"):
        fit_temperature(logits, ref)


def test_of_a_run(tmp_path):
    with pytest.raises(UserError, match="run the inference of stage 5"):
        run_temperature(tmp_path, ["a", "b"])
    logits, ref = np.tile([4.0, 0.0], (4, 1)), [0, 0, 0, 1]
    made = Predictions.from_probabilities(["a", "b"], list("wxyz"), list("wxyz"), ref, softmax(logits))
    write_predictions(tmp_path / "predictions_dev.tsv", made)
    assert run_temperature(tmp_path, ["a", "b"]) == pytest.approx(4 / np.log(3), rel=1e-3)
    write_predictions(
        tmp_path / "predictions_dev.tsv", Predictions.from_probabilities("ab", [], [], [], np.zeros((0, 2)))
    )
    with pytest.raises(UserError, match="no utterances"):
        run_temperature(tmp_path, ["a", "b"])
