"""Edits that turn a recognised text into its reference, as labels of error detection and correction.

The source is the hypothesis with a dummy before every word and after the last one, ``d1 w1 d2 w2 ... dn wn d(n+1)``.
Words of a longest common subsequence with the reference are KEEP, all else is DELETE at first. Each run of reference
words that the hypothesis lacks becomes a CHANGE of the dummy just before the next kept word, or of the last dummy:
a substitution is then a DELETE and a CHANGE, an insertion a DELETE, a deletion a CHANGE (the rule of ConstDecoder,
Yang et al., Interspeech 2022, arXiv 2208.04641).
"""

import json
from collections.abc import Sequence
from typing import NamedTuple

KEEP, DELETE, CHANGE = "K", "D", "C"


class Edits(NamedTuple):
    """What to do with each element of the source.

    Args:
        tags: one letter per element, 2n + 1 for n words; dummies have the even indices.
        changes: for each CHANGE, in order, its index in the source and the missing words joined by a blank.
    """

    tags: str
    changes: tuple[tuple[int, str], ...]


def align(hyp_words: Sequence[str], ref_words: Sequence[str]) -> Edits:
    """Edits from a hypothesis to its reference; words must not be empty nor hold white space."""
    from rapidfuzz.distance import LCSseq  # not where edits are only read

    tags = [DELETE] * (2 * len(hyp_words) + 1)
    changes = []
    used = 0  # reference words that have a place so far
    for block in LCSseq.opcodes(hyp_words, ref_words):
        if block.tag != "equal":
            continue
        start, end, slot = block.dest_start, block.dest_end, 2 * block.src_start
        if used < start:
            tags[slot] = CHANGE
            changes.append((slot, " ".join(ref_words[used:start])))
        tags[slot + 1 : 2 * block.src_end : 2] = KEEP * (end - start)
        used = end
    if used < len(ref_words):
        tags[-1] = CHANGE
        changes.append((len(tags) - 1, " ".join(ref_words[used:])))
    return Edits("".join(tags), tuple(changes))


def apply_edits(hyp_words: Sequence[str], edits: Edits) -> list[str]:
    """Words that `edits` make of a hypothesis.

    Raises:
        ValueError: the edits are not those of a hypothesis of this length.
    """
    tags, changes = edits
    if len(tags) != 2 * len(hyp_words) + 1:
        raise ValueError(f"{len(tags)} tags for {len(hyp_words)} words; there must be {2 * len(hyp_words) + 1}")
    if set(tags[::2]) - {DELETE, CHANGE} or set(tags[1::2]) - {DELETE, KEEP}:
        raise ValueError(f"tags {tags!r}: a dummy can be {DELETE} or {CHANGE}, a word {DELETE} or {KEEP}")
    if [slot for slot, _ in changes] != [slot for slot, tag in enumerate(tags) if tag == CHANGE]:
        raise ValueError(f"changes at {[slot for slot, _ in changes]} do not fit the tags {tags!r}")
    missing = dict(changes)
    result: list[str] = []
    for element, tag in enumerate(tags):
        if tag == KEEP:
            result.append(hyp_words[element // 2])
        elif tag == CHANGE:
            result.extend(missing[element].split())
    return result


def to_line(words: Sequence[str], edits: Edits | None = None, confidences: Sequence[float] | None = None) -> str:
    """Hypothesis, edits and the recogniser's confidence in each word, as far as they are known, as JSON on one line.

    That is the value of an utterance in a file `edits`.
    """
    value: dict[str, object] = {"words": list(words)}
    if edits is not None:
        value |= {"tags": edits.tags, "changes": edits.changes}
    if confidences is not None:
        value["confidences"] = list(confidences)
    return json.dumps(value, ensure_ascii=False)


def from_line(line: str) -> tuple[list[str], Edits]:
    """Hypothesis and edits of one line of :func:`to_line`.

    Raises:
        ValueError: the line is not such JSON.
    """
    try:
        value = json.loads(line)
        changes = tuple((int(slot), str(words)) for slot, words in value["changes"])
        return [str(word) for word in value["words"]], Edits(str(value["tags"]), changes)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"not edits: {line[:80]!r} ({type(error).__name__}: {error})") from None


def word_differences(ref: str, hyp: str) -> list[tuple[str, str, str]]:
    """Runs of words as (kind, reference words, recognised words); kinds: equal, replace, delete, insert.

    >>> word_differences("i am so happy", "am so so harpy")
    [('delete', 'i', ''), ('equal', 'am so', 'am so'), ('insert', '', 'so'), ('replace', 'happy', 'harpy')]
    """
    from rapidfuzz.distance import Levenshtein

    said, heard = ref.split(), hyp.split()
    return [
        (part.tag, " ".join(said[part.src_start : part.src_end]), " ".join(heard[part.dest_start : part.dest_end]))
        for part in Levenshtein.opcodes(said, heard)
    ]
