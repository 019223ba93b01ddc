import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from m4ser.asr.alignment import CHANGE, DELETE, KEEP, Edits, align, apply_edits, from_line, to_line, word_differences


@pytest.mark.parametrize(
    ("hypothesis", "reference", "tags", "changes"),
    [
        ("", "", "D", ()),
        ("", "i am", "C", ((0, "i am"),)),
        ("oh no", "", "DDDDD", ()),
        ("a b", "a b", "DKDKD", ()),
        ("a x c", "a b c", "DKDDCKD", ((4, "b"),)),  # substitution: on the dummy of the next kept word
        ("a c", "a b b c", "DKCKD", ((2, "b b"),)),  # deletion of two words
        ("a b c", "a c", "DKDDDKD", ()),  # insertion
        ("b", "a b", "CKD", ((0, "a"),)),
        ("a", "a b c", "DKC", ((2, "b c"),)),  # trailing run: last dummy
        ("a x y", "a b", "DKDDDDC", ((6, "b"),)),
        ("i was so happy", "i am so happy today", "DKDDCKDKC", ((4, "am"), (8, "today"))),
    ],
)
def test_hand_made_pairs(hypothesis, reference, tags, changes):
    edits = align(hypothesis.split(), reference.split())
    assert edits == Edits(tags, changes)
    assert apply_edits(hypothesis.split(), edits) == reference.split()


def longest_common(a, b):
    """Length of the longest common subsequence by the textbook table."""
    row = [0] * (len(b) + 1)
    for x in a:
        diagonal = 0
        for j, y in enumerate(b, 1):
            diagonal, row[j] = row[j], diagonal + 1 if x == y else max(row[j], row[j - 1])
    return row[-1]


def check(hypothesis, reference):
    edits = align(hypothesis, reference)
    assert len(edits.tags) == 2 * len(hypothesis) + 1
    assert set(edits.tags[::2]) <= {DELETE, CHANGE}
    assert set(edits.tags[1::2]) <= {DELETE, KEEP}
    assert apply_edits(hypothesis, edits) == reference
    assert edits.tags.count(KEEP) == longest_common(hypothesis, reference)
    for slot, _ in edits.changes:  # just before a kept word, or last
        assert slot == len(edits.tags) - 1 or edits.tags[slot + 1] == KEEP
    assert from_line(to_line(hypothesis, edits)) == (hypothesis, edits)


def test_ten_thousand_random_pairs():
    rng = random.Random(1)
    for number in range(10_000):
        vocabulary = [f"w{i}" for i in range(rng.choice((1, 2, 5, 20)))]
        longest = 90 if number % 500 == 0 else 12  # more than 64: another branch of the bit-parallel algorithm
        check(rng.choices(vocabulary, k=rng.randint(0, longest)), rng.choices(vocabulary, k=rng.randint(0, longest)))


WORDS = st.lists(
    st.one_of(st.sampled_from("a b c".split()), st.text(min_size=1, max_size=3).filter(lambda w: w.split() == [w])),
    max_size=12,
)


@settings(max_examples=500)
@given(WORDS, WORDS)
@example(["a", '"', "\\"], ["\\", "ü", "😀"])
def test_any_pair_of_word_lists(hypothesis, reference):
    check(hypothesis, reference)


def test_a_line_is_one_line_of_plain_json():
    words = "wie geht's größe".split()
    assert to_line(words, align(words, ["wie", "geht's", "dir"])) == (
        '{"words": ["wie", "geht\'s", "größe"], "tags": "DKDKDDC", "changes": [[6, "dir"]]}'
    )


@pytest.mark.parametrize(
    ("edits", "why"),
    [
        (Edits("DKD", ()), "3 tags for 2 words"),
        (Edits("DKDCD", ((3, "b"),)), "a dummy can be D or C"),
        (Edits("KKDKD", ()), "a dummy can be D or C"),
        (Edits("DKCKD", ()), "do not fit the tags"),
        (Edits("DKDKD", ((2, "b"),)), "do not fit the tags"),
    ],
)
def test_edits_of_something_else(edits, why):
    with pytest.raises(ValueError, match=why):
        apply_edits(["a", "b"], edits)


@pytest.mark.parametrize("line", ["", "a b", "[]", '{"words": ["a"]}', '{"words": [], "tags": "C", "changes": [0]}'])
def test_a_line_that_holds_no_edits(line):
    with pytest.raises(ValueError, match="not edits"):
        from_line(line)


def test_word_differences():
    assert word_differences("i am so happy", "am so so harpy") == [
        ("delete", "i", ""), ("equal", "am so", "am so"), ("insert", "", "so"), ("replace", "happy", "harpy"),
    ]  # fmt: skip
    assert word_differences("gone", "") == [("delete", "gone", "")]
    assert word_differences("", "") == []
