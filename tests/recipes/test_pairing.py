"""Pairs of recordings and lines: who gets which lines, folds, and that no text is on two sides."""

import random
from collections import Counter

import pytest

from m4ser.data.datadir import DataDir, Utterance
from m4ser.data.folds import Fold, Folds, bare_words, choose_dev_speakers, speaker_folds
from m4ser.recipes.pairing import CLIPS, LINES, deal, draw, lines_of_parts, protocol, read_side
from m4ser.utils.errors import UserError

SAME = {"joy": "joy", "anger": "anger"}
WORDS = {"happy": "joy", "angry": "anger"}
# part: texts of joy; the same ones with "no" are anger. One of train is in test, one in dev, but for case and signs.
TEXTS = {
    "train": ["Great!", "I WON", "so nice", "what fun", "a party", "come in"],
    "dev": ["I won.", "a gift", "we did it", "dance", "okay?"],
    "test": ["great", "at last", "a baby", "okay"],
}


def write(root, utts, folds):
    """A recipe's folder as its stages 0 and 1 leave it."""
    by_set = {}
    for utt in utts:
        by_set.setdefault(utt.set, []).append(utt)
    for name, of_set in by_set.items():
        DataDir.write(root / "data" / name, of_set)
        DataDir.write(root / "dump/audio" / name, of_set)
    (root / "dump/audio/.done").write_text("{}")
    folds.sets = sorted(by_set)
    folds.write(root / "data/folds.json")


@pytest.fixture
def root(tmp_path):
    """`voices`: four speakers who say each emotion twice, calm too; `lines`: those of TEXTS."""
    clips = [
        Utterance(f"s{s}-{e}{k}", tmp_path / "a.flac", f"s{s}", e, "kids talk", extra={"utt2gender": "female"})
        for s in range(4)
        for e in ("happy", "angry", "calm")
        for k in range(2)
    ]
    groups = [[f"s{s}"] for s in range(4)]
    folds = speaker_folds({u.utt_id: u.speaker for u in clips}, groups, choose_dev_speakers(groups, 1))
    write(tmp_path / "voices", clips, Folds("v-4fold", "", labels=["angry", "calm", "happy"], folds=folds))
    lines = [
        Utterance(f"x-{part}{e}{k}", tmp_path / "b.flac", "x", e, f"{'no ' if e == 'anger' else ''}{text}", set=part)
        for part, texts in TEXTS.items()
        for e in ("joy", "anger")
        for k, text in enumerate(texts)
    ]
    parts = {part: sorted(u.utt_id for u in lines if u.set == part) for part in TEXTS}
    write(tmp_path / "lines", lines, Folds("w-1", "", labels=["anger", "joy"], folds={"1": Fold(**parts)}))
    return tmp_path


@pytest.fixture
def sides(root):
    return read_side("voices", root, "--voices", WORDS), read_side("lines", root, "--words", SAME)


def test_classes_and_texts(sides):
    voices, words = sides
    assert Counter(utt.emotion for utt in voices.utterances.values()) == {"joy": 8, "anger": 8}  # no calm
    assert words.utterances["x-testjoy1"].text == "at last"


def test_no_text_is_in_two_parts(sides):
    lines = lines_of_parts(sides[1])
    assert [line for line in lines["train"] if "joy" in line] == [f"x-trainjoy{k}" for k in (2, 3, 4, 5)]
    assert [line for line in lines["dev"] if "joy" in line] == [f"x-devjoy{k}" for k in (0, 1, 2, 3)]
    assert len(lines["test"]) == 8


def test_each_clip_has_lines_of_its_part_in_each_fold(sides):
    voices, words = sides
    pairs, folds = draw(voices, words, 3, seed=1)
    by_id = {pair.utt_id: pair for pair in pairs}
    assert len(by_id) == len(pairs)
    pair = by_id[folds["1"].test[0]]
    assert pair.utt_id.startswith("s0-angry0+x-testanger") and pair.speaker == "s0"
    assert (pair.extra[CLIPS], pair.text) == ("s0-angry0", words.utterances[pair.extra[LINES]].text)
    assert pair.extra["utt2gender"] == "female"
    for name, fold in voices.folds.folds.items():
        own = folds[name]
        for part in ("train", "dev", "test"):
            of_part = [by_id[utt] for utt in getattr(own, part)]
            clips = Counter(pair.extra[CLIPS] for pair in of_part)
            assert clips == dict.fromkeys((utt for utt in getattr(fold, part) if "calm" not in utt), 3)
            assert all(pair.extra[LINES].startswith(f"x-{part}{pair.emotion}") for pair in of_part)
            assert len({(pair.extra[CLIPS], pair.extra[LINES]) for pair in of_part}) == len(of_part)
    whole = Folds("p", "", folds=folds)
    whole.check({pair.utt_id: pair.speaker for pair in pairs})
    assert whole.text_overlap({pair.utt_id: pair.text for pair in pairs}) == dict.fromkeys("1234", 0.0)
    for fold in folds.values():
        texts = [{bare_words(by_id[utt].text) for utt in part} for part in (fold.train, fold.dev, fold.test)]
        assert not texts[0] & texts[1] and not texts[1] & texts[2]


def test_the_seed_decides_alone(sides):
    voices, words = sides
    assert draw(voices, words, 3, seed=1)[1] == draw(voices, words, 3, seed=1)[1]
    assert draw(voices, words, 3, seed=1)[1] != draw(voices, words, 3, seed=2)[1]
    fewer = {pair.utt_id for pair in draw(voices, words, 2, seed=1)[0]}
    assert fewer < {pair.utt_id for pair in draw(voices, words, 3, seed=1)[0]}


def test_only_pairs_that_a_fold_uses(sides):
    voices, words = sides
    voices.folds.folds = {"2": voices.folds.folds["2"]}
    pairs, folds = draw(voices, words, 2, seed=1)
    fold = folds["2"]
    assert sorted(pair.utt_id for pair in pairs) == sorted([*fold.train, *fold.dev, *fold.test])


def test_lines_are_dealt_equally_often():
    clips, lines = [f"c{k}" for k in range(7)], [f"l{k}" for k in range(5)]
    dealt = deal(clips, lines, 4, random.Random(1))
    assert all(len(set(own)) == 4 for own in dealt.values())
    counts = Counter(line for own in dealt.values() for line in own)
    assert sum(counts.values()) == 28 and max(counts.values()) - min(counts.values()) <= 2


def test_what_folds_json_keeps(sides, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    voices, words = sides
    folds = protocol(voices, words, 3, 2, draw(voices, words, 3, seed=2)[1])
    assert folds.protocol == "pairs-3-v-4fold-w-1-seed2"
    assert "voice and words come from different people" in folds.description
    assert "6 of 30 lines are left out because their text is in a later part" in folds.description
    folds.write(tmp_path / "folds.json")
    assert Folds.read(tmp_path / "folds.json").paired == {
        "voices": {"data": "voices/data", "dump": "voices/dump", "protocol": "v-4fold"},
        "words": {"data": "lines/data", "dump": "lines/dump", "protocol": "w-1"},
    }


def test_faults(sides, root):
    voices, words = sides
    with pytest.raises(UserError, match=r"lines/data: train, anger: there are 4 lines for 5 of a clip; prepare more"):
        draw(voices, words, 5, seed=1)
    with pytest.raises(UserError, match=r"voices/data/folds\.json: has 4 folds; the lines of pairs come from a corpus"):
        lines_of_parts(voices)
    with pytest.raises(UserError, match=r"^--words lines: has none of the labels bored; choose another corpus"):
        read_side("lines", root, "--words", {"bored": "bored"})
    (root / "lines/dump/audio/.done").unlink()
    with pytest.raises(UserError, match=r"lines/dump/audio/\.done: no such file; run stages 0 to 2 .* correct --words"):
        read_side("lines", root, "--words", SAME)
