"""Whether a corpus is complete: its counts against those that its recipe expects."""

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from m4ser.data.datadir import Utterance
from m4ser.utils.errors import UserError

# {"utterances": 1440, "speakers": 24, "labels": {"angry": 192}, "sets": {"train": {"angry": 96}}}
Expected = Mapping[str, int | Mapping[str, int | Mapping[str, int]]]
SHOWN = 8  # wrong counts in a message


def check_counts(
    corpus_dir: Path, utterances: Sequence[Utterance], expected: Expected, allow_partial: bool = False, obtain: str = ""
) -> None:
    """Compare with the counts of the complete corpus; with `allow_partial`, only warn where they differ.

    Args:
        corpus_dir: for the message.
        utterances: of all sets.
        expected: `utterances` and `speakers`, numbers; `labels` (`{label: count}`), `sets` (`{set: count}` or
            `{set: {label: count}}`) and further lists by name, as in `{"utt2session": {"Ses01": 1085}}`.
        allow_partial: accept other counts.
        obtain: where to get the corpus, for the message.

    Raises:
        UserError: they differ.
    """
    wrong = [
        f"{have} {what} instead of {total}" for what, have, total in _counts(utterances, expected) if have != total
    ]
    if not wrong:
        return
    shown = ", ".join(wrong[:SHOWN]) + (f" and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else "")
    fault = f"{corpus_dir}: not the complete corpus: {shown}"
    if not allow_partial:
        get = f" (to be had from {obtain})" if obtain else ""
        raise UserError(f"{fault}; copy it again{get}, or accept it with --allow-partial true")
    print(f"warning: {fault}", file=sys.stderr)


def _counts(utterances: Sequence[Utterance], expected: Expected) -> list[tuple[str, int, int]]:
    """What is expected: its name, how many there are and how many there should be."""
    totals = {"utterances": len(utterances), "speakers": len({utt.speaker for utt in utterances})}
    counts = [(what, have, total) for what, have in totals.items() if isinstance(total := expected.get(what), int)]
    by_set = Counter((utt.set, utt.emotion) for utt in utterances)
    for attribute, groups in expected.items():
        if isinstance(groups, int):
            continue
        have_of = Counter(_value(utt, attribute) for utt in utterances)
        for name, group in groups.items():
            if isinstance(group, int):
                counts.append((name, have_of[name], group))
            else:
                counts += [(f"{name} {label}", by_set[name, label], count) for label, count in group.items()]
    return counts


def _value(utt: Utterance, attribute: str) -> str:
    return {"labels": utt.emotion, "sets": utt.set}.get(attribute) or utt.extra.get(attribute, "")
