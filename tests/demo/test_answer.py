"""What the page shows of a prediction."""

import csv
from pathlib import Path

import pytest

from m4ser.demo import answer
from m4ser.inference.results import Prediction, Segment


def prediction(*parts, text="so good", duration=20.0):
    segments = [
        Segment(a, b, "sad" if p < 0.5 else "happy", {"happy": p, "sad": 1 - p}, said) for a, b, p, said in parts
    ]
    seconds = {"read": 0.25, "model": 0.5}
    return Prediction("a.wav", "happy", {"happy": 0.6, "sad": 0.4}, text, 0.9, duration, segments, seconds)


ROOT = Path(__file__).resolve().parents[2]
TWO = prediction((0.5, 6.0, 0.75, "so"), (8.0, 20.0, 0.125, None))


def test_curves_are_level_in_a_part_and_broken_where_nobody_speaks():
    assert answer.curves(TWO) == [
        (0.5, 0.75, "happy"), (6.0, 0.75, "happy"), (7.0, None, "happy"), (8.0, 0.125, "happy"), (20.0, 0.125, "happy"),
        (0.5, 0.25, "sad"), (6.0, 0.25, "sad"), (7.0, None, "sad"), (8.0, 0.875, "sad"), (20.0, 0.875, "sad"),
    ]  # fmt: skip
    adjoining = answer.curves(prediction((0.0, 6.0, 0.75, ""), (6.0, 9.0, 0.5, "")))
    assert [point for point in adjoining if point[2] == "happy"] == [
        (0.0, 0.75, "happy"), (6.0, 0.75, "happy"), (6.0, 0.5, "happy"), (9.0, 0.5, "happy"),
    ]  # fmt: skip


def test_table_of_parts():
    assert answer.parts(TWO) == [
        ["0:00.5", "0:06.0", "happy", "75.0 %", "so"],
        ["0:08.0", "0:20.0", "sad", "87.5 %", ""],
    ]
    assert len(answer.PARTS) == 5 and len(answer.CURVES) == 3


def test_only_a_recording_that_was_split_has_a_timeline():
    assert answer.is_timeline(TWO) and not answer.is_timeline(prediction((0.0, 3.0, 0.6, "so good")))


def test_summary_and_words():
    assert answer.summary(TWO) == "a.wav: 20 s of sound, answered in 0.75 s"
    assert answer.words(TWO) == "so good"
    assert answer.words(prediction(text="")) == "(no words recognised)"
    assert answer.words(prediction(text=None)) == "(this model hears the voice only)"


@pytest.mark.parametrize(
    ("seconds", "shown", "lasts"),
    [(0.04, "0:00.0", "0 s"), (59.96, "1:00.0", "60 s"), (60, "1:00.0", "1 min"), (75.26, "1:15.3", "1:15.3 min"),
     (600, "10:00.0", "10 min")],
)  # fmt: skip
def test_times(seconds, shown, lasts):
    assert (answer.clock(seconds), answer.length(seconds)) == (shown, lasts)


def test_examples_are_recordings_of_the_mini_corpus():
    with (ROOT / "egs/mini/corpus/metadata.tsv").open(encoding="utf-8") as file:
        known = {
            (ROOT / "egs/mini/corpus" / row["file"]).read_bytes(): row for row in csv.DictReader(file, delimiter="\t")
        }
    examples = sorted((ROOT / "m4ser/demo/examples").iterdir())
    assert [path.name for path in examples] == ["angry.opus", "happy.opus", "neutral.opus", "sad.opus"]
    for path in examples:
        assert known[path.read_bytes()]["emotion"] == path.stem and known[path.read_bytes()]["split"] == "test"
