"""Probes on constructed states: they find what is there, and never on speakers that they know."""

import numpy as np
import pytest

from m4ser.scoring import probes


def test_speakers_stay_together_in_groups_of_about_equal_size():
    speakers = np.repeat([f"s{i}" for i in range(7)], [10, 1, 1, 4, 4, 5, 5])
    group = probes.groups(speakers, most=3)
    assert all(len(set(group[speakers == name])) == 1 for name in set(speakers))
    assert sorted(np.bincount(group).tolist()) == [10, 10, 10]
    assert len(set(probes.groups(np.array(["a", "a", "b"])))) == 2


def test_of_one_speaker_utterances_are_split():
    assert probes.groups(np.array(["a"] * 7)).tolist() == [0, 1, 2, 3, 4, 0, 1]


def test_a_probe_answers_for_others_than_it_has_learned_from():
    """Two groups that contradict each other: a probe that knew both would be right half of the time, not never."""
    x, group = np.tile([[1.0], [-1.0]], (20, 1)), np.repeat([0, 1], 20)
    labels = np.where(group == 0, x[:, 0] > 0, x[:, 0] < 0).astype(int)
    assert (probes.answers(x, labels, group, x, group) != labels).all()


def test_what_is_not_in_the_states_is_not_found():
    rng = np.random.default_rng(0)
    x, labels, group = rng.normal(size=(600, 20)), rng.integers(2, size=600), np.arange(600) % 5
    assert abs((probes.answers(x, labels, group, x, group) == labels).mean() - 0.5) < 0.07
    x[:, 3] += 4 * labels
    assert (probes.answers(x, labels, group, x, group) == labels).mean() > 0.93


def test_of_many_states_some_teach(monkeypatch):
    monkeypatch.setattr(probes, "MOST", 50)
    x, group = np.linspace(-1, 1, 1000)[:, None], np.arange(1000) % 2
    labels = (x[:, 0] > 0).astype(int)
    first = probes.answers(x, labels, group, x, group, seed=1)
    assert (first == labels).mean() > 0.9
    assert (first == probes.answers(x, labels, group, x, group, seed=1)).all()
    assert (first != probes.answers(x, labels, group, x, group, seed=2)).any()


def test_one_class_alone_is_always_answered():
    x, group = np.zeros((4, 2)), np.array([0, 0, 1, 1])
    assert probes.answers(x, np.array([2, 2, 2, 2]), group, x, group).tolist() == [2, 2, 2, 2]
    # to group 0 only class 1 is known, and the other way round
    assert probes.answers(x, np.array([0, 0, 1, 1]), group, x, group).tolist() == [1, 1, 0, 0]


@pytest.mark.parametrize(("mix", "share"), [(1.0, 1.0), (0.75, 1.0), (0.25, 0.0), (0.0, 0.0)])
def test_invariant_states_are_found_on_the_side_that_they_are_on(mix, share):
    rng = np.random.default_rng(1)
    speech, text = rng.normal(size=(80, 6)) + 6, rng.normal(size=(40, 6)) - 6
    owners, group = (np.arange(80) // 2, np.arange(40)), np.arange(40) % 4
    invariant = mix * speech[::2] + (1 - mix) * text
    found = probes.sides(speech, text, owners, group, invariant, np.arange(40))
    assert found.right.shape == (40,) and found.right.tolist() == [1.0] * 40
    assert found.speech.tolist() == [share] * 40
    assert found.place.mean() == pytest.approx(mix, abs=0.05)


def test_invariant_states_in_between_are_on_neither_side():
    rng = np.random.default_rng(2)
    apart = np.array([5, 0, 0])
    speech, text = rng.normal(size=(400, 3)) + apart, rng.normal(size=(400, 3)) - apart
    each = np.arange(400)
    found = probes.sides(speech, text, (each, each), each % 5, rng.normal(size=(400, 3)), each)
    assert found.right.mean() == 1 and abs(found.speech.mean() - 0.5) < 0.12
    assert found.place.mean() == pytest.approx(0.5, abs=0.02)
    alike = probes.sides(speech, speech[::-1], (each, each), each % 5)
    assert alike.speech is None and abs(alike.right.mean() - 0.5) < 0.1


def test_modalities_of_an_utterance_count_alike():
    """Three speech states that are right, one text state that is wrong: half is right."""
    speech, text = np.full((12, 1), 1.0), np.array([[-1.0], [-1.0], [-1.0], [1.0]])
    found = probes.sides(speech, text, (np.arange(12) // 3, np.arange(4)), np.array([0, 0, 1, 1]))
    assert found.right.tolist() == [1, 1, 1, 0.5]
