"""Word errors of recognised text: overall, by emotion, by length of the reference, by speaker.

Errors are counted by Levenshtein distance over words (rapidfuzz). WER = (substitutions + deletions + insertions) /
reference words, summed over utterances, a fraction of one; None where there are no reference words.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from rapidfuzz.distance import Levenshtein

from m4ser.asr.normalise import normaliser

# Bins of the report, by words of the normalised reference: the last length of each.
LENGTHS = {"0": 0, "1-3": 3, "4-6": 6, "7-10": 10, "11-20": 20, "21-40": 40}
LONGER = "41+"


def word_errors(refs: Iterable[str], hyps: Iterable[str]) -> dict[str, Any]:
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
) -> dict[str, Any]:
    """All of `wer.json` for the utterances of `refs`.

    Every group has its number of `utterances` and :func:`word_errors` twice: `raw`, the words as they are written, and
    `normalised` by the normaliser of that name. `wrong_utterances` counts those with any error after normalisation.

    Args:
        refs: reference of each utterance.
        hyps: recognised text of (at least) the same utterances.
        normalise: name of a normaliser.
        emotion: of each utterance; without it there is no `by_emotion`.
        speaker: of each utterance; without it there is no `by_speaker`.
    """
    change = normaliser(normalise)
    counts = {
        utt: {"raw": _errors(ref, hyps[utt]), "normalised": _errors(change(ref), change(hyps[utt]))}
        for utt, ref in refs.items()
    }
    groups: dict[str, Callable[[str], str]] = {"by_length": lambda utt: length_bin(counts[utt]["normalised"][3])}
    for name, of in (("by_emotion", emotion), ("by_speaker", speaker)):
        if of is not None:
            groups[name] = of.__getitem__
    order = [*LENGTHS, LONGER]
    result = {
        "normaliser": normalise,
        **_group(list(counts.values())),
        "wrong_utterances": sum(any(count["normalised"][:3]) for count in counts.values()),
        "empty_hypotheses": sum(not hyps[utt].split() for utt in refs),
    }
    for name, of in groups.items():
        members: dict[str, list] = {}
        for utt, count in counts.items():
            members.setdefault(of(utt), []).append(count)
        keys = sorted(members, key=order.index if name == "by_length" else None)
        result[name] = {key: _group(members[key]) for key in keys}
    return result


def length_bin(words: int) -> str:
    """Name of the bin of a reference of so many words."""
    return next((name for name, last in LENGTHS.items() if words <= last), LONGER)


def table(result: Mapping[str, Any], title: str) -> str:
    """A report as text for a terminal, without the speakers."""
    normalised, raw = result["normalised"], result["raw"]
    parts = ", ".join(f"{name} {_percent(normalised[name], normalised['words'])}" for name in ("sub", "del", "ins"))
    lines = [
        f"{title}: WER {_percent_of(normalised)} % ({parts}) with the {result['normaliser']} normaliser, "
        f"{_percent_of(raw)} % raw; {result['utterances']} utterances, {result['wrong_utterances']} with errors, "
        f"{result['empty_hypotheses']} empty hypotheses, {result.get('looping_hypotheses', 0)} looping"
        + (f"; {missing} without reference do not count" if (missing := result.get("without_reference")) else ""),
        f"  {'':<14}{'utterances':>10}{'words':>8}{'WER %':>8}{'raw %':>8}",
    ]
    for name in ("by_emotion", "by_length"):
        for key, group in result.get(name, {}).items():
            label = f"{key} words" if name == "by_length" else key
            lines.append(
                f"  {label:<14}{group['utterances']:>10}{group['normalised']['words']:>8}"
                f"{_percent_of(group['normalised']):>8}{_percent_of(group['raw']):>8}"
            )
    return "\n".join(lines)


def _errors(ref: str, hyp: str) -> tuple[int, int, int, int]:
    """Substitutions, deletions, insertions, reference words."""
    ref_words, hyp_words = ref.split(), hyp.split()
    if ref_words == hyp_words:
        return 0, 0, 0, len(ref_words)
    tags = [operation.tag for operation in Levenshtein.editops(ref_words, hyp_words)]
    return tags.count("replace"), tags.count("delete"), tags.count("insert"), len(ref_words)


def _sum(counts: Iterable[Sequence[int]]) -> dict[str, Any]:
    total = [0, 0, 0, 0]
    for count in counts:
        total = [a + b for a, b in zip(total, count, strict=True)]
    substitutions, deletions, insertions, words = total
    wer = (substitutions + deletions + insertions) / words if words else None
    return {"sub": substitutions, "del": deletions, "ins": insertions, "words": words, "wer": wer}


def _group(counts: Sequence[Mapping[str, Sequence[int]]]) -> dict[str, Any]:
    return {"utterances": len(counts)} | {name: _sum(c[name] for c in counts) for name in ("normalised", "raw")}


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}" if whole else "-"


def _percent_of(group: Mapping[str, Any]) -> str:
    return _percent(group["sub"] + group["del"] + group["ins"], group["words"])
