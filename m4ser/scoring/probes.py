"""Linear probes: what a logistic regression, trained afresh, can read off the states of a trained model.

A probe never answers for speakers that it was trained on: they are split into groups, and what is said of a group was
learned from the others. States are standardised first: without, the side on which a probe finds states that are unlike
those it has learned from depends on its regularisation.
"""

from typing import NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

GROUPS = 5
MOST = 8000  # of more states to learn from, this many at random


class Sides(NamedTuple):
    """What a probe for the modality says of N utterances: shares (N,) of their states.

    ``right``: modality-specific states that it takes for what they are; ``speech``: invariant ones that it takes for
    speech, None where the model has none.
    """

    right: np.ndarray
    speech: np.ndarray | None


def groups(speakers: np.ndarray, most: int = GROUPS) -> np.ndarray:
    """A group for each utterance (N,): speakers stay together, groups are about equally large.

    Of one speaker alone utterances are split, in turn.
    """
    names, index = np.unique(np.asarray(speakers, dtype=str), return_inverse=True)
    if len(names) < 2:
        return np.arange(len(index)) % min(most, len(index))
    sizes, counts = np.zeros(min(most, len(names)), dtype=int), np.bincount(index)
    group_of = np.zeros(len(names), dtype=int)
    for speaker in np.argsort(-counts, kind="stable"):  # the largest first, each to the smallest group so far
        group_of[speaker] = sizes.argmin()
        sizes[group_of[speaker]] += counts[speaker]
    return group_of[index]


def answers(
    states: np.ndarray,
    labels: np.ndarray,
    group: np.ndarray,
    asked: np.ndarray,
    asked_group: np.ndarray,
    seed: int = 0,
) -> np.ndarray:
    """What probes say of ``asked``, each state by the probe that has learned from the other groups.

    Classes count alike however many states they have. Shape: states (K, D), labels, group (K,), asked (A, D),
    asked_group (A,) -> (A,).
    """
    said = np.zeros(len(asked), dtype=labels.dtype)
    for held_out in np.unique(asked_group):
        learned, wanted = np.flatnonzero(group != held_out), asked_group == held_out
        if len(learned) > MOST:
            learned = np.sort(np.random.default_rng(seed).choice(learned, MOST, replace=False))
        known = np.unique(labels[learned])
        if len(known) < 2:
            said[wanted] = known[0] if len(known) else labels[0]
            continue
        probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000, class_weight="balanced"))
        probe.fit(states[learned].astype(np.float64), labels[learned])
        said[wanted] = probe.predict(asked[wanted].astype(np.float64))
    return said


def sides(
    speech: np.ndarray,
    text: np.ndarray,
    owners: tuple[np.ndarray, np.ndarray],
    group: np.ndarray,
    invariant: np.ndarray | None = None,
    owner: np.ndarray | None = None,
) -> Sides:
    """Train probes to tell the states of two modalities apart, and ask them about those and about invariant ones.

    An utterance's two modalities count alike. Shape: speech (S, D), text (T, D), invariant (I, D), each with the
    utterances that its states are of (``owners``, ``owner``); group (N,) of the utterances.
    """
    states, of = np.concatenate([speech, text]), np.concatenate(owners)
    is_speech = np.repeat([1, 0], [len(speech), len(text)])
    right = answers(states, is_speech, group[of], states, group[of]) == is_speech
    both = [_shares(right[is_speech == side], of[is_speech == side], len(group)) for side in (1, 0)]
    found = None
    if invariant is not None and owner is not None:
        said = answers(states, is_speech, group[of], invariant, group[owner])
        found = _shares(said == 1, owner, len(group))
    return Sides(np.mean(both, axis=0), found)


def _shares(true: np.ndarray, owner: np.ndarray, count: int) -> np.ndarray:
    """Share of each utterance's states that are ``true``. Shape: (S,), (S,) -> (N,)."""
    return np.bincount(owner, true, count) / np.maximum(np.bincount(owner, minlength=count), 1)
