#!/usr/bin/env python3
"""The mini corpus: synthetic emotional speech made by generate.py, 16 voices of espeak-ng, 4 emotions, 640 recordings.

Layout: metadata.tsv and SPEAKER/SPEAKER-NUMBER.opus.

Protocol mini-speakers-8-4-4: one fold; eight speakers train, four select models, four test, and no sentence of one
part occurs in another.
"""

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path

from m4ser.data.datadir import Utterance
from m4ser.data.folds import PARTS, Fold, Folds
from m4ser.data.origin import Origin
from m4ser.recipes import recipe
from m4ser.recipes.counts import Expected
from m4ser.utils.errors import UserError

ORIGIN: Origin = {
    "name": "mini",
    "licence": "cc0-1.0",
    "languages": ["en"],
    "address": "egs/mini/corpus",
}
OBTAIN = "egs/mini/corpus of the m4ser repository, or egs/mini/local/generate.py"
LABELS = ["angry", "happy", "neutral", "sad"]
EXPECTED: Expected = {
    "utterances": 640,
    "speakers": 16,
    "labels": dict.fromkeys(LABELS, 160),
    "utt2split": {"train": 384, "dev": 112, "test": 144},
}
COLUMNS = ["utt_id", "speaker", "gender", "emotion", "cue", "transcript", "split", "file"]


def utterances(corpus_dir: Path, args: argparse.Namespace) -> Iterator[Utterance]:
    """Yield what `metadata.tsv` lists."""
    table = corpus_dir / "metadata.tsv"
    if not table.is_file():
        raise UserError(f"{table}: no such file; give the folder of the mini corpus ({OBTAIN})")
    with open(table, encoding="utf-8", newline="") as file:
        # f01-000	f01	female	happy	yes	The doctor admired my window yesterday	train	f01/f01-000.opus
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        if rows.fieldnames != COLUMNS:
            raise UserError(f"{table}: must have the columns {' '.join(COLUMNS)}; get the file again from {OBTAIN}")
        for row in rows:
            if None in row or None in row.values() or row["split"] not in PARTS:
                raise UserError(f"{table}: line {rows.line_num} is damaged; get the file again from {OBTAIN}")
            yield Utterance(
                utt_id=row["utt_id"],
                audio=Path(row["file"]),
                speaker=row["speaker"],
                emotion=row["emotion"],
                text=row["transcript"],
                extra={"utt2gender": row["gender"], "utt2cue": row["cue"], "utt2split": row["split"]},
            )


def folds(utts: list[Utterance]) -> Folds:
    """The one fold that the corpus was made for."""
    parts = {part: [utt.utt_id for utt in utts if utt.extra["utt2split"] == part] for part in PARTS}
    description = "mini corpus (synthetic), 4 classes, 8 speakers train, 4 dev, 4 test; sentences disjoint too"
    return Folds("mini-speakers-8-4-4", description, folds={"1": Fold(**parts)})


if __name__ == "__main__":
    recipe.run(utterances, folds, LABELS, EXPECTED, doc=__doc__, obtain=OBTAIN, origin=ORIGIN)
