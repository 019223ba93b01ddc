"""What stage 0 prints at its end: counts of the sets and of the folds."""

from collections.abc import Mapping, Sequence

from m4ser.data.datadir import DataDir, class_counts
from m4ser.data.folds import PARTS, Folds


def overview(sets: Mapping[str, DataDir], folds: Folds) -> str:
    """Utterances of each class and speakers of each set; size, speakers and text overlap of each fold."""
    protocol = f"protocol {folds.protocol}: {folds.description}"
    return f"{_table_of_sets(sets, folds)}\n\n{protocol}\n{_table_of_folds(sets, folds)}"


def _table_of_sets(sets: Mapping[str, DataDir], folds: Folds) -> str:
    counts = {name: class_counts(data.maps["utt2emo"], folds.labels) for name, data in sets.items()}
    rows = [["", *sets]]
    rows += [[label, *(str(counts[name][label]) for name in sets)] for label in folds.labels]
    rows.append(["utterances", *(str(len(data.utts)) for data in sets.values())])
    rows.append(["speakers", *(str(len(data.maps["spk2utt"])) for data in sets.values())])
    return _columns(rows)


def _table_of_folds(sets: Mapping[str, DataDir], folds: Folds) -> str:
    speaker = {utt: name for data in sets.values() for utt, name in data.maps["utt2spk"].items()}
    overlap = folds.text_overlap({utt: text for data in sets.values() for utt, text in data.maps["text"].items()})
    rows = [["fold", *PARTS, "speakers", "text overlap train/test"]]
    for name, fold in folds.folds.items():
        parts = [fold.train, fold.dev, fold.test]
        speakers = "/".join(str(len({speaker[utt] for utt in part})) for part in parts)
        rows.append([name, *(str(len(part)) for part in parts), speakers, f"{100 * overlap[name]:.1f} %"])
    return _columns(rows)


def _columns(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(lines)
