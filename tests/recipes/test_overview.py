from pathlib import Path

from m4ser.data.datadir import DataDir, Utterance
from m4ser.data.folds import Fold, Folds
from m4ser.recipes.overview import overview


def test_counts_of_sets_and_folds():
    def utts(name, *rows):
        return DataDir.from_utterances(
            name, [Utterance(utt, Path("x.wav"), utt[0], emotion, text) for utt, emotion, text in rows]
        )

    sets = {
        "train": utts("train", ("a-1", "happy", "Oh no."), ("a-2", "sad", "Go!"), ("b-1", "sad", "")),
        "test": utts("test", ("c-1", "sad", "oh NO"), ("c-2", "sad", "I see")),
    }
    folds = Folds("toy-1fold", "one fold", ["train", "test"], ["happy", "sad"])
    folds.folds = {"1": Fold(["a-1", "a-2"], ["b-1"], ["c-1", "c-2"])}
    assert overview(sets, folds).splitlines() == [
        "            train  test",
        "     happy      1     0",
        "       sad      2     2",
        "utterances      3     2",
        "  speakers      2     1",
        "",
        "protocol toy-1fold: one fold",
        "fold  train  dev  test  speakers  text overlap train/test",
        "   1      2    1     2     1/1/1                   50.0 %",
    ]
