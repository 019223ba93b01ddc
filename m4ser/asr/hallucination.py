"""What attention-based recognisers make up: a phrase said over and over again, or more than anybody can say.

Two rules, in this order. A phrase that comes more than `MAX_REPEATS` times in direct succession, these making more
than `MAX_WORDS` words, is kept once; a piece of it that ends the text (the length limit of the recogniser) goes too.
Case and punctuation do not matter. "No, no, no, no, no!" stays as it is: people do say that. Then, of a text with more
words than `FREE_WORDS` and `MAX_RATE` for each second of audio, only that many are kept, from its beginning. Fast
speech has five to six words a second; the free words are for clips cut tightly around a word or two.
"""

import string

MAX_REPEATS = 4
MAX_WORDS = 8
MAX_RATE = 8  # words a second
FREE_WORDS = 4
RULE = (
    f"a phrase more than {MAX_REPEATS} times in direct succession, over more than {MAX_WORDS} words, is kept once; "
    f"then at most {FREE_WORDS} + {MAX_RATE} words for each second are kept"
)


def cut_loops(text: str) -> tuple[str, bool]:
    """Apply the first rule; returns the text and whether it looped.

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


def cut_excess(text: str, seconds: float) -> tuple[str, bool]:
    """Keep as many words as can be said in that time; returns the text and whether it was longer.

    >>> cut_excess("one two three four five six seven", 0.25)
    ('one two three four five six', True)
    """
    words = text.split()
    most = FREE_WORDS + int(MAX_RATE * seconds)
    return " ".join(words[:most]), len(words) > most


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
