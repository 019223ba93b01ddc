"""The letters of a transcript, which the CTC objective recognises."""

from collections.abc import Sequence

import numpy as np

BLANK = 0
ALPHABET = " abcdefghijklmnopqrstuvwxyz'0123456789"
OTHER = len(ALPHABET) + 1  # any letter that is not in the alphabet
NUM_LETTERS = len(ALPHABET) + 2


def letters(words: Sequence[str]) -> np.ndarray:
    """Indices of the letters of a sentence, 1 or more each; other letters share one index.

    >>> letters(["a", "bé"]).tolist()
    [2, 1, 3, 39]
    """
    index = {letter: i for i, letter in enumerate(ALPHABET, 1)}
    return np.array([index.get(letter, OTHER) for letter in " ".join(words)], dtype=np.int64)
