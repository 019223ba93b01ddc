import pytest

from m4ser.asr.hallucination import possible_words, without_loops


def kept(text):
    words = text.split()
    return " ".join(words[place] for place in without_loops(words))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no",
        "No, no, no, no, no, no, no, no!",  # eight words: not more than MAX_WORDS
        "dogs are sitting by the door " * 4,  # four times: not more than MAX_REPEATS
        "a b " * 4 + "c d e f g h",
    ],
)
def test_left_alone(text):
    assert kept(text) == " ".join(text.split())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no " * 9, "no"),
        ("Dogs are sitting. " * 5, "Dogs are sitting."),
        ("Thank you. " * 40 + "Thank", "Thank you."),  # the length limit cut the last one
        ("well I know. i know, " + "I KNOW " * 4 + "it now", "well I know. it now"),
        ("a b c " + "x y " * 5 + "d " * 12 + "e", "a b c x y d e"),
        ("... " * 20, "..."),
    ],
)
def test_kept_once(text, expected):
    assert kept(text) == expected


def test_the_rest_of_a_loop_stays_in_the_middle_of_a_text():
    """`a b` five times, then an `a` that belongs to what follows."""
    assert kept("a b " * 5 + "a c") == "a b a c"


@pytest.mark.parametrize(
    ("count", "seconds", "kept"), [(4, 0.0, 4), (5, 0.0, 4), (12, 1.0, 12), (13, 1.0, 12), (13, 1.12, 12), (0, 0.0, 0)]
)
def test_more_words_than_can_be_said(count, seconds, kept):
    words = [f"w{i}" for i in range(count)]
    assert possible_words(words, seconds) == list(range(kept))
