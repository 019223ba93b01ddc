import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from m4ser.data import folds as module
from m4ser.data.folds import (
    Fold,
    Folds,
    check_speaker_disjoint,
    choose_dev_speakers,
    speaker_folds,
    split_dev,
)
from m4ser.utils.errors import UserError

UTT2SPK = {f"s{speaker}-{number}": f"s{speaker}" for speaker in range(1, 7) for number in range(2)}
GROUPS = [["s1", "s2"], ["s3", "s4"], ["s5", "s6"]]
GENDER = {"s1": "f", "s2": "m", "s3": "f", "s4": "f", "s5": "m", "s6": "f"}


def make() -> Folds:
    folds = speaker_folds(UTT2SPK, GROUPS, choose_dev_speakers(GROUPS, 2, GENDER))
    return Folds("toy", "three groups", ["all"], ["happy", "sad"], folds)


def test_leave_one_group_out():
    folds = make()
    folds.check(UTT2SPK)
    first = folds.folds["1"]
    assert first.test == ["s1-0", "s1-1", "s2-0", "s2-1"]
    assert first.dev == ["s3-0", "s3-1", "s5-0", "s5-1"]  # the first woman and the first man after group 1
    assert first.train == ["s4-0", "s4-1", "s6-0", "s6-1"]
    assert sorted(utt for fold in folds.folds.values() for utt in fold.test) == sorted(UTT2SPK)


def test_dev_speakers_without_gender_go_round_in_a_circle():
    assert choose_dev_speakers(GROUPS, 1) == {"1": ["s3"], "2": ["s5"], "3": ["s1"]}
    assert choose_dev_speakers({"a": ["x"], "b": ["y"], "c": ["z"]}, 1) == {"a": ["y"], "b": ["z"], "c": ["x"]}
    with pytest.raises(UserError, match=r"fold 1: 1 speakers are too few"):
        choose_dev_speakers([["a"], ["b"]], 1)


@given(st.integers(3, 6), st.integers(1, 4), st.integers(1, 3), st.data())
def test_parts_never_share_speakers(groups, size, count, data):
    speakers = [[f"g{g}s{s}" for s in range(size)] for g in range(groups)]
    gender = {s: data.draw(st.sampled_from("fm")) for group in speakers for s in group}
    utt2spk = {f"{s}-{i}": s for group in speakers for s in group for i in range(2)}
    if (groups - 1) * size <= count:
        return
    folds = Folds("p", "", ["all"], [], speaker_folds(utt2spk, speakers, choose_dev_speakers(speakers, count, gender)))
    folds.check(utt2spk)
    for fold in folds.folds.values():
        assert sorted(fold.train + fold.dev + fold.test) == sorted(utt2spk)


def test_round_trip(tmp_path):
    folds = make()
    folds.write(tmp_path / "folds.json")
    assert Folds.read(tmp_path / "folds.json", UTT2SPK) == folds


def test_shared_speaker_is_refused_when_read_for_training(tmp_path):
    folds = make()
    fold = folds.folds["2"]
    fold.train.append(fold.test.pop())
    folds.write(tmp_path / "folds.json")
    with pytest.raises(UserError, match=r"folds.json: fold 2: train and test share 1 speaker\(s\): s4"):
        Folds.read(tmp_path / "folds.json", UTT2SPK)
    folds.speaker_disjoint = False  # a published split that does so, and says so
    folds.write(tmp_path / "folds.json")
    assert not Folds.read(tmp_path / "folds.json", UTT2SPK).speaker_disjoint


@pytest.mark.parametrize(
    ("fold", "pair"),
    [
        (Fold(["s1-0"], ["s2-0"], ["s1-1"]), "train and test"),
        (Fold(["s1-0"], ["s2-0"], ["s2-1"]), "dev and test"),
        (Fold(["s1-0"], ["s1-1"], ["s2-1"]), "train and dev"),
    ],
)
def test_check_speaker_disjoint(fold, pair):
    with pytest.raises(UserError, match=f"fold 7: {pair} share 1 speaker"):
        check_speaker_disjoint(fold, UTT2SPK, "fold 7")


@pytest.mark.parametrize(
    ("fold", "message"),
    [
        (Fold(["s1-0"], [], ["s2-0"]), "dev is empty"),
        (Fold(["s1-0"], ["s3-0"], ["s2-0", "s2-0"]), "'s2-0' is in test and in test"),
        (Fold(["s1-0"], ["s3-0"], ["s1-0"]), "'s1-0' is in train and in test"),
        (Fold(["s1-0"], ["s3-0"], ["nobody"]), "test has 'nobody', which is not in utt2spk"),
    ],
)
def test_unusable_fold(fold, message):
    with pytest.raises(UserError, match=message):
        Folds("p", "", folds={"1": fold}).check(UTT2SPK)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"folds": {"1": {"train": []}}}', '{"protocol": "p"}'])
def test_damaged_file(tmp_path, content):
    (tmp_path / "folds.json").write_text(content)
    with pytest.raises(UserError, match=r"folds.json: .*run stage 0 again"):
        Folds.read(tmp_path / "folds.json", {})
    with pytest.raises(UserError, match=r"nothing.json: no such file; run stage 0"):
        Folds.read(tmp_path / "nothing.json")


def test_text_overlap():
    text = {"a": "Dogs sit.", "b": "I'm   fine", "c": "dogs sit", "d": "I am fine", "e": "", "f": "..."}
    folds = {
        "half": Fold(["a", "b"], ["d"], ["c", "d", "e"]),  # d is in dev only; e has no transcript
        "nothing said": Fold(["a", "e"], [], ["e", "f"]),
        "unknown": Fold(["a", "x"], [], ["x"]),
        "all": Fold(["c"], [], ["a"]),
    }
    overlap = Folds("p", "", folds=folds).text_overlap(text)
    assert overlap == {"half": 0.5, "nothing said": 0.0, "unknown": 0.0, "all": 1.0}


def test_text_overlap_normalises_each_text_once(monkeypatch):
    normalised = []
    original = module.bare_words
    monkeypatch.setattr(module, "bare_words", lambda text: normalised.append(text) or original(text))
    text = {utt: f"Words of speaker {speaker}." for utt, speaker in UTT2SPK.items()}
    assert set(make().text_overlap(text).values()) == {0.0}
    assert sorted(normalised) == sorted(set(text.values()))


def test_dev_of_the_training_speakers():
    fold = Fold(["s1-0"], ["s1-1"], ["s2-0"])
    Folds("two speakers", "", folds={"1": fold}, dev_speaker_disjoint=False).check(UTT2SPK)
    for part in ("train", "dev"):
        leaky = Fold(list(fold.train), list(fold.dev), list(fold.test))
        getattr(leaky, part).append("s2-1")
        with pytest.raises(UserError, match=f"{part} and test share 1 speaker"):
            Folds("two speakers", "", folds={"1": leaky}, dev_speaker_disjoint=False).check(UTT2SPK)


def test_dev_without_speakers_has_every_class():
    utts = {f"{emotion}{number:02d}": emotion for emotion in "ab" for number in range(10)}
    train, dev = split_dev(reversed(utts), utts, every=5)
    assert dev == ["a04", "a09", "b04", "b09"]
    assert sorted(train + dev) == sorted(utts)
    few = {"a1": "a", "a2": "a", "a3": "a", "b1": "b"}
    assert split_dev(few, few) == (["a1", "a2", "b1"], ["a3"])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"sets": None}, "sets: must be a list of different names, one at least, not None"),
        ({"sets": []}, "sets: must be a list of different names, one at least, not []"),
        ({"sets": ["a", "a"]}, "sets: must be a list of different names, one at least, not ['a', 'a']"),
        ({"sets": ["../a"]}, "sets: 0: must be a name, without / and line breaks, not '../a'"),
        ({"labels": "happy"}, "labels: must be a list of texts, not 'happy'"),
        ({"folds": None}, "folds: must be a mapping, not None"),
        ({"folds": []}, "folds: must be a mapping, not []"),
        ({"folds": {"1": []}}, "folds: 1: must be a mapping, not []"),
        ({"folds": {"1": {"train": [], "dev": []}}}, "folds: 1: test: is missing"),
        (
            {"folds": {"a/b": {"train": [], "dev": [], "test": []}}},
            "folds: a/b: must be a name, without / and line breaks",
        ),
        ({"folds": {"1": {"train": [1], "dev": [], "test": []}}}, "folds: 1: train: 0: must be text, not 1"),
        ({"speaker_disjoint": "yes"}, "speaker_disjoint: must be true or false, not 'yes'"),
        ({"protocol": 3}, "protocol: must be text, not 3"),
        ({"fold": {}}, "unknown key 'fold'; did you mean folds?"),
    ],
)
def test_values_of_another_type(tmp_path, change, says):
    path = tmp_path / "folds.json"
    whole = {"protocol": "p", "description": "", "sets": ["all"], "labels": ["a"], "folds": {}}
    path.write_text(json.dumps({**whole, **change}))
    with pytest.raises(UserError) as refused:
        Folds.read(path)
    assert str(refused.value) == f"{path}: damaged ({says}); delete it and run stage 0 again"
