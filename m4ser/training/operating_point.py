"""Where the boundaries between classes lie, chosen on the development set: ``operating_point``.

A model that is trained by cross-entropy answers the frequent class wherever it knows little. That is best for accuracy
and for no other score. Its scores can be shifted by -t log P(class), with P from the training part (logit adjustment,
Menon et al., ICLR 2021); t is the number from 0 to 1 at which the development set has the best score of the name given,
the least of equally good ones. It is one number for all classes, so there is little to overfit. The shift goes into the
biases of the classifier: a model's files and graphs are what they would be without.
"""

import argparse
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from m4ser.training.metrics import NAMES

AS_TRAINED = "trained"
OPTION = "operating_point"
STRENGTHS = tuple(step / 20 for step in range(21))  # t


def add_option(group: argparse._ArgumentGroup) -> None:
    """``--operating_point``, for models that are trained by gradient descent."""
    group.add_argument(
        f"--{OPTION}",
        choices=[AS_TRAINED, *NAMES],
        default=AS_TRAINED,
        help="Shift the scores of the classes after training, by a share of their log frequency in training, to where "
        "the development set has the best score of this name; trained: leave them",
    )


def log_prior(emotions: Iterable[str], labels: Sequence[str]) -> np.ndarray:
    """Logarithm of each label's share (E,); each counts once more than it occurs, so none is infinite.

    >>> np.exp(log_prior(["sad", "sad", "sad", "sad"], ["happy", "sad"])).round(3).tolist()
    [0.167, 0.833]
    """
    counts = Counter(emotions)
    occurrences = np.array([counts[label] + 1.0 for label in labels])
    return np.log(occurrences / occurrences.sum())


def best_strength(score: Callable[[float], float]) -> float:
    """The t at which a score is best, the least of several.

    >>> best_strength(lambda t: -abs(t - 0.3))
    0.3
    """
    return max(STRENGTHS, key=lambda strength: (score(strength), -strength))
