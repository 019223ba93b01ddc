"""What attention-based recognisers make up: a phrase said over and over again, or more than anybody can say.

Two rules, in this order. A phrase that comes more than `MAX_REPEATS` times in direct succession, these making more
than `MAX_WORDS` words, is kept once; a piece of it that ends the text (the length limit of the recogniser) goes too.
Case and punctuation do not matter. "No, no, no, no, no!" stays as it is: people do say that. Then, of a text with more
words than `FREE_WORDS` and `MAX_RATE` for each second of audio, only that many are kept, from its beginning. Fast
speech has five to six words a second; the free words are for clips cut tightly around a word or two.
"""

import string
from collections.abc import Sequence

MAX_REPEATS = 4
MAX_WORDS = 8
MAX_RATE = 8  # words a second
FREE_WORDS = 4
RULE = (
    f"a phrase more than {MAX_REPEATS} times in direct succession, over more than {MAX_WORDS} words, is kept once; "
    f"then at most {FREE_WORDS} + {MAX_RATE} words for each second are kept"
)


def possible_words(words: Sequence[str], seconds: float) -> list[int]:
    """Places of the words that both rules keep, of what was recognised in so many seconds.

    >>> possible_words("I know. I know. I know. I know. I know. so".split(), 9.0)
    [0, 1, 10]
    >>> possible_words("one two three four five six seven".split(), 0.25)
    [0, 1, 2, 3, 4, 5]
    """
    return without_loops(words)[: FREE_WORDS + int(MAX_RATE * seconds)]


def without_loops(words: Sequence[str]) -> list[int]:
    """Places of the words that the first rule keeps.

    >>> without_loops(("I know. " * 30 + "I").split())
    [0, 1]
    """
    plain = [word.lower().strip(string.punctuation + "…’“”") or word for word in words]
    kept: list[int] = []
    position = 0
    while position < len(words):
        size, end = _loop(plain, position)
        kept.extend(range(position, position + size))
        position = end
    return kept


def _loop(plain: list[str], start: int) -> tuple[int, int]:
    """Words of the shortest phrase that loops from `start`, and where the loop ends; (1, start + 1) if none does."""
    for size in range(1, (len(plain) - start) // (MAX_REPEATS + 1) + 1):
        end = start + size
        while end < len(plain) and plain[end] == plain[end - size]:
            end += 1
        repeats = (end - start) // size
        if repeats > MAX_REPEATS and repeats * size > MAX_WORDS:
            return size, end if end == len(plain) else start + repeats * size
    return 1, start + 1
