"""Prediction files: what is written is read back, what was tampered with is refused in one line."""

import numpy as np
import pytest

from m4ser.training.predictions import Predictions, read_predictions, write_predictions
from m4ser.utils.errors import UserError

LABELS = ["angry", "happy"]


@pytest.fixture
def path(tmp_path):
    predictions = Predictions.from_probabilities(
        LABELS, ["b-1", "a-1", "a-2"], ["b", "a", "a"], [1, 0, 0], np.array([[0.25, 0.75], [1, 0], [0.4, 0.6]])
    )
    write_predictions(tmp_path / "predictions_test.tsv", predictions)
    return tmp_path / "predictions_test.tsv"


def test_format(path):
    assert path.read_text() == (
        "utt_id\tspeaker\tref\thyp\tp_angry\tp_happy\n"
        "a-1\ta\tangry\tangry\t1.000000\t0.000000\n"
        "a-2\ta\tangry\thappy\t0.400000\t0.600000\n"
        "b-1\tb\thappy\thappy\t0.250000\t0.750000\n"
    )


def test_round_trip(path):
    read = read_predictions(path, LABELS, ["a-1", "a-2", "b-1"])
    assert read.utts == ("a-1", "a-2", "b-1") and read.speakers == ("a", "a", "b")
    assert read.ref.tolist() == [0, 0, 1] and read.hyp.tolist() == [0, 1, 1]
    assert read.probabilities.tolist() == [[1, 0], [0.4, 0.6], [0.25, 0.75]]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("p_angry\tp_happy", "p_happy\tp_angry", "the header is not"),
        ("utt_id", "id", "the header is not"),
        ("happy\thappy\t0.25", "happy\tbored\t0.25", "line 4: unknown label 'bored'"),
        ("a-2", "a-1", "predicted more than once: a-1"),
        ("0.400000", "0.500000", "line 3: the probabilities are negative or do not sum to one"),
        ("1.000000\t0.000000", "1.500000\t-0.500000", "line 2: the probabilities are negative"),
        ("0.400000", "nan", "line 3: the probabilities"),
        ("0.400000", "much", "line 3: a probability is not a number"),
        ("0.400000\t0.600000", "0.600000\t0.400000", "line 3: hyp is not the most probable class"),
        ("\t0.750000", "", "line 4 has 5 columns, not 6"),
        ("a-2\ta\tangry\thappy\t0.400000\t0.600000\n", "", "no prediction for a-2"),
        ("a-2", "c-2", "no prediction for a-2"),
        ("b-1\tb", "c-1\tc", "no prediction for b-1"),
    ],
)
def test_tampered(path, old, new, message):
    content = path.read_text()
    assert old in content
    path.write_text(content.replace(old, new))
    with pytest.raises(UserError, match="predictions_test") as error:
        read_predictions(path, LABELS, ["a-1", "a-2", "b-1"])
    assert message in str(error.value) and "\n" not in str(error.value)


def test_extra_utterance(path):
    with pytest.raises(UserError, match="b-1 is not in this part of folds"):
        read_predictions(path, LABELS, ["a-1", "a-2"])


def test_missing_empty_and_binary_file(path):
    with pytest.raises(UserError, match="is missing; run the inference"):
        read_predictions(path.with_name("other.tsv"), LABELS)
    path.write_text("")
    with pytest.raises(UserError, match="the header is not"):
        read_predictions(path, LABELS)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="is not UTF-8"):
        read_predictions(path, LABELS)
