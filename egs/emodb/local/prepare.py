#!/usr/bin/env python3
"""EmoDB (Burkhardt et al. 2005): German, 10 speakers, 10 sentences, 7 emotions, 535 recordings.

Official layout: wav/03a01Fa.wav, in the archive of the authors as well as in version 1 of the audformat one.

Protocol emodb-loso: each speaker tests once, a woman and a man of the others select models. --emobox-dir: the split
of EmoBox, which shares all speakers.
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

ORIGIN: Origin = {
    "name": "EmoDB",
    "licence": "cc-by-4.0",
    "languages": ["de"],
    "address": "https://zenodo.org/records/7447302",
}
OBTAIN = "https://zenodo.org/records/7447302 (emodb.zip) or http://emodb.bilderbar.info/download (folder wav)"
ARCHIVE = Archive(
    "https://zenodo.org/records/7447302/files/emodb.zip?download=1", "md5:9d21362dbc5676ef3ab4745d83ced0db"
)
LIKE = "03a01Fa.wav"
# 03a01Fa: speaker - sentence - emotion (initial of the German word) - version
NAME = re.compile(r"(?P<speaker>\d\d)(?P<sentence>[ab]\d\d)(?P<emotion>[A-Z])(?P<version>[a-z]?)")
EMOTIONS = {
    "W": "angry",  # Wut
    "L": "bored",  # Langeweile
    "E": "disgust",  # Ekel
    "A": "fearful",  # Angst
    "F": "happy",  # Freude
    "N": "neutral",
    "T": "sad",  # Trauer
}
LABELS = list(EMOTIONS.values())
SENTENCES = {
    "a01": "Der Lappen liegt auf dem Eisschrank.",
    "a02": "Das will sie am Mittwoch abgeben.",
    "a04": "Heute Abend könnte ich es ihm sagen.",
    "a05": "Das schwarze Stück Papier befindet sich da oben neben dem Holzstück.",
    "a07": "In sieben Stunden wird es soweit sein.",
    "b01": "Was sind denn das für Tüten, die da unter dem Tisch stehen?",
    "b02": "Sie haben es gerade hochgetragen und jetzt gehen sie wieder runter.",
    "b03": "An den Wochenenden bin ich jetzt immer nach Hause gefahren und habe Agnes besucht.",
    "b09": "Ich will das eben wegbringen und dann mit Karl was trinken gehen.",
    "b10": "Die wird auf dem Platz sein, wo wir sie immer hinlegen.",
}
MEN = ("03", "10", "11", "12", "15")
GENDER = {s: "male" if s in MEN else "female" for s in ("03", "08", "09", "10", "11", "12", "13", "14", "15", "16")}
COUNTS = (127, 81, 46, 69, 71, 79, 62)
EXPECTED: Expected = {"utterances": 535, "speakers": 10, "labels": dict(zip(LABELS, COUNTS, strict=True))}


def utterances(corpus_dir: Path, args: argparse.Namespace) -> Iterator[Utterance]:
    """Yield the recordings of the folder wav."""
    folder = layout.find(corpus_dir, "wav", obtain=OBTAIN)
    for path in layout.recordings(folder, "*", like=LIKE, obtain=OBTAIN):
        match = layout.read_name(path, NAME, "EmoDB", LIKE, speaker=GENDER, sentence=SENTENCES, emotion=EMOTIONS)
        speaker = match["speaker"]
        yield Utterance(
            utt_id=f"{speaker}-{path.stem}",
            audio=path.absolute(),
            speaker=speaker,
            emotion=EMOTIONS[match["emotion"]],
            text=SENTENCES[match["sentence"]],
            extra={"utt2gender": GENDER[speaker], "utt2lang": "de"},
        )


def folds(utts: list[Utterance]) -> Folds:
    """Ten folds, one for each speaker."""
    groups = {speaker: [speaker] for speaker in GENDER}
    description = "EmoDB, 7 classes, each speaker tests in turn, two others are dev"
    return leave_groups_out("emodb-loso", description, utts, groups, dev=2, gender=GENDER)


if __name__ == "__main__":
    recipe.run(
        utterances,
        folds,
        LABELS,
        EXPECTED,
        doc=__doc__,
        obtain=OBTAIN,
        origin=ORIGIN,
        download=[ARCHIVE],
        emobox="emodb",
    )
