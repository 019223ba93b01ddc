#!/usr/bin/env python3
"""A corpus of one's own: a folder of audio files and a table (CSV) that says what is in them.

Columns of the table: file (relative to the audio folder), emotion, speaker; optionally text, gender, language,
split (train, dev, test) and id. Without split, groups of speakers test in turn.
"""

import argparse
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from m4ser.data.datadir import Utterance
from m4ser.data.folds import Folds
from m4ser.recipes import layout, recipe
from m4ser.recipes.splits import automatic_folds, folds_of_split
from m4ser.recipes.table import is_file, read_table
from m4ser.utils import cli
from m4ser.utils.errors import UserError

COLUMNS = ("file", "emotion", "speaker"), ("text", "gender", "language", "split", "id")
LISTS = (("utt2gender", "gender"), ("utt2lang", "language"))
PARTS = {"train": "train", "dev": "dev", "valid": "dev", "validation": "dev", "test": "test"}
LONGEST_ID = 200  # bytes; files are named after it, and their names may have 255


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this recipe."""
    parser.add_argument("--csv", type=Path, help="the table")
    parser.add_argument("--num-folds", type=int, default=5, help="groups of speakers (default: 5, or all speakers)")
    parser.add_argument("--labels", type=cli.words, help="emotions to keep, in this order (default: all, sorted)")
    parser.add_argument("--shared-speakers", type=cli.boolean, default=False, help="true: accept a split with them")


def protocol(args: argparse.Namespace) -> recipe.Protocol:
    """Read the table; classes and folds come from it."""
    if args.csv is None:
        raise UserError("which table? give --csv FILE with the columns file, emotion, speaker (egs/csv/README.md)")
    args.rows, unused = read_table(args.csv, *COLUMNS)
    layout.note(len(unused), f"columns of {args.csv.name} are not used: {', '.join(unused)}")
    spelling: dict[str, str] = {}
    for row in args.rows:
        emotion = _word(row.values["emotion"])
        if (first := spelling.setdefault(emotion.casefold(), emotion)) != emotion:
            raise UserError(f"{row.where}: emotion {emotion} is written {first} above; use one spelling")
    known = sorted(spelling.values())
    if unknown := [label for label in args.labels or () if label not in known]:
        raise UserError(f"{args.csv}: has no emotion {unknown[0]} (--labels); it has {', '.join(known)}")
    args.split, labels = {}, args.labels or known
    if len(labels) < 2 or args.num_folds < 2:
        raise UserError(f"{args.csv}: {', '.join(labels)}, {args.num_folds} folds: at least two of both are needed")
    return recipe.Protocol(labels, lambda utts: folds(utts, args))


def utterances(corpus_dir: Path, args: argparse.Namespace) -> Iterator[Utterance]:
    """Yield what the lines of the table say."""
    lines: dict[str, str] = {}
    left_out: Counter[str] = Counter()
    root, rows = corpus_dir.absolute(), args.rows[::-1]
    args.rows = []
    while rows:  # a line is forgotten when it has been read: a million of them take a gigabyte
        row = rows.pop()
        value, where = row.values, row.where
        file, speaker, emotion = value["file"].replace("\\", "/"), _word(value["speaker"]), _word(value["emotion"])
        utt_id = value.get("id") or f"{speaker}-{_word(file.rpartition('.')[0] or file)}"
        audio = root / file
        if args.labels and emotion not in args.labels:
            left_out["of other emotions"] += 1
            continue
        if not is_file(audio):
            if not args.allow_partial:
                raise UserError(f"{where}: no such audio file: {audio!s:.500}; correct the line or --audio-dir")
            left_out["without audio file"] += 1
            continue
        if utt_id in lines:
            raise UserError(f"{where}: {utt_id} is in {lines[utt_id]} too; delete one, or tell them apart in column id")
        if len(utt_id.encode()) > LONGEST_ID:
            raise UserError(
                f"{where}: id {utt_id:.40}... has more than {LONGEST_ID} bytes; give a shorter one in column id"
            )
        if utt_id != _word(utt_id):
            raise UserError(f"{where}: id {utt_id!r} has a blank or / in it; replace that")
        if "split" in value:
            if value["split"].casefold() not in PARTS:
                raise UserError(f"{where}: split is {value['split']!r}; it must be train, dev or test")
            args.split[utt_id] = PARTS[value["split"].casefold()]
        lines[utt_id] = where.rpartition(": ")[2]
        extra = {name: _word(value[column]) or "unknown" for name, column in LISTS if column in value}
        yield Utterance(utt_id, audio, speaker, emotion, value.get("text", ""), extra=extra)
    for what, count in left_out.items():
        layout.note(count, f"lines {what} are left out")


def _word(text: str) -> str:
    return "_".join(text.replace("/", " ").split())


def folds(utts: list[Utterance], args: argparse.Namespace) -> Folds:
    """The split of the table, or groups of speakers."""
    utt2spk, utt2emo = ({utt.utt_id: getattr(utt, what) for utt in utts} for what in ("speaker", "emotion"))
    if args.split:
        return folds_of_split(f"{_word(args.csv.stem)}-split", args.split, utt2spk, utt2emo, args.shared_speakers)
    gender = {utt.speaker: utt.extra.get("utt2gender", "") for utt in utts}
    return automatic_folds(_word(args.csv.stem), utt2spk, utt2emo, args.num_folds, gender)


if __name__ == "__main__":
    recipe.run(utterances, protocols=protocol, add_arguments=add_arguments, doc=__doc__)
