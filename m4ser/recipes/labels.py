"""The four classes that most corpora share, for training on one corpus and testing on another."""

from collections.abc import Iterable

COMMON = ("angry", "happy", "neutral", "sad")

# What corpora call them. Anything else (fear, calm, boredom, ...) has no counterpart.
_NAMES = {
    "angry": ("angry", "anger", "ang", "hot anger"),
    "happy": ("happy", "happiness", "hap", "joy", "joyful"),
    "neutral": ("neutral", "neu"),
    "sad": ("sad", "sadness"),
}
_SAME = {name: common for common, names in _NAMES.items() for name in names}

# Where a corpus differs, by the name of its recipe.
_BY_CORPUS: dict[str, dict[str, str | None]] = {
    "iemocap": {"excited": "happy", "exc": "happy"},  # as in the usual 4 classes
    "cmu_mosei": {"neutral": None},  # a sentiment of 0, not an emotion
}


def to_common(corpus: str, label: str) -> str | None:
    """The common class of a corpus' label, None if it has no counterpart.

    >>> to_common("meld", "joy"), to_common("iemocap", "excited"), to_common("ravdess", "calm")
    ('happy', 'happy', None)
    """
    label = label.casefold()
    common_classes = _BY_CORPUS.get(corpus, {})
    return common_classes[label] if label in common_classes else _SAME.get(label)


def common_map(corpus: str, labels: Iterable[str]) -> dict[str, str]:
    """`{label: common class}` for those of a corpus' labels that have a counterpart."""
    return {label: common for label in labels if (common := to_common(corpus, label))}
