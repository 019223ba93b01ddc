#!/usr/bin/env python3
"""MELD (Poria et al. 2019): dialogues of the TV series Friends, 7 emotions or 3 sentiments, official split.

Official layout: MELD.Raw/{train,dev,test}_sent_emo.csv and, from the archives in it, the clips train_splits/*.mp4,
dev_splits_complete/*.mp4, output_repeated_splits_test/*.mp4; in MELD.Raw itself or in folders train, dev, test.

The main actors speak in training and in test: that is the official split, not a speaker-independent one.
"""

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

from m4ser.data.datadir import Utterance
from m4ser.data.folds import PARTS, Folds
from m4ser.data.origin import Origin
from m4ser.recipes import layout, recipe

ORIGIN: Origin = {
    "name": "MELD",
    "licence": "other",
    "languages": ["en"],
    "address": "https://github.com/declare-lab/MELD",
}
OBTAIN = "https://github.com/declare-lab/MELD (unpack MELD.Raw.tar.gz and the archives in it)"
CLIPS = {"train": "train_splits", "dev": "dev_splits_complete", "test": "output_repeated_splits_test"}
UNUSABLE = {"train_dia125_utt3": "its clip cannot be decoded", "dev_dia110_utt7": "its clip is not in the archive"}
COLUMNS = {"emotion": "Emotion", "sentiment": "Sentiment"}
# Lines of the official CSV files. With audio, two neutral ones cannot be used: one of train, one of dev.
COUNTS = {
    "emotion": {
        "anger": (1109, 153, 345),
        "disgust": (271, 22, 68),
        "fear": (268, 40, 50),
        "joy": (1743, 163, 402),
        "neutral": (4710, 470, 1256),
        "sadness": (683, 111, 208),
        "surprise": (1205, 150, 281),
    },
    "sentiment": {"negative": (2945, 406, 833), "neutral": (4710, 470, 1256), "positive": (2334, 233, 521)},
}

LABELS = {task: list(counts) for task, counts in COUNTS.items()}


def utterances(corpus_dir: Path, args: argparse.Namespace) -> list[Utterance]:
    """Every line of the three CSV files that has a clip."""
    lines = [utt for part in PARTS for utt in read_csv(corpus_dir, part, COLUMNS[args.task])]
    for name, reason in UNUSABLE.items():
        layout.note(sum(utt.extra["utt2clip"] == name for utt in lines), f"utterance is left out: {name}, {reason}")
    utts = [utt for utt in lines if utt.extra["utt2clip"] not in UNUSABLE]
    return layout.keep_present(utts, corpus_dir, args.allow_partial)


def read_csv(corpus_dir: Path, part: str, column: str) -> Iterator[Utterance]:
    """Every line of one CSV file; some editions of it have broken quotes and dashes, which are repaired."""
    path = layout.find(corpus_dir, f"{part}_sent_emo.csv", obtain=OBTAIN)
    folder = layout.find(corpus_dir, CLIPS[part], obtain=OBTAIN).absolute()
    # 1,"Oh my God, he’s lost it. He’s totally lost it.",Phoebe,sadness,negative,0,0,4,7,"00:20:57,256","00:21:00,049"
    for row in layout.read_rows(path, ["Utterance", "Speaker", column, "Dialogue_ID", "Utterance_ID"]):
        clip = f"dia{row['Dialogue_ID']}_utt{row['Utterance_ID']}"
        speaker = re.sub(r"\W+", "_", row["Speaker"].strip())
        yield Utterance(
            utt_id=f"{speaker}-{part}_{clip}",
            audio=folder / f"{clip}.mp4",  # next to it lie ._ files and clips without a line
            speaker=speaker,
            emotion=row[column].strip(),
            text=row["Utterance"],
            extra={"utt2clip": f"{part}_{clip}", "utt2dialogue": f"{part}_dia{row['Dialogue_ID']}"},
            set=part,
        )


def folds(utts: list[Utterance], task: str) -> Folds:
    """The official split as the one fold."""
    description = f"MELD, {task}, official split; its train, dev and test share speakers (the series' main actors)"
    return Folds(f"meld-{task}-official", description, folds=layout.official_split(utts), speaker_disjoint=False)


def protocol(args: argparse.Namespace) -> recipe.Protocol:
    """Labels, fold and expected counts of the chosen task."""
    counts = COUNTS[args.task]
    unusable = {"train": 1, "dev": 1, "test": 0}
    sets = {
        part: {label: counts[label][index] - (label == "neutral") * unusable[part] for label in counts}
        for index, part in enumerate(PARTS)
    }
    return recipe.Protocol(LABELS[args.task], lambda utts: folds(utts, args.task), {"sets": sets})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which column of the CSV files is the label."""
    parser.add_argument("--task", choices=list(COLUMNS), default="emotion", help="what to recognise (default: emotion)")


if __name__ == "__main__":
    recipe.run(utterances, protocols=protocol, add_arguments=add_arguments, doc=__doc__, obtain=OBTAIN, origin=ORIGIN)
