"""Tables of few recordings, and the scores of what was made of them."""

import csv
import json
from pathlib import Path

import pytest

from m4ser.utils.errors import UserError


@pytest.fixture(scope="module")
def program(load_program):
    return load_program("csv/local/few.py")


@pytest.fixture
def corpus(tmp_path):
    """Four speakers who say each of two emotions five times; another column, and names of columns of its own."""
    rows = [f"{s}{e}{i}.wav\t{e}\t  {s}\t9" for s in "abcd" for e in ("joy", "rage") for i in range(5)]
    path = tmp_path / "data.tsv"
    path.write_text("\n".join(["file_id\tEmotion\tspeaker_id\tage", *rows]))
    return path


def drawn(program, corpus, out, *options):
    columns = ["--columns", "file_id", "Emotion", "speaker_id"]
    program.main(["draw", str(corpus), *columns, "--folder", "samples", "--out", str(out), *options])
    with out.open(newline="") as file:
        return list(csv.DictReader(file))


def test_recordings_are_drawn_by_emotion_and_by_halves_of_the_speakers(program, corpus, tmp_path):
    rows = drawn(program, corpus, tmp_path / "1.csv", "--count", "3", "--tests", "4")
    counts = {(part, e): 0 for part in ("train", "test") for e in ("joy", "rage")}
    speakers = {"train": set(), "test": set()}
    for row in rows:
        counts[row["split"], row["emotion"]] += 1
        speakers[row["split"]].add(row["speaker"])
    assert counts == {("train", "joy"): 3, ("train", "rage"): 3, ("test", "joy"): 4, ("test", "rage"): 4}
    assert not speakers["train"] & speakers["test"] and len({row["file"] for row in rows}) == 14
    assert all(row["file"].startswith(f"samples/{row['speaker']}{row['emotion']}") for row in rows)
    assert drawn(program, corpus, tmp_path / "2.csv", "--count", "3", "--tests", "4") == rows
    assert drawn(program, corpus, tmp_path / "3.csv", "--count", "3", "--tests", "4", "--draw", "2") != rows


def test_too_few_recordings(program, corpus, tmp_path):
    with pytest.raises(SystemExit, match="joy: half of the speakers say it 10 times, fewer than 11"):
        drawn(program, corpus, tmp_path / "1.csv", "--count", "11")
    assert not (tmp_path / "1.csv").exists()


def model(path, ua, tested=6):
    """An archive is not opened for this: its unpacked folder is enough."""
    adapted = {"counts": {"joy": 3, "rage": 3}, "seconds": 2.0}
    adapted |= {"tested": {"ua": ua, "wa": ua, "utterances": tested, "speakers": 2}} if tested else {}
    return path, adapted


def test_scores_side_by_side(program, tmp_path, monkeypatch):
    models = dict([model("1.zip", 0.6), model("2.zip", 0.8), model("3.zip", 0, tested=0)])

    class Opened:
        def __init__(self, path):
            self.about = {"training": {"adapted": models[str(path)]}}

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(program, "open_model", Opened)
    for number, ua in enumerate((0.5, 0.3), 1):
        (tmp_path / f"exp{number}").mkdir()
        metrics = {"pooled": {"utterances": 6, "ua": {"mean": ua, "sd": None}}}
        (tmp_path / f"exp{number}/metrics.json").write_text(json.dumps(metrics))
    experiments = [tmp_path / "exp1", tmp_path / "exp2"]
    table = program.compare([Path("1.zip"), Path("2.zip")], experiments)
    first, _, mean = table.rows
    assert first[:3] == ["draw 1", "6", "6"] and (first[3].value, first[4].value) == (0.6, 0.5)
    assert [cell.value for cell in mean[3:6]] == pytest.approx([0.7, 0.4, 0.3])
    assert mean[5].sd == pytest.approx(0.282843, abs=1e-6) and mean[6] == 2.0  # of 0.1 and 0.5
    with pytest.raises(UserError, match="2 adapted models and 1 experiments"):
        program.compare([Path("1.zip"), Path("2.zip")], experiments[:1])
    with pytest.raises(UserError, match="was not tested"):
        program.compare([Path("3.zip")], experiments[:1])
    models["1.zip"]["tested"]["utterances"] = 7
    with pytest.raises(UserError, match="was tested on other recordings"):
        program.compare([Path("1.zip")], experiments[:1])
