import random

import pytest

from m4ser.asr.wer import length_bin, report, table, word_errors


@pytest.mark.parametrize(
    ("ref", "hyp", "expected"),
    [
        ("a b c d", "a b c d", (0, 0, 0, 4, 0.0)),
        ("a b c d", "a x c d", (1, 0, 0, 4, 0.25)),
        ("a b c d", "a c d", (0, 1, 0, 4, 0.25)),
        ("a b c d", "a b b c d", (0, 0, 1, 4, 0.25)),
        ("a b c d", "", (0, 4, 0, 4, 1.0)),
        ("a", "x y z", (1, 0, 2, 1, 3.0)),
        ("", "x", (0, 0, 1, 0, None)),
        ("", "", (0, 0, 0, 0, None)),
    ],
)
def test_counts_of_one_pair(ref, hyp, expected):
    assert tuple(word_errors([ref], [hyp]).values()) == expected


def test_errors_are_summed_before_dividing():
    assert word_errors(["a", "b c d"], ["x", "b c d"])["wer"] == 0.25  # not the mean of 1 and 0


def test_agrees_with_jiwer():
    jiwer = pytest.importorskip("jiwer")
    rng = random.Random(1)
    refs = [" ".join(rng.choices("abcde", k=rng.randint(1, 12))) for _ in range(300)]
    hyps = [" ".join(rng.choices("abcde", k=rng.randint(0, 12))) for _ in range(300)]
    found, theirs = word_errors(refs, hyps), jiwer.process_words(refs, hyps)
    assert found["wer"] == pytest.approx(theirs.wer)
    assert found["ins"] - found["del"] == theirs.insertions - theirs.deletions
    assert found["words"] == theirs.hits + theirs.substitutions + theirs.deletions


def test_lengths():
    assert [length_bin(n) for n in (0, 1, 3, 4, 6, 7, 11, 21, 40, 41, 600)] == [
        *("0", "1-3", "1-3", "4-6", "4-6", "7-10", "11-20", "21-40", "21-40", "41+", "41+")
    ]


def make_report():
    refs = {"s1-a": "I'm so happy!", "s1-b": "No.", "s2-a": "Go away.", "s2-b": ""}
    hyps = {"s1-a": "i am so happy", "s1-b": "", "s2-a": "Go a way.", "s2-b": "", "other": "x"}
    emotion = {"s1-a": "happy", "s1-b": "angry", "s2-a": "angry", "s2-b": "angry"}
    return report(refs, hyps, "english", emotion, {utt: utt[:2] for utt in refs})


def test_report_of_four_utterances():
    found = make_report()
    assert found["normaliser"] == "english"
    assert found["utterances"] == 4
    assert found["empty_hypotheses"] == 2
    assert found["wrong_utterances"] == 2  # s1-b, s2-a
    # i am so happy / no / go away: one deletion; "away" -> "a way" is a substitution and an insertion
    assert found["normalised"] == {"sub": 1, "del": 1, "ins": 1, "words": 7, "wer": 3 / 7}
    # I'm so happy! / No. / Go away.: "I'm" -> "i am" (2), "happy!" -> "happy", "No." gone, "away." -> "a way." (2)
    assert found["raw"]["wer"] == 1.0
    assert found["by_emotion"]["happy"]["normalised"]["wer"] == 0
    assert found["by_emotion"]["angry"]["utterances"] == 3
    assert found["by_speaker"]["s2"]["normalised"] == {"sub": 1, "del": 0, "ins": 1, "words": 2, "wer": 1.0}
    assert {key: group["utterances"] for key, group in found["by_length"].items()} == {"0": 1, "1-3": 2, "4-6": 1}
    assert list(found["by_length"]) == ["0", "1-3", "4-6"]


def test_table_is_short_and_says_the_main_things():
    lines = table(make_report() | {"looping_hypotheses": 5}, "all").splitlines()
    assert lines[0] == (
        "all: WER 42.9 % (sub 14.3, del 14.3, ins 14.3) with the english normaliser, 100.0 % raw; "
        "4 utterances, 2 with errors, 2 empty hypotheses, 5 looping"
    )
    assert lines[2].split() == ["angry", "3", "3", "100.0", "100.0"]
    assert lines[4].split() == ["0", "words", "1", "0", "-", "-"]
    assert len(lines) == 7
