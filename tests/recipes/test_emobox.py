"""Folds of a clone of EmoBox."""

import json
from pathlib import Path

import pytest

from m4ser.data.datadir import Utterance
from m4ser.recipes.emobox import emobox_folds
from m4ser.utils.errors import UserError

# Two speakers, ten recordings of each emotion and speaker.
UTTERANCES = [
    Utterance(f"{speaker}-{emotion}{number}", Path(f"wav/{speaker}{emotion}{number}.wav"), speaker, emotion)
    for speaker in "ab"
    for emotion in ("happy", "sad")
    for number in range(10)
]


@pytest.fixture
def clone(tmp_path):
    """Fold 1 trains on speaker a and tests on b; fold 2 tests some recordings of both."""

    def write(fold, part, stems):
        lines = [json.dumps({"key": stem, "wav": f"downloads/toy/wav/{stem}.wav"}) for stem in stems]
        path = tmp_path / f"data/toy/fold_{fold}/toy_{part}_fold_{fold}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n")
        return path

    stems = [utt.audio.stem for utt in UTTERANCES]
    write(1, "train", stems[:20])
    write(1, "test", stems[20:])
    write(2, "train", stems[5:30])
    write(2, "test", stems[:5] + stems[30:])
    return write, tmp_path


def test_dev_is_each_tenth_training_utterance_of_each_class(clone):
    folds = emobox_folds(clone[1], "toy", UTTERANCES)
    assert folds.protocol == "toy-emobox-2fold" and list(folds.folds) == ["1", "2"]
    first = folds.folds["1"]
    assert first.dev == ["a-happy9", "a-sad9"] and len(first.train) == 18
    assert first.test == sorted(utt.utt_id for utt in UTTERANCES if utt.speaker == "b")
    assert not folds.speaker_disjoint and "shares 2 speakers between training and test" in folds.description


def test_names_that_differ_from_the_files(clone):
    renamed = [Utterance(utt.utt_id, Path("x.wav"), utt.speaker, utt.emotion) for utt in UTTERANCES]
    folds = emobox_folds(clone[1], "toy", renamed, stem_of=lambda utt: utt.utt_id.replace("-", ""))
    assert folds == emobox_folds(clone[1], "toy", UTTERANCES)


def test_what_is_missing_is_named(clone):
    write, folder = clone
    with pytest.raises(UserError, match=r"has no data/other/fold_1/other_train_fold_1\.jsonl; give a clone"):
        emobox_folds(folder, "other", UTTERANCES)
    path = write(1, "test", ["bhappy0", "nobody"])
    with pytest.raises(UserError, match=rf"{path}: line 2: the corpus has no recording nobody; copy the whole"):
        emobox_folds(folder, "toy", UTTERANCES)
    path.write_text("{}\n")
    with pytest.raises(UserError, match=rf"{path}: cannot be read \('wav'\); clone EmoBox again"):
        emobox_folds(folder, "toy", UTTERANCES)
