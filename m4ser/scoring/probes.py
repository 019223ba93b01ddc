"""Linear probes: what a logistic regression, trained afresh, can read off the states of a trained model.

A probe never answers for speakers that it was trained on: they are split into groups, and what is said of a group was
learned from the others. States are standardised first: without, the side on which a probe finds states that are unlike
those it has learned from depends on its regularisation.
"""

from typing import NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

GROUPS = 5
STRENGTH = 0.1  # how little is regularised; of standardised states the answers hardly depend on it
MOST = 8000  # of more states to learn from, this many at random


class Sides(NamedTuple):
    """What a probe for the modality says of N utterances: shares (N,) of their states.

    ``right``: modality-specific states that it takes for what they are; ``speech``: invariant ones that it takes for
    speech; ``place``: no share, but where it finds these on its way from the mean text-specific state (0) to the mean
    speech-specific one (1). The last two are None where the model has no invariant states.
    """

    right: np.ndarray
    speech: np.ndarray | None = None
    place: np.ndarray | None = None


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
    test_states: np.ndarray,
    test_group: np.ndarray,
    seed: int = 0,
) -> np.ndarray:
    """What probes say of ``test_states``, each state by the probe that has learned from the other groups.

    Classes count alike however many states they have. Shape: states (K, D), labels, group (K,), asked (A, D),
    asked_group (A,) -> (A,).
    """
    said = np.zeros(len(test_states), dtype=labels.dtype)
    for held_out in np.unique(test_group):
        train, test = _drawn(group != held_out, seed), test_group == held_out
        known = np.unique(labels[train])
        if len(known) < 2:
            said[test] = known[0] if len(known) else labels[0]
        else:
            said[test] = _probe(states[train], labels[train]).predict(test_states[test])
    return said


def sides(
    speech: np.ndarray,
    text: np.ndarray,
    owners: tuple[np.ndarray, np.ndarray],
    group: np.ndarray,
    invariant: np.ndarray | None = None,
    owner: np.ndarray | None = None,
    seed: int = 0,
) -> Sides:
    """Train probes to tell the states of two modalities apart, and ask them about those and about invariant ones.

    An utterance's two modalities count alike. Shape: speech (S, D), text (T, D), invariant (I, D), each with the
    utterances that its states are of (``owners``, ``owner``); group (N,) of the utterances.
    """
    states, of = np.concatenate([speech, text]), np.concatenate(owners)
    is_speech = np.repeat([1, 0], [len(speech), len(text)])
    right, of_invariant = np.zeros(len(states)), np.zeros((2, 0 if invariant is None else len(invariant)))
    for held_out in np.unique(group):
        train, test = _drawn(group[of] != held_out, seed), group[of] == held_out
        probe = _probe(states[train], is_speech[train])
        right[test] = probe.predict(states[test]) == is_speech[test]
        if invariant is not None and owner is not None and (invariant_test := group[owner] == held_out).any():
            means = np.stack([states[train][is_speech[train] == side].mean(0) for side in (0, 1)])
            (start, end), way = probe.decision_function(means), probe.decision_function(invariant[invariant_test])
            of_invariant[:, invariant_test] = way > 0, (way - start) / (end - start)
    both = [_means(right[is_speech == side], of[is_speech == side], len(group)) for side in (1, 0)]
    rest = [] if owner is None else [_means(values, owner, len(group)) for values in of_invariant]
    return Sides(np.mean(both, axis=0), *rest)


def _drawn(usable: np.ndarray, seed: int) -> np.ndarray:
    """Indices of the states to learn from, of too many some at random."""
    learned = np.flatnonzero(usable)
    if len(learned) > MOST:
        learned = np.sort(np.random.default_rng(seed).choice(learned, MOST, replace=False))
    return learned


def _probe(states: np.ndarray, labels: np.ndarray) -> Pipeline:
    """A probe that has learned. Shape: (K, D), (K,)."""
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=STRENGTH, max_iter=1000, class_weight="balanced"))
    return probe.fit(states.astype(np.float64), labels)


def _means(values: np.ndarray, owner: np.ndarray, count: int) -> np.ndarray:
    """Mean of each utterance's states. Shape: (S,), (S,) -> (N,)."""
    return np.bincount(owner, values, count) / np.maximum(np.bincount(owner, minlength=count), 1)
