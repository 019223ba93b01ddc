import random

import pytest

from m4ser.asr.normalise import normaliser
from m4ser.utils.errors import UserError


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("Kids are talking by the door.", "kids are talking by the door"),
        ("  I don't...   KNOW!\n", "i do not know"),
        ("Um, twenty-three dollars [LAUGHTER] (sighs)", "$23"),
        ("Mr. Grüße at the café", "mister grusse at the cafe"),
        ("it's you're we'll", "it is you are we will"),
        ("Oh no, 'tis eleven o'clock... O God", "oh no tis 11 o'clock o god"),  # not zeros
        ("She’s – gone!", "she is gone"),  # typographic apostrophe; no word without a letter or digit
        ("colour", "colour"),  # British spelling stays
        ("", ""),
        (" ... ", ""),
    ],
)
def test_english(text, normal):
    assert normaliser("english")(text) == normal


def test_basic_keeps_letters_of_all_languages():
    assert normaliser("basic")("¿Qué? Größe, <hm> twenty-three don't") == "qué größe twenty three don t"


def test_none_changes_white_space_only():
    assert normaliser("none")("  Don't  [x]\tGo. ") == "Don't [x] Go."


def test_unknown_name_lists_the_known():
    with pytest.raises(UserError, match="--normaliser whisper: unknown; choose one of english, basic, none"):
        normaliser("whisper")


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("Oh no!", "oh no"),
        ("Oh-oh, O my!", "oh oh o my"),
        ("'Oh'", "oh"),
        ("It's eleven o'clock.", "it is 11 o'clock"),
        ("11 O’Clock", "11 o'clock"),
        ("O'Brien in Ohio", "o brien in ohio"),
    ],
)
def test_interjections_are_not_numbers(text, normal):
    assert normaliser("english")(text) == normal
    assert normaliser("english")(normal) == normal


@pytest.mark.parametrize("name", ["english", "basic"])
def test_nothing_remains_of_words_without_letters(name):
    assert normaliser(name)("Wait ... - $ %") == "wait"


def test_typographic_apostrophe():
    assert normaliser("english")("I don’t") == normaliser("english")("I don't") == "i do not"


def test_rules_are_those_of_transformers():
    """By which models of earlier versions were trained; without the words that are kept here and are numbers there."""
    from transformers.models.whisper.english_normalizer import (
        BasicTextNormalizer,
        EnglishNumberNormalizer,
        EnglishTextNormalizer,
    )

    words = sorted(EnglishNumberNormalizer().words - {"o", "oh"})
    words += "don't I'm gonna [LAUGH] (oh) $ 20 1,000 3.5 % £5 Mrs. hmm colour café 's y'all 2nd ½ Æ €10 -5".split()
    rng = random.Random(0)
    for _ in range(300):
        text = " ".join(rng.choice(words) for _ in range(rng.randint(1, 9)))
        for name, rules in (("english", EnglishTextNormalizer({})), ("basic", BasicTextNormalizer())):
            kept = [word for word in rules(text).split() if any(map(str.isalnum, word))]
            assert normaliser(name)(text) == " ".join(kept), text
