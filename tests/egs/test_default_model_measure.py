"""What packed models are measured on, and how their answers are counted."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from m4ser.data.datadir import DataDir, Utterance
from m4ser.data.folds import Fold, Folds
from m4ser.inference.results import Failure, Prediction
from m4ser.utils.errors import UserError


@pytest.fixture(scope="module")
def program(load_program):
    return load_program("default_model/local/measure.py")


def write(folder, labels, name="all"):
    """Three speakers who say each emotion once, under data and dump/audio."""
    utts = [Utterance(f"{s}-{e}", folder / f"{s}-{e}.flac", s, e, "") for s in "abc" for e in labels]
    for place in ("data", "dump/audio"):
        DataDir.write(folder / place / name, utts)


def test_dev_and_test_speakers_of_a_fold(program, tmp_path):
    write(tmp_path, ("happy", "sad"))
    ids = {s: [f"{s}-happy", f"{s}-sad"] for s in "abc"}
    fold = Fold(ids["a"], ids["b"], ids["c"])
    Folds("p", "d", ["all"], ["happy", "sad"], {"all": fold}).write(tmp_path / "data/folds.json")
    parts = program.of_fold(Path("exp/x/foldall/seed1"), tmp_path / "data", tmp_path / "dump")
    assert {part: list(clips) for part, clips in parts.items()} == {"dev": ids["b"], "test": ids["c"]}
    assert parts["dev"]["b-sad"] == (tmp_path / "b-sad.flac", "sad", "b")
    with pytest.raises(UserError, match="has no fold 2"):
        program.of_fold(Path("exp/x/fold2/seed1"), tmp_path / "data", tmp_path / "dump")


def test_a_recipe_gives_what_has_a_common_emotion(program, tmp_path):
    write(tmp_path / "far", ("joy", "disgust"))
    clips = program.of_recipe(tmp_path / "far")
    assert {utt: clip[1] for utt, clip in clips.items()} == {f"{s}-joy": "happy" for s in "abc"}
    with pytest.raises(UserError, match="has no dump/audio; run stages 0 and 1"):
        program.of_recipe(tmp_path / "none")


def test_answers_are_counted_by_recording(program):
    """Four clips, one wrong: UA is the mean of 1 and 1/2."""
    said = [0.9, 0.6, 0.3, 0.8]  # probability of happy
    results = [Prediction("x", "", {"happy": p, "sad": 1 - p}, None, None, 2.0, [], {}) for p in said]
    recognizer = SimpleNamespace(labels=["happy", "sad"], stream=lambda files: iter(results))
    clips = {str(i): (Path("x"), emotion, str(i)) for i, emotion in enumerate(("happy", "happy", "sad", "sad"))}
    answers, probabilities, _ = program.measure(recognizer, clips)
    assert answers.ref.tolist() == [0, 0, 1, 1] and answers.hyp.tolist() == [[0, 0, 1, 0]]
    assert probabilities[2].tolist() == [0.3, 0.7]
    failing = SimpleNamespace(labels=["happy", "sad"], stream=lambda files: iter([Failure("x.wav", "is empty")]))
    with pytest.raises(UserError, match=r"x\.wav: is empty"):
        program.measure(failing, clips)
