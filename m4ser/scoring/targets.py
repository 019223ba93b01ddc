"""What error detection and correction can learn from: the targets of stage 3, and which of dev's training has seen."""

import json
from collections.abc import Sequence
from pathlib import Path

from m4ser.asr.alignment import from_line
from m4ser.scoring.table import Cell, Column, Score, Table
from m4ser.training.experiment import choose_folds, read_maps
from m4ser.training.lists import read_folds
from m4ser.training.targets import fold_counts
from m4ser.utils.errors import UserError

COUNTS = [
    Column("training words", "words", digits=0),
    Column("superfluous", digits=0),
    Column("corrections", digits=0),
    Column("different ones", "different", digits=0),
    Column("dev corrections", "dev_corrections", digits=0),
]
SHARES = {"seen in training": ("dev_seen", "dev_corrections"), "their words seen": ("dev_words_seen", "dev_words")}
NOTES = (
    "Superfluous: words that detection has to remove; corrections: places where words have to be written.",
    "Seen in training: per cent of the dev corrections that write what some training correction writes; their words "
    "seen: the same of single words. What was never seen has to be guessed from the sentence.",
)


def table(texts: Sequence[Path], names: Sequence[str], data: Path, chosen: Sequence[str] = ()) -> Table:
    """One row for each folder dump/text/<asr>, mean over folds.

    Raises:
        UserError: a text is missing or has no targets, as without reference transcripts.
    """
    folds = read_folds(data)
    rows = []
    for name, text in zip(names or [text.name for text in texts], texts, strict=True):
        lines = read_maps(text, folds.sets, "edits", stage=3)
        edits = {utt: from_line(line)[1] for utt, line in lines.items() if "tags" in json.loads(line)}
        if not edits:
            raise UserError(f"{text}: has no targets, for the corpus has no reference transcripts; choose another")
        counts = [fold_counts(edits, folds.folds[fold]) for fold in choose_folds(folds, list(chosen))]
        total = {key: sum(one[key] for one in counts) for key in counts[0]}
        row: list[Cell] = [name, *(total[column.key or column.name] / len(counts) for column in COUNTS)]
        rows.append(row + [Score(total[a] / total[b]) if total[b] else None for a, b in SHARES.values()])
    caption = f"Protocol `{folds.protocol}`, mean over folds."
    return Table([Column("text"), *COUNTS, *map(Column, SHARES)], rows, caption=caption, notes=NOTES)
