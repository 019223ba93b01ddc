"""The classifier that is fitted to few examples, against values worked out by hand."""

import numpy as np
import pytest

from m4ser.adaptation.classifier import Layer, balanced_weights, fit, fit_best, minimise, parts, prior_of
from m4ser.models.arrays import log_softmax


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_two_examples_of_one_dimension():
    """Vectors 7 and 13, so x = -1 and 1, and rows a, -a: CE = log(1 + exp(-2 a)), penalty tau / 4 * 2 a^2.

    The derivative -2 sigmoid(-2 a) + tau a is zero at a = 1/2 where tau = 4 sigmoid(-1).
    """
    layer = fit(np.array([[13.0], [7.0]]), np.array([0, 1]), np.zeros((2, 1)), 4 * sigmoid(-1))
    assert layer.weight == pytest.approx(np.array([[0.5 / 3], [-0.5 / 3]]), abs=1e-6)
    assert layer.bias == pytest.approx(np.array([-5 / 3, 5 / 3]), abs=1e-5)
    assert layer.logits(np.array([[10.0], [13.0]])) == pytest.approx(np.array([[0, 0], [0.5, -0.5]]), abs=1e-5)


def test_with_a_strong_prior_only_the_bias_is_fitted():
    """Both labels are as likely in the middle, wherever the corpus lies: the model before said label 0 of both."""
    vectors, prior = np.array([[101.0, 0.0], [99.0, 0.0]]), np.array([[0.5, 0.2], [-0.5, -0.2]])
    layer = fit(vectors, np.array([0, 1]), prior, 1e9)
    assert layer.weight == pytest.approx(prior, abs=1e-6)
    assert np.diff(layer.logits(np.array([[100.0, 0.0]])))[0, 0] == pytest.approx(0, abs=1e-5)
    assert (vectors @ prior.T).argmax(1).tolist() == [0, 0] and layer.logits(vectors).argmax(1).tolist() == [0, 1]


def test_more_examples_weigh_more_against_the_prior():
    rows = np.array([[1.0], [-1.0]])
    wrong = np.array([[-1.0], [1.0]])
    few, many = (fit(np.tile(rows, (n, 1)), np.tile([0, 1], n), wrong, 1.0).weight[0, 0] for n in (1, 50))
    assert few < 0.2 < 1 < many


def test_a_label_counts_the_same_however_often_it_is_there():
    assert balanced_weights(np.array([0, 0, 1])) == pytest.approx([0.25, 0.25, 0.5])
    vectors = np.array([[0.0], [0.0], [0.0], [2.0]])
    layer = fit(vectors, np.array([0, 0, 0, 1]), np.zeros((2, 1)), 1.0)
    assert np.diff(layer.logits(np.array([[1.0]])))[0, 0] == pytest.approx(0, abs=1e-5)


def test_one_vector_for_all_gives_no_opinion():
    layer = fit(np.ones((4, 3)), np.array([0, 1, 0, 1]), np.zeros((2, 3)), 1.0)
    assert np.diff(layer.logits(np.ones((1, 3)))) == pytest.approx(0, abs=1e-6)


def test_every_class_needs_an_example():
    with pytest.raises(ValueError, match="every class needs an example"):
        fit(np.ones((2, 3)), np.array([0, 2]), np.zeros((3, 3)), 1.0)


def test_prior_has_the_rows_of_known_labels_without_their_mean():
    source = Layer(np.array([[3.0, 0.0], [1.0, 2.0]]), np.array([5.0, 6.0]))
    prior = prior_of(source, [None, 1, 0])
    assert prior.tolist() == [[0, 0], [-1, 1], [1, -1]]


def test_minimum_of_a_quadratic_function():
    """(x - 3)^2 + 100 (y + 1)^2."""
    scale, centre = np.array([1.0, 100.0]), np.array([3.0, -1.0])

    def function(point):
        return float(scale @ (point - centre) ** 2), 2 * scale * (point - centre)

    assert minimise(function, np.zeros(2)) == pytest.approx(centre, abs=1e-6)


def outs(made):
    return [np.flatnonzero(out).tolist() for out in made.out]


def test_parts_of_a_cross_validation():
    classes = np.array([0, 1, 0, 1, 0])
    assert outs(parts(classes, None)) == [[0, 1, 4], [2, 3]]
    assert outs(parts(classes, list("aabbb"))) == [[0, 1], [2, 3, 4]] and parts(classes, list("aabbb")).by_speaker
    # Nobody else but a says 1: by other recordings then.
    made = parts(np.array([0, 1, 0, 1]), list("aaba"))
    assert outs(made) == [[0, 1], [2, 3]] and not made.by_speaker
    assert parts(np.array([0, 0, 1]), None).out == [] and parts(classes, list("aaaaa")).by_speaker is False
    assert len(parts(np.tile([0, 1], 40), [str(i // 2) for i in range(80)]).out) == 10


def test_strength_is_chosen_by_what_was_left_out():
    """Of labels that follow the prior exactly the strong prior is right, of the opposite the weak one."""
    random = np.random.default_rng(0)
    vectors = random.standard_normal((60, 40))
    direction = np.zeros((2, 40))
    direction[0, 0], direction[1, 0] = 3.0, -3.0
    classes = (vectors[:, 0] < 0).astype(int)
    assert fit_best(vectors, classes, direction, strengths=(0.01, 1.0, 100.0)).strength == 100.0
    weak = fit_best(vectors, 1 - classes, direction, strengths=(0.01, 1.0, 100.0))
    assert weak.strength == 0.01 and weak.left_out.shape == (60, 2)
    said = weak.left_out.argmax(1) == 1 - classes
    assert said.mean() > 0.6  # none of them was seen by the layer that judged it


def test_too_few_examples_take_the_middle_strength():
    fitted = fit_best(np.eye(3), np.arange(3), np.zeros((3, 3)))
    assert (fitted.strength, fitted.left_out, fitted.by_speaker) == (1.0, None, False)


def test_left_out_examples_are_judged_by_layers_without_them():
    vectors, classes = np.array([[2.0], [1.0], [-1.0], [-2.0]]), np.array([0, 0, 1, 1])
    fitted = fit_best(vectors, classes, np.zeros((2, 1)), strengths=(1.0,))
    first = fit(vectors[[1, 3]], np.array([0, 1]), np.zeros((2, 1)), 1.0)
    assert fitted.left_out[[0, 2]] == pytest.approx(first.logits(vectors[[0, 2]]))


def test_log_softmax_of_large_numbers():
    assert log_softmax(np.array([[1000.0, 1000.0]])) == pytest.approx(np.log([[0.5, 0.5]]))
