"""Stage 3: training text and the targets of ASR error detection (AED) and correction (AEC).

The text is what was recognised (or the reference itself), normalised; the targets say what makes the normalised
reference of it (:mod:`m4ser.asr.alignment`). Every line is checked to do so before anything is written.
"""

import functools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypedDict

from m4ser.asr.alignment import CHANGE, DELETE, KEEP, Edits, align, apply_edits, from_line, to_line
from m4ser.asr.normalise import normaliser as get_normaliser
from m4ser.asr.texts import (
    confidences_of_normalised,
    read_hypotheses,
    read_references,
    read_word_confidences,
    transcripts,
)
from m4ser.data.contents import CONTENTS, write_contents
from m4ser.data.folds import Fold
from m4ser.data.scp import write_scp
from m4ser.utils.errors import UserError
from m4ser.utils.files import write_json


class TargetStats(TypedDict):
    """Counts of one set in `stats.json`.

    Args:
        utterances, with_targets: all, and those with a reference transcript.
        words, empty: words of the text, and utterances without any.
        reference_words, changed: words of the references, and utterances whose text differs from its reference.
        keep, delete, change: tags, of dummies and words alike.
        deleted_words: words of the text that are deleted.
        missing_words: words that the changes add.
    """

    utterances: int
    with_targets: int
    words: int
    reference_words: int
    missing_words: int
    empty: int
    changed: int
    keep: int
    delete: int
    change: int
    deleted_words: int


def make_targets(
    data_dir: Path, asr_dir: Path | None, out: Path, sets: Sequence[str] = (), normaliser: str = "english"
) -> dict[str, TargetStats]:
    """Write `edits` and `stats.json` of every set, nothing before all of them are made.

    Args:
        data_dir: data directories of stage 1, which have the references.
        asr_dir: recognised text of stage 2; None to train on the references themselves.
        out: where to write, such as `dump/text/whisper-tiny.en`.
        sets: names, none for all.
        normaliser: see :mod:`m4ser.asr.normalise`.

    Raises:
        UserError: a set or its recognised text is missing or malformed, there is no such normaliser, or there are no
            references where they are the text.
    """
    normalise = get_normaliser(normaliser)
    normalise_word = functools.lru_cache(100_000)(normalise)  # the same words come again and again
    by_set = {}
    for name, data in read_references(data_dir, sets).items():
        confidences: dict[str, list[float]] = {}
        references = {utt: normalise(text).split() for utt, text in transcripts(data).items()}
        if asr_dir is None:
            if not any(references.values()):
                raise UserError(f"{data.path / 'text'}: has no transcripts; use recognised text (--text-source asr)")
            texts = {utt: references.get(utt, []) for utt in data.maps["text"]}
        else:
            hypotheses = read_hypotheses(asr_dir / name, data)
            texts = {utt: normalise(text).split() for utt, text in hypotheses.items()}
            confidences = {
                utt: confidences_of_normalised(hypotheses[utt], confidence, texts[utt], normalise_word)
                for utt, confidence in read_word_confidences(asr_dir / name, hypotheses).items()
            }
        by_set[name] = targets(texts, references, confidences)
    for name, (lines, stats) in by_set.items():
        # The statistics first: who finds `edits` finds everything.
        source = "ref" if asr_dir is None else "asr"
        (out / name / CONTENTS).unlink(missing_ok=True)
        write_json(out / name / "stats.json", {"source": source, "normaliser": normaliser, **stats})
        write_scp(out / name / "edits", lines)
        write_contents(out / name, ["edits"])
    return {name: stats for name, (_, stats) in by_set.items()}


def targets(
    texts: Mapping[str, list[str]],
    references: Mapping[str, list[str]],
    confidences: Mapping[str, list[float]] | None = None,
) -> tuple[dict[str, str], TargetStats]:
    """Lines of `edits` by utterance, and counts; `confidences` has the recogniser's in each word, where it gave one.

    A line without reference has no targets: it can be used, but not to learn error detection and correction.
    """
    confidences = confidences or {}
    lines: dict[str, str] = {}
    tags: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for utt, words in texts.items():
        edits = align(words, references[utt]) if utt in references else None
        lines[utt] = to_line(words, edits, confidences.get(utt))
        counts["words"] += len(words)
        counts["empty"] += not words
        if edits is None:
            continue
        counts["with_targets"] += 1
        counts["compared_words"] += len(words)
        if apply_edits(*from_line(lines[utt])) != references[utt]:
            raise RuntimeError(f"{utt}: {lines[utt]} does not give back {' '.join(references[utt])!r}")
        tags.update(edits.tags)
        counts["reference_words"] += len(references[utt])
        counts["changed"] += words != references[utt]
        counts["missing_words"] += sum(len(phrase.split()) for _, phrase in edits.changes)
    stats: TargetStats = {
        "utterances": len(lines),
        "with_targets": counts["with_targets"],
        "words": counts["words"],
        "reference_words": counts["reference_words"],
        "missing_words": counts["missing_words"],
        "empty": counts["empty"],
        "changed": counts["changed"],
        "keep": tags[KEEP],
        "delete": tags[DELETE],
        "change": tags[CHANGE],
        "deleted_words": counts["compared_words"] - tags[KEEP],
    }
    return lines, stats


def describe(stats: TargetStats) -> str:
    """Counts in one line."""
    start = f"{stats['utterances']} utterances, {stats['words']} words"
    if not stats["with_targets"]:
        return f"{start}; no reference transcripts, so no targets of error detection and correction"
    if without := stats["utterances"] - stats["with_targets"]:
        start += f"; {without} without reference transcript have no targets"
    return (
        f"{start}; {stats['changed']} utterances differ from the reference; {stats['keep']} words kept, "
        f"{stats['deleted_words']} deleted, {stats['missing_words']} to add at {stats['change']} places"
    )


def fold_counts(edits: Mapping[str, Edits], fold: Fold) -> dict[str, int]:
    """How much there is to learn in a fold, and how much of dev's its training has seen.

    Args:
        edits: of the utterances that have targets.
        fold: its utterances; those without targets do not count.

    Returns:
        Of train: `words` of the texts, `superfluous` ones that detection has to remove, `corrections` (places where
        words have to be written) and how many are `different`. Of dev: `dev_corrections` and `dev_words` of them, and
        of both how many are written in train, too: `dev_seen`, `dev_words_seen`.
    """
    train, dev = ([edits[utt] for utt in part if utt in edits] for part in (fold.train, fold.dev))
    train_phrases, dev_phrases = _phrases(train), _phrases(dev)
    known, known_words = set(train_phrases), {word for phrase in train_phrases for word in phrase.split()}
    words = [word for phrase in dev_phrases for word in phrase.split()]
    return {
        "words": sum(len(one.tags) // 2 for one in train),
        "superfluous": sum(one.tags[1::2].count(DELETE) for one in train),
        "corrections": len(train_phrases),
        "different": len(known),
        "dev_corrections": len(dev_phrases),
        "dev_seen": sum(phrase in known for phrase in dev_phrases),
        "dev_words": len(words),
        "dev_words_seen": sum(word in known_words for word in words),
    }


def _phrases(edits: Iterable[Edits]) -> list[str]:
    return [phrase for one in edits for _, phrase in one.changes]
