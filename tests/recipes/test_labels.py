import runpy
from pathlib import Path

import pytest

from m4ser.recipes.labels import COMMON, common_map, to_common

ROOT = Path(__file__).resolve().parents[2]
FOUR = {"angry", "happy", "neutral", "sad"}
# Classes of the recipes that have no counterpart, and those that have one under another name.
WITHOUT = {
    *("anxiety", "anxious", "boredom", "bored", "calm", "contempt", "disgust", "disgusted", "fear", "fearful"),
    *("frustrated", "pleasant surprise", "pleasant_surprise", "ps", "surprise", "surprised", "negative", "positive"),
}


@pytest.mark.parametrize(
    ("corpus", "given", "expected"),
    [
        ("ravdess", "neutral calm happy sad angry fearful disgust surprised", "neutral - happy sad angry - - -"),
        ("iemocap", "angry excited frustrated happy neutral sad", "angry happy - happy neutral sad"),
        ("meld", "anger disgust fear joy neutral sadness surprise", "angry - - happy neutral sad -"),
        ("meld", "negative neutral positive", "- neutral -"),  # no emotion and no sentiment are the same lines there
        ("msp_podcast", "angry contempt disgust fear happy neutral sad surprise", "angry - - - happy neutral sad -"),
        ("msp_improv", "angry happy neutral sad", "angry happy neutral sad"),
        ("cmu_mosei", "anger disgust fear happy sad surprise", "angry - - happy sad -"),
        ("cmu_mosei", "negative neutral positive", "- - -"),
        ("emodb", "anger boredom disgust fear happiness neutral sadness", "angry - - - happy neutral sad"),
        ("nemo", "anger fear happiness neutral sadness surprised", "angry - happy neutral sad -"),
        ("tess", "angry disgust fear happy ps neutral sad", "angry - - happy - neutral sad"),
        ("savee", "anger disgust fear happiness neutral sadness surprise", "angry - - happy neutral sad -"),
        ("esd", "Angry Happy Neutral Sad Surprise", "angry happy neutral sad -"),
    ],
)
def test_maps(corpus, given, expected):
    assert [to_common(corpus, label) or "-" for label in given.split()] == expected.split()


def test_only_what_has_a_counterpart():
    assert common_map("meld", ["anger", "fear", "joy"]) == {"anger": "angry", "joy": "happy"}
    assert set(COMMON) == FOUR


def flat(value):
    """Strings in nested lists, tuples and the values of dicts."""
    if isinstance(value, str):
        return {value}
    return set().union(*(flat(inner) for inner in (value.values() if isinstance(value, dict) else value)))


# The classes of these are those of the user's table and of the corpora that are crossed.
CROSSED = ("csv", "cross_corpus", "default_model")
RECIPES = [p.parts[-3] for p in sorted(ROOT.glob("egs/*/local/prepare.py")) if p.parts[-3] not in CROSSED]


@pytest.mark.parametrize("corpus", RECIPES)
def test_no_label_of_a_recipe_is_forgotten(corpus):
    """Every class of every recipe is either mapped or known to have no counterpart."""
    defined = runpy.run_path(str(ROOT / "egs" / corpus / "local/prepare.py"))
    found = flat(next(defined[name] for name in ("LABELS", "CLASSES", "EMOTIONS") if name in defined))
    assert len(found) > 1
    for label in found:
        assert to_common(corpus, label) or label.casefold() in WITHOUT | {"neutral"}, label
