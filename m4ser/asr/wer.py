"""Word errors of recognised text: overall, by emotion, by length of the reference, by speaker.

Errors are counted by Levenshtein distance over words (rapidfuzz). WER = (substitutions + deletions + insertions) /
reference words, summed over utterances, a fraction of one; None where there are no reference words.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TypedDict

from rapidfuzz.distance import Levenshtein

from m4ser.asr.normalise import normaliser

# Bins of the report, by words of the normalised reference: the last length of each.
LENGTHS = {"0": 0, "1-3": 3, "4-6": 6, "7-10": 10, "11-20": 20, "21-40": 40}
LONGER = "41+"

Counts = tuple[int, int, int, int]  # substitutions, deletions, insertions, reference words
Both = tuple[Counts, Counts]  # of the texts as they are written, and normalised
WordErrors = TypedDict("WordErrors", {"sub": int, "del": int, "ins": int, "words": int, "wer": "float | None"})


class Group(TypedDict):
    """Errors of some utterances: the words as they are written (`raw`), and `normalised`."""

    utterances: int
    normalised: WordErrors
    raw: WordErrors


class _Result(TypedDict):
    normaliser: str
    normalised: WordErrors | None


class Report(_Result, total=False):
    """Content of `wer.json`: a :class:`Group` of all utterances, further counts and groups, and how they were decoded.

    Without reference transcripts there is only the normaliser, and `normalised` is None. `wrong_utterances` counts
    those with any error after normalisation. From `asr` on, what `decode.json` says of the recogniser.
    """

    utterances: int
    raw: WordErrors
    wrong_utterances: int
    empty_hypotheses: int
    by_length: dict[str, Group]
    by_emotion: dict[str, Group]
    by_speaker: dict[str, Group]
    without_reference: int
    asr: str
    model: str
    settings: dict[str, bool | int | float | str]
    audio_seconds: float
    real_time_factor: float | None
    cpu_real_time_factor: float | None
    looping_hypotheses: int
    loop_rule: str


def word_errors(refs: Iterable[str], hyps: Iterable[str]) -> WordErrors:
    """Count errors of pairs of texts: ``{"sub", "del", "ins", "words", "wer"}``.

    >>> word_errors(["a b c", "d"], ["a x c d", "d"])
    {'sub': 1, 'del': 0, 'ins': 1, 'words': 4, 'wer': 0.5}
    """
    return _sum(_errors(ref, hyp) for ref, hyp in zip(refs, hyps, strict=True))


def report(
    refs: Mapping[str, str],
    hyps: Mapping[str, str],
    normalise: str = "english",
    emotion: Mapping[str, str] | None = None,
    speaker: Mapping[str, str] | None = None,
) -> Report:
    """All of `wer.json` for the utterances of `refs`, but for how they were decoded.

    Args:
        refs: reference of each utterance.
        hyps: recognised text of (at least) the same utterances.
        normalise: name of a normaliser.
        emotion: of each utterance; without it there is no `by_emotion`.
        speaker: of each utterance; without it there is no `by_speaker`.
    """
    change = normaliser(normalise)
    counts = {utt: _both(ref, hyps[utt], change) for utt, ref in refs.items()}
    everything = _group(counts.values())
    result: Report = {
        "normaliser": normalise,
        "utterances": everything["utterances"],
        "normalised": everything["normalised"],
        "raw": everything["raw"],
        "wrong_utterances": sum(any(normalised[:3]) for _, normalised in counts.values()),
        "empty_hypotheses": sum(not hyps[utt].split() for utt in refs),
    }
    result["by_length"] = _groups(counts, lambda utt: length_bin(counts[utt][1][3]), [*LENGTHS, LONGER])
    if emotion is not None:
        result["by_emotion"] = _groups(counts, emotion.__getitem__)
    if speaker is not None:
        result["by_speaker"] = _groups(counts, speaker.__getitem__)
    return result


def length_bin(words: int) -> str:
    """Name of the bin of a reference of so many words."""
    return next((name for name, last in LENGTHS.items() if words <= last), LONGER)


def table(result: Report, title: str) -> str:
    """A report with a word error rate as text for a terminal, without the speakers."""
    normalised, raw = result["normalised"], result["raw"]
    assert normalised is not None
    counts = {"sub": normalised["sub"], "del": normalised["del"], "ins": normalised["ins"]}
    parts = ", ".join(f"{name} {_percent(count, normalised['words'])}" for name, count in counts.items())
    missing = result.get("without_reference", 0)
    lines = [
        f"{title}: WER {_wer(normalised)} % ({parts}) with the {result['normaliser']} normaliser, "
        f"{_wer(raw)} % raw; {result['utterances']} utterances, {result['wrong_utterances']} with errors, "
        f"{result['empty_hypotheses']} empty hypotheses, {result.get('looping_hypotheses', 0)} looping"
        + (f"; {missing} without reference do not count" if missing else ""),
        f"  {'':<14}{'utterances':>10}{'words':>8}{'WER %':>8}{'raw %':>8}",
    ]
    rows = [*result.get("by_emotion", {}).items()]
    rows += [(f"{words} words", group) for words, group in result.get("by_length", {}).items()]
    for label, group in rows:
        lines.append(
            f"  {label:<14}{group['utterances']:>10}{group['normalised']['words']:>8}"
            f"{_wer(group['normalised']):>8}{_wer(group['raw']):>8}"
        )
    return "\n".join(lines)


def _errors(ref: str, hyp: str) -> Counts:
    """Substitutions, deletions, insertions, reference words."""
    ref_words, hyp_words = ref.split(), hyp.split()
    if ref_words == hyp_words:
        return 0, 0, 0, len(ref_words)
    tags = [operation.tag for operation in Levenshtein.editops(ref_words, hyp_words)]
    return tags.count("replace"), tags.count("delete"), tags.count("insert"), len(ref_words)


def _both(ref: str, hyp: str, change: Callable[[str], str]) -> Both:
    raw, texts = _errors(ref, hyp), (change(ref), change(hyp))
    return raw, raw if texts == (ref, hyp) else _errors(*texts)


def _sum(counts: Iterable[Counts]) -> WordErrors:
    substitutions = deletions = insertions = words = 0
    for count in counts:
        substitutions += count[0]
        deletions += count[1]
        insertions += count[2]
        words += count[3]
    wer = (substitutions + deletions + insertions) / words if words else None
    return {"sub": substitutions, "del": deletions, "ins": insertions, "words": words, "wer": wer}


def _group(counts: Collection[Both]) -> Group:
    raw, normalised = (_sum(both[which] for both in counts) for which in (0, 1))
    return {"utterances": len(counts), "normalised": normalised, "raw": raw}


def _groups(
    counts: Mapping[str, Both], of: Callable[[str], str], order: Sequence[str] | None = None
) -> dict[str, Group]:
    """Errors by what `of` says of an utterance, in the given order, else sorted."""
    members: dict[str, list[Both]] = {}
    for utt, count in counts.items():
        members.setdefault(of(utt), []).append(count)
    return {key: _group(members[key]) for key in (order or sorted(members)) if key in members}


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}" if whole else "-"


def _wer(errors: WordErrors) -> str:
    return _percent(errors["sub"] + errors["del"] + errors["ins"], errors["words"])
