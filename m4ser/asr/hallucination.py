"""Looping output, the commonest hallucination of attention-based recognisers: a phrase said over and over again.

The rule: a phrase that comes more than `MAX_REPEATS` times in direct succession, these making more than `MAX_WORDS`
words, is kept once; a piece of it that ends the text (the length limit of the recogniser) goes too. Case and
punctuation do not matter. "No, no, no, no, no!" stays as it is: people do say that.
"""

import string

MAX_REPEATS = 4
MAX_WORDS = 8
RULE = f"a phrase more than {MAX_REPEATS} times in direct succession, over more than {MAX_WORDS} words, is kept once"


def cut_loops(text: str) -> tuple[str, bool]:
    """Apply the rule; returns the text and whether it looped.

    >>> cut_loops("I know. " * 30 + "I")
    ('I know.', True)
    """
    words = text.split()
    plain = [word.lower().strip(string.punctuation + "…’“”") or word for word in words]
    kept: list[str] = []
    looped = False
    position = 0
    while position < len(words):
        size, end = _loop(plain, position)
        kept.extend(words[position : position + size])
        looped = looped or end > position + size
        position = end
    return " ".join(kept), looped


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
