"""The curve of adaptation, on voices that are points of a plane."""

import numpy as np
import pytest

from m4ser.adaptation.classifier import Layer
from m4ser.adaptation.curve import Voices, answers, curve, halves, table

SPEAKERS = np.repeat([f"s{i}" for i in range(6)], 8)
REF = np.tile([0, 1], 24)


def voices(labels=("happy", "sad")):
    """Labels lie at x = 11 and 9; the model, whose border is x = 0, takes all for the first."""
    random = np.random.default_rng(0)
    vectors = np.stack([11.0 - 2 * REF, np.zeros(48)], 1) + 0.1 * random.standard_normal((48, 2))
    model = (vectors, Layer(np.array([[1.0, 0], [-1.0, 0]]), np.zeros(2)))
    noise = random.standard_normal((48, 5))
    return Voices("near", list(labels), REF, SPEAKERS, [model], ["happy", "sad"], {"noise": noise})


def test_halves_of_the_speakers():
    (a, b), (c, d) = halves(SPEAKERS, np.random.default_rng(0))
    assert a.tolist() == d.tolist() and b.tolist() == c.tolist() and sorted([*a, *b]) == list(range(48))
    assert len(set(SPEAKERS[a])) == 3 and not set(SPEAKERS[a]) & set(SPEAKERS[b])


def test_examples_are_of_other_speakers_and_those_of_a_smaller_number_are_among_more():
    seen = []

    def system(learn, test):
        seen.append((learn, test))
        return REF[test]

    said = answers(voices(), [system], (1, 3, 99), draws=2)
    assert all(said[count].shape == (2, 48) and (said[count] == REF).all() for count in (1, 3, 99))
    for learn, test in seen:
        assert not set(SPEAKERS[learn]) & set(SPEAKERS[test])
    one, three, every = (set(learn.tolist()) for learn, _ in seen[:3])
    assert (len(one), len(three), len(every)) == (2, 6, 24) and one < three < every
    assert sorted(REF[list(one)]) == [0, 1]
    assert seen[0][0].tolist() != seen[6][0].tolist()  # another draw


def test_rows():
    zero, one, five = curve(voices(), counts=(1, 5), draws=2, resamples=200)
    assert zero[:2] == ["near", "0"] and zero[2].value == 0.5 and zero[3].value == 0.5 and zero[4] is None
    assert one[2].value == five[2].value == 1.0
    assert 0.3 < five[3].value < 0.7
    assert five[4].value == pytest.approx(1 - five[3].value) and five[4].ci[0] > 0


def test_new_labels_have_no_row_without_adaptation():
    rows = curve(voices(("bored", "sad")), counts=(2,), draws=1, resamples=50)
    assert [row[1] for row in rows] == ["2"] and rows[0][2].value == 1.0


@pytest.mark.slow
def test_table_and_figure():
    from m4ser.scoring.figures import adaptation

    made = table([voices(), voices()], counts=(1, 2), draws=1, what="Noise: nothing.")
    assert [row[1] for row in made.rows] == ["0", "1", "2"] * 2
    assert "near 48 of 6 speakers" in made.notes[-1] and "Noise: nothing." in made.notes[-2]
    (axes,) = adaptation(made).axes  # both are called alike: one panel
    assert axes.get_title() == "near" and len(axes.containers) == 2  # what chance says has no interval, and no point
    adapted, noise = (container.lines[0].get_xydata().tolist() for container in axes.containers)
    assert adapted[:3] == [[0, 50], [1, 100], [2, 100]] and [x for x, _ in noise] == [1, 2, 4, 5]
