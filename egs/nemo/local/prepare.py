#!/usr/bin/env python3
"""nEMO (Christop 2024): Polish, 9 actors, 90 sentences, 6 emotions, 4481 recordings.

Official layout: samples/EB0_neutral_13.wav and the table data.tsv beside that folder.

Protocol nemo-loso: each speaker tests once, a woman and a man of the others select models.
"""

import argparse
import re
from pathlib import Path

from m4ser.data.datadir import Utterance
from m4ser.data.folds import Folds
from m4ser.data.origin import Origin
from m4ser.recipes import layout, recipe
from m4ser.recipes.counts import Expected
from m4ser.recipes.download import Archive
from m4ser.recipes.splits import leave_groups_out
from m4ser.utils.errors import UserError

ORIGIN: Origin = {
    "name": "nEMO",
    "licence": "cc-by-nc-sa-4.0",
    "languages": ["pl"],
    "address": "https://github.com/amu-cai/nEMO",
    "hub": "amu-cai/nEMO",
}
OBTAIN = "https://github.com/amu-cai/nEMO (folder samples and data.tsv)"
COMMIT = "66de9999a8f2f605eb5f64841790aa5cb0877782"
ARCHIVE = Archive(
    f"https://codeload.github.com/amu-cai/nEMO/zip/{COMMIT}", only=r"nEMO-\w+/(samples/|data\.tsv|README\.md|LICENSE)"
)
# file_id	emotion	raw_text	normalized_text	speaker_id	gender	age
# WR0_surprised_64.wav	surprised	Ucho wykrywa dźwięki o różnej ...	ucho wykrywa ...	        WR0	male	23
COLUMNS = ("file_id", "emotion", "raw_text", "speaker_id", "gender")
LIKE = "WR0_surprised_64.wav"
# WR0_surprised_64: speaker - emotion - sentence
NAME = re.compile(r"(?P<speaker>[A-Z]{2}\d)_(?P<emotion>[a-z]+)_(?P<sentence>\d+)")
EMOTIONS = {
    "anger": "angry",
    "fear": "fearful",
    "happiness": "happy",
    "neutral": "neutral",
    "sadness": "sad",
    "surprised": "surprised",
}
LABELS = list(EMOTIONS.values())
MEN = ("KS0", "MP0", "SM0", "TP0", "WR0")
GENDER = {s: "male" if s in MEN else "female" for s in ("EB0", "IC0", "KD0", "KS0", "MK0", "MP0", "SM0", "TP0", "WR0")}
COUNTS = (749, 736, 749, 809, 769, 669)
EXPECTED: Expected = {"utterances": 4481, "speakers": 9, "labels": dict(zip(LABELS, COUNTS, strict=True))}


def utterances(corpus_dir: Path, args: argparse.Namespace) -> list[Utterance]:
    """The lines of data.tsv with their recordings."""
    table = layout.find(corpus_dir, "data.tsv", obtain=OBTAIN)
    rows = layout.read_rows(table, COLUMNS)
    utts = [_utterance(table, row) for row in rows]
    if table.with_name("samples").is_dir():
        listed = {row["file_id"] for row in rows}
        files = layout.recordings(table.parent, "samples/*", like=f"samples/{LIKE}", obtain=OBTAIN)
        if unknown := [path for path in files if path.name not in listed]:
            raise UserError(f"{unknown[0]}: is not in {table.name}; remove the file or copy the table again")
    return layout.keep_present(utts, corpus_dir, args.allow_partial)


def _utterance(table: Path, row: dict[str, str]) -> Utterance:
    path = table.parent / "samples" / row["file_id"]
    match = layout.read_name(path, NAME, "nEMO", LIKE, speaker=GENDER, emotion=EMOTIONS)
    speaker = match["speaker"]
    said = (speaker, match["emotion"], GENDER[speaker])
    if (row["speaker_id"], row["emotion"], row["gender"]) != said:
        raise UserError(
            f"{table}: the line of {path.name} has another speaker, emotion or gender; copy the table again"
        )
    return Utterance(
        utt_id=f"{speaker}-{path.stem}",
        audio=path.absolute(),
        speaker=speaker,
        emotion=EMOTIONS[match["emotion"]],
        text=row["raw_text"],
        extra={"utt2gender": GENDER[speaker], "utt2lang": "pl"},
    )


def folds(utts: list[Utterance]) -> Folds:
    """Nine folds, one for each speaker."""
    groups = {speaker: [speaker] for speaker in GENDER}
    description = "nEMO, 6 classes, each speaker tests in turn, two others are dev"
    return leave_groups_out("nemo-loso", description, utts, groups, dev=2, gender=GENDER)


if __name__ == "__main__":
    recipe.run(utterances, folds, LABELS, EXPECTED, doc=__doc__, obtain=OBTAIN, origin=ORIGIN, download=[ARCHIVE])
