"""Tables of labelled recordings: what they say, and faults named by line."""

import pytest

from m4ser.adaptation.examples import read_examples
from m4ser.utils.errors import UserError


@pytest.fixture
def table(write_table, tmp_path):
    for name in "abcd":
        (tmp_path / f"{name}.wav").touch()
    return write_table


def test_what_a_table_says(table, tmp_path):
    path = table(
        ("Label", "file", "speaker", "age", "split", "text"),
        ("Sad", "a.wav", "eva", "3", "", "hello"),
        ("bored", "b.wav", "eva", "3", "train", ""),
        ("Bored".lower(), "c.wav", "max", "3", "test", ""),
        ("sad", "d.wav", "max", "3", "dev", ""),
    )
    examples = read_examples(path, known=["happy", "sad"])
    assert examples.labels == ["sad", "bored"] and examples.counts == {"sad": 1, "bored": 1}
    assert examples.unused == ["age"]
    (sad, bored), (tested,) = examples.learned, examples.tested
    assert (sad.path, sad.label, sad.speaker, sad.text) == (tmp_path / "a.wav", "sad", "eva", "hello")
    assert sad.where == f"{path}: line 2" and bored.label == tested.label == "bored" and tested.speaker == "max"


def test_files_relative_to_a_folder(table, tmp_path):
    (tmp_path / "table").mkdir()
    path = table(("file", "emotion"), ("a.wav", "x"), ("b.wav", "y"), name="table/t.csv")
    assert [one.path for one in read_examples(path, tmp_path).learned] == [tmp_path / "a.wav", tmp_path / "b.wav"]
    with pytest.raises(UserError, match=r"line 2: no such recording: .*table/a\.wav; correct the line, or give"):
        read_examples(path)


GOOD = ("b.wav", "sad", "train")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("x", "y", "split"), GOOD], "line 1: no column file"),
        ([("file", "mood", "split"), GOOD], r"line 1: no column emotion \(or label\); it has file, split, mood"),
        ([("file", "emotion", "split")], "has no lines after the first"),
        ([("file", "emotion", "split"), ("a.wav", "", "")], "line 2: emotion is empty"),
        ([("file", "emotion", "split"), ("e.wav", "sad", "")], "line 2: no such recording"),
        ([("file", "emotion", "split"), GOOD, GOOD], "line 3: b.wav is in line 2 too"),
        (
            [("file", "emotion", "split"), GOOD, ("a.wav", "Bored", ""), ("c.wav", "bored", "")],
            "is written Bored above",
        ),
        (
            [("file", "emotion", "split"), ("a.wav", "sad", "valid8")],
            "split is 'valid8'; it must be train, dev or test",
        ),
        ([("file", "emotion", "split"), GOOD], r"1 label to learn \(sad\); at least two are needed"),
        ([("file", "emotion", "split"), ("a.wav", "s\x1bd", "")], "holds characters that cannot be shown"),
        (
            [("file", "emotion", "split"), GOOD, ("a.wav", "happy", ""), ("c.wav", "calm", "test")],
            "line 4: calm is tested, and no recording to learn from has it",
        ),
    ],
)
def test_faults_are_named(table, rows, message):
    with pytest.raises(UserError, match=message):
        read_examples(table(*rows), known=["sad"])


def test_a_table_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        read_examples(tmp_path / "none.csv")
