#!/usr/bin/env python3
"""RAVDESS (Livingstone & Russo 2018): speech part, 24 actors, 8 emotions, 1440 recordings.

Official layout: Actor_12/03-01-06-01-02-01-12.wav (FLAC is accepted too), or if no actor is there, one folder deeper
(audio_speech_actors_01-24/Actor_12/...). Song and video files next to them are left out.

Protocol ravdess-emobox-6fold: the six test groups of actors of EmoBox (Ma et al. 2024); two other actors, a woman and
a man, are taken from the training side to select models.
"""

import argparse
import re
from collections.abc import Iterator
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
    "name": "RAVDESS",
    "licence": "cc-by-nc-sa-4.0",
    "languages": ["en"],
    "address": "https://zenodo.org/records/1188976",
}
OBTAIN = "https://zenodo.org/records/1188976 (Audio_Speech_Actors_01-24.zip)"
ARCHIVE = Archive(
    "https://zenodo.org/records/1188976/files/Audio_Speech_Actors_01-24.zip?download=1",
    "md5:bc696df654c87fed845eb13823edef8a",
)
# 03-01-06-01-02-01-12: modality (03 = audio only) - channel (01 = speech) - emotion - intensity - statement -
# repetition - actor (odd = male)
NAME = re.compile(r"03-01-(?P<emotion>\d\d)-(?P<intensity>\d\d)-(?P<statement>\d\d)-\d\d-(?P<actor>\d\d)")
OTHER_PARTS = re.compile(r"(01|02|03)-(01|02)(-\d\d){5}")
EMOTIONS = {
    "01": "neutral",
    "02": "calm",
    "03": "happy",
    "04": "sad",
    "05": "angry",
    "06": "fearful",
    "07": "disgust",
    "08": "surprised",
}
LABELS = list(EMOTIONS.values())
INTENSITIES = {"01": "normal", "02": "strong"}
STATEMENTS = {"01": "Kids are talking by the door", "02": "Dogs are sitting by the door"}
EXPECTED: Expected = {
    "utterances": 1440,
    "speakers": 24,
    "labels": {label: 96 if label == "neutral" else 192 for label in LABELS},  # neutral has one intensity only
}
TEST_ACTORS = ((1, 11, 20, 21), (4, 10, 12, 14), (8, 9, 19, 23), (3, 5, 7, 24), (2, 15, 16, 18), (6, 13, 17, 22))


def utterances(corpus_dir: Path, args: argparse.Namespace) -> Iterator[Utterance]:
    """Yield the speech recordings below `corpus_dir`."""
    # Not both: a popular copy of the corpus has everything twice.
    files = list(corpus_dir.glob("Actor_*/*")) or list(corpus_dir.glob("*/Actor_*/*"))
    chosen: dict[str, Path] = {}
    for path in sorted(files):
        if path.suffix.lower() not in (".wav", ".flac") or path.name.startswith("."):
            continue
        if OTHER_PARTS.fullmatch(path.stem) and not NAME.fullmatch(path.stem):
            continue
        if path.stem in chosen:
            raise UserError(f"{path}: the same recording is also {chosen[path.stem]}; delete one of the two")
        chosen[path.stem] = path
        yield _utterance(path)


def _utterance(path: Path) -> Utterance:
    codes = {"emotion": EMOTIONS, "intensity": INTENSITIES, "statement": STATEMENTS}
    match = layout.read_name(path, NAME, "RAVDESS", "03-01-06-01-02-01-12.wav", **codes)
    actor = int(match["actor"])
    if path.parent.name != f"Actor_{actor:02d}" or not 1 <= actor <= 24:
        raise UserError(f"{path}: the actor in the name does not fit the folder; move or remove the file")
    speaker = f"Actor{actor:02d}"
    return Utterance(
        utt_id=f"{speaker}-{path.stem}",
        audio=path.absolute(),
        speaker=speaker,
        emotion=EMOTIONS[match["emotion"]],
        text=STATEMENTS[match["statement"]],
        extra={"utt2gender": "male" if actor % 2 else "female", "utt2intensity": INTENSITIES[match["intensity"]]},
    )


def folds(utts: list[Utterance]) -> Folds:
    """Six folds by test actors."""
    gender = {utt.speaker: utt.extra["utt2gender"] for utt in utts}
    groups = [[s for actor in group if (s := f"Actor{actor:02d}") in gender] for group in TEST_ACTORS]
    description = "RAVDESS speech, 8 classes, six folds by test actors as in EmoBox, dev actors from the training side"
    return leave_groups_out("ravdess-emobox-6fold", description, utts, groups, dev=2, gender=gender)


if __name__ == "__main__":
    recipe.run(utterances, folds, LABELS, EXPECTED, doc=__doc__, obtain=OBTAIN, origin=ORIGIN, download=[ARCHIVE])
