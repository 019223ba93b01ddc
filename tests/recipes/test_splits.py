from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from m4ser.data.datadir import Utterance
from m4ser.recipes.splits import automatic_folds, folds_of_split, group_speakers, leave_groups_out
from m4ser.utils.errors import UserError


def corpus(*numbers):
    """Speakers a, b, ... with so many utterances, every second one sad."""
    utt2spk = {f"{chr(97 + s)}-{i:02d}": chr(97 + s) for s, number in enumerate(numbers) for i in range(number)}
    return utt2spk, {utt: ("sad", "happy")[int(utt[2:]) % 2] for utt in utt2spk}


def test_groups_are_alike():
    utt2spk, _ = corpus(9, 1, 5, 5, 2, 2)
    assert group_speakers(utt2spk, 3) == [["a", "b"], ["c", "e"], ["d", "f"]]
    gender = dict(zip("abcdef", "ffmmff", strict=True))
    assert [Counter(gender[s] for s in group)["m"] for group in group_speakers(utt2spk, 2, gender)] == [1, 1]
    shuffled = dict(sorted(utt2spk.items(), key=lambda item: item[0][::-1]))
    assert group_speakers(shuffled, 3) == group_speakers(utt2spk, 3)


@given(st.lists(st.integers(2, 9), min_size=3, max_size=26), st.integers(2, 6), st.randoms())
def test_automatic_folds_are_speaker_disjoint_and_test_everyone_once(numbers, count, random):
    utt2spk, utt2emo = corpus(*numbers)
    gender = {speaker: random.choice("fm") for speaker in set(utt2spk.values())}
    folds = automatic_folds("my", utt2spk, utt2emo, count, gender)
    folds.check(utt2spk)
    assert folds.speaker_disjoint and folds.dev_speaker_disjoint
    assert len(folds.folds) == (3 if len(numbers) == 3 else min(count, len(numbers)))
    assert sorted(utt for fold in folds.folds.values() for utt in fold.test) == sorted(utt2spk)


def test_two_speakers():
    utt2spk, utt2emo = corpus(30, 20)
    folds = automatic_folds("my", utt2spk, utt2emo)
    folds.check(utt2spk)
    assert (folds.protocol, folds.speaker_disjoint, folds.dev_speaker_disjoint) == ("my-2fold", True, False)
    assert {utt[0] for utt in folds.folds["1"].test} == {"a"}
    assert folds.folds["1"].dev == ["b-18", "b-19"]
    utt2spk, utt2emo = corpus(1, 9)
    with pytest.raises(UserError, match="fold 2: dev is empty; recordings are too few"):
        automatic_folds("my", utt2spk, utt2emo).check(utt2spk)
    with pytest.raises(UserError, match="has one speaker only"):
        automatic_folds("my", *corpus(9))


def test_a_given_split():
    utt2spk, utt2emo = corpus(2, 2, 2)
    part = {"a": "train", "b": "dev", "c": "test"}
    folds = folds_of_split("my-split", {utt: part[utt[0]] for utt in utt2spk}, utt2spk, utt2emo)
    folds.check(utt2spk)
    assert (folds.folds["1"].dev, folds.folds["1"].test) == (["b-00", "b-01"], ["c-00", "c-01"])
    assert folds.speaker_disjoint and folds.dev_speaker_disjoint


def test_dev_from_train():
    utt2spk, utt2emo = corpus(*[2] * 11)
    parts = {utt: "test" if utt[0] == "k" else "train" for utt in utt2spk}
    folds = folds_of_split("my", parts, utt2spk, utt2emo)
    folds.check(utt2spk)
    assert {utt[0] for utt in folds.folds["1"].dev} == {"a", "i"} and folds.dev_speaker_disjoint
    utt2spk, utt2emo = corpus(40, 2)
    folds = folds_of_split("my", {utt: "test" if utt[0] == "b" else "train" for utt in utt2spk}, utt2spk, utt2emo)
    folds.check(utt2spk)
    assert len(folds.folds["1"].dev) == 4 and not folds.dev_speaker_disjoint


def test_a_split_that_shares_speakers():
    utt2spk, utt2emo = corpus(3, 3, 3)
    parts = {utt: ("train", "dev", "test")[int(utt[2:])] for utt in utt2spk}
    with pytest.raises(UserError, match=r"my: 3 of 3 test speakers are in train or dev too, e.g. a; correct column"):
        folds_of_split("my", parts, utt2spk, utt2emo)
    folds = folds_of_split("my", parts, utt2spk, utt2emo, shared=True)
    folds.check(utt2spk)
    assert not folds.speaker_disjoint and "shares 3 of 3 test speakers" in folds.description
    parts = {utt: "test" if utt[0] == "c" else parts[utt].replace("test", "train") for utt in utt2spk}
    folds = folds_of_split("my", parts, utt2spk, utt2emo)
    folds.check(utt2spk)
    assert folds.speaker_disjoint and not folds.dev_speaker_disjoint and "dev shares speakers" in folds.description


def test_groups_test_in_turn():
    utts = [Utterance(f"{s}-{n}", Path("x.wav"), s, "sad") for s in "abcd" for n in (2, 1)]
    folds = leave_groups_out("my-2fold", "two pairs", utts, [["a", "b"], ["c", "d"]], dev=1)
    assert (folds.protocol, folds.description, list(folds.folds)) == ("my-2fold", "two pairs", ["1", "2"])
    first = folds.folds["1"]
    assert (first.train, first.dev, first.test) == (["d-1", "d-2"], ["c-1", "c-2"], ["a-1", "a-2", "b-1", "b-2"])
    chosen = leave_groups_out("p", "", utts, {"x": ["a"], "y": ["b"]}, dev={"x": ["d"], "y": ["c"]})
    assert chosen.folds["x"].dev == ["d-1", "d-2"] and chosen.folds["y"].train == ["a-1", "a-2", "d-1", "d-2"]
    gender = {"a": "f", "b": "f", "c": "f", "d": "m"}
    mixed = leave_groups_out("p", "", utts, [["a"], ["b"], ["c"], ["d"]], dev=2, gender=gender)
    assert mixed.folds["1"].dev == ["b-1", "b-2", "d-1", "d-2"]  # the first woman and the first man that follow
