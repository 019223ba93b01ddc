"""The last layer of a model fitted to few utterances of another corpus: multinomial logistic regression with a prior.

The utterance vector v is the model's own. With m and s^2 the mean of the examples and their mean squared distance from
it, both with the same weight for every class, x = (v - m) / s, and the layer softmax(W x + b) minimises

    sum_i w_i CE(y_i, softmax(W x_i + b)) + tau / (2 n) |W - W0|^2,    sum_i w_i = 1.

W0 are the rows of the model's own layer for labels that it knows, and 0 for others. So one example for each class says
hardly more than where the new corpus lies (b is free), and many examples may change everything. tau is the one at which
examples that were left out are most likely. This is maximum a posteriori adaptation
(Chelba and Acero, Adaptation of maximum entropy capitalizer, 2004), or L2-SP of one layer (Li et al. 2018).
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from m4ser.models.arrays import log_softmax

STRENGTHS = (0.1, 0.3, 1.0, 3.0, 10.0)  # tau; the middle one where there is nothing to choose it by
MOST_PARTS = 10  # of a cross-validation
MEMORY, ITERATIONS, PRECISION = 10, 500, 1e-7
SUFFICIENT = 1e-4  # decrease of a step, as a share of what the slope promises


class Layer(NamedTuple):
    """logits = v @ weight.T + bias. Shape: weight (E, U), bias (E,)."""

    weight: np.ndarray
    bias: np.ndarray

    def logits(self, vectors: np.ndarray) -> np.ndarray:
        """(N, U) -> (N, E)."""
        return vectors @ self.weight.T + self.bias


def prior_of(source: Layer, rows_of: Sequence[int | None]) -> np.ndarray:
    """W0 (E, U): of each label the row of the layer that is its own, 0 for labels that the layer does not know (None).

    The mean of the rows, which changes no probability, is taken off first: a row of zeros is then a label about which
    the model says nothing.
    """
    rows = source.weight - source.weight.mean(0)
    unknown = np.zeros(source.weight.shape[1])
    return np.stack([unknown if row is None else rows[row] for row in rows_of])


def balanced_weights(classes: np.ndarray) -> np.ndarray:
    """Weights (N,) of which every class that is there has the same part; they add up to 1."""
    counts = np.bincount(classes)
    return 1 / counts[classes] / np.count_nonzero(counts)


def fit(vectors: np.ndarray, classes: np.ndarray, prior: np.ndarray, strength: float) -> Layer:
    """The layer for examples of all classes.

    Shape: vectors (N, U), classes (N,) from 0 to E - 1, each at least once, prior (E, U).

    Raises:
        ValueError: a class has no example.
    """
    if set(classes.tolist()) != set(range(len(prior))):
        raise ValueError("every class needs an example")
    weights = balanced_weights(classes)
    vectors = vectors.astype(float)
    mean = weights @ vectors
    scale = float(np.sqrt(weights @ ((vectors - mean) ** 2).sum(1))) or 1.0
    x, start = (vectors - mean) / scale, prior * scale
    targets, shape = np.eye(len(prior))[classes], prior.shape
    penalty = strength / len(vectors)

    def loss(point: np.ndarray) -> tuple[float, np.ndarray]:
        weight, bias = point[: prior.size].reshape(shape), point[prior.size :]
        scores = x @ weight.T + bias
        scores -= scores.max(1, keepdims=True)
        powers = np.exp(scores)
        sums = powers.sum(1, keepdims=True)
        change = weight - start
        value = weights @ (np.log(sums[:, 0]) - (scores * targets).sum(1)) + penalty / 2 * float((change**2).sum())
        errors = (powers / sums - targets) * weights[:, None]
        return float(value), np.concatenate([(errors.T @ x + penalty * change).ravel(), errors.sum(0)])

    point = minimise(loss, np.concatenate([start.ravel(), np.zeros(len(prior))]))
    weight = point[: prior.size].reshape(shape) / scale
    return Layer(weight, point[prior.size :] - weight @ mean)


def minimise(function: Callable[[np.ndarray], tuple[float, np.ndarray]], start: np.ndarray) -> np.ndarray:
    """Where a smooth convex function, which gives its value and gradient, is smallest.

    L-BFGS with steps that are halved until they decrease the value enough (Nocedal and Wright, Numerical Optimization,
    algorithms 7.4 and 3.1).
    """
    point, (value, gradient) = start, function(start)
    steps: list[tuple[np.ndarray, np.ndarray]] = []
    for _ in range(ITERATIONS):
        if np.abs(gradient).max() < PRECISION:
            break
        direction = -_times_inverse_hessian(gradient, steps)
        slope = float(gradient @ direction)
        size = 1.0
        while True:
            following = point + size * direction
            next_value, next_gradient = function(following)
            if next_value <= value + SUFFICIENT * size * slope:
                break
            size /= 2
            if size < 1e-12:  # as good as it gets with these numbers
                return point
        change = next_gradient - gradient
        if float(change @ (following - point)) > 0:
            steps = [*steps[-MEMORY + 1 :], (following - point, change)]
        point, value, gradient = following, next_value, next_gradient
    return point


def _times_inverse_hessian(vector: np.ndarray, steps: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """The inverse of the Hessian, as the last steps and changes of the gradient show it, times a vector."""
    shares = []
    for step, change in reversed(steps):
        shares.append(float(step @ vector) / float(step @ change))
        vector = vector - shares[-1] * change
    if steps:
        step, change = steps[-1]
        vector = vector * (float(step @ change) / float(change @ change))
    for (step, change), share in zip(steps, reversed(shares), strict=True):
        vector = vector + (share - float(change @ vector) / float(step @ change)) * step
    return vector


class Parts(NamedTuple):
    """Which examples (N,) are left out in turn, and whether these are all that a speaker said."""

    out: list[np.ndarray]
    by_speaker: bool


def parts(classes: np.ndarray, speakers: Sequence[str] | None) -> Parts:
    """What a cross-validation leaves out: the examples of each speaker, or of ten groups of them.

    Where a label would lose all of its examples then, or speakers are not known: a share of each label's. No part at
    all, where a label has one example only.
    """
    if speakers is not None:
        names, numbers = np.unique(np.asarray(speakers), return_inverse=True)
        chosen = _groups(numbers % MOST_PARTS)
        labels = len(np.unique(classes))
        if len(names) > 1 and all(len(np.unique(classes[~out])) == labels for out in chosen):
            return Parts(chosen, True)
    fewest = int(np.bincount(classes).min())
    if fewest < 2:
        return Parts([], False)
    groups = np.empty(len(classes), dtype=int)
    for number in np.unique(classes):
        members = np.flatnonzero(classes == number)
        groups[members] = np.arange(len(members)) % min(fewest, MOST_PARTS)
    return Parts(_groups(groups), False)


def _groups(numbers: np.ndarray) -> list[np.ndarray]:
    return [numbers == number for number in np.unique(numbers)]


class Fitted(NamedTuple):
    """A layer fitted to examples.

    Attributes:
        layer: what came out.
        strength: of its prior.
        left_out: logits (N, E) of every example by a layer that was fitted without it; None where there were too few.
        by_speaker: whether it was also fitted without the others of that example's speaker.
    """

    layer: Layer
    strength: float
    left_out: np.ndarray | None
    by_speaker: bool


def fit_best(
    vectors: np.ndarray,
    classes: np.ndarray,
    prior: np.ndarray,
    speakers: Sequence[str] | None = None,
    strengths: Sequence[float] = STRENGTHS,
) -> Fitted:
    """The layer at the strength at which examples that were left out are most likely, or else at the middle one.

    Shape: as for :func:`fit`; ``speakers`` (N,), None where they are not known.
    """
    chosen = parts(classes, speakers)
    if not chosen.out:
        middle = strengths[len(strengths) // 2]
        return Fitted(fit(vectors, classes, prior, middle), middle, None, False)
    weights, rows = balanced_weights(classes), np.arange(len(classes))
    tried: dict[float, tuple[float, np.ndarray]] = {}
    for strength in strengths:
        logits = np.empty((len(classes), len(prior)))
        for out in chosen.out:
            logits[out] = fit(vectors[~out], classes[~out], prior, strength).logits(vectors[out])
        tried[strength] = -float(weights @ log_softmax(logits)[rows, classes]), logits
    best = min(tried, key=lambda strength: tried[strength][0])
    return Fitted(fit(vectors, classes, prior, best), best, tried[best][1], chosen.by_speaker)
