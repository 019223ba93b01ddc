#!/usr/bin/env python3
"""CREMA-D (Cao et al. 2014): 91 actors, 12 sentences, 6 emotions, 7442 clips.

Official layout: AudioWAV/1001_DFA_ANG_XX.wav and, for the gender, VideoDemographics.csv next to that folder.

Protocol crema_d-5fold: speaker-disjoint; fold k tests the actors whose number leaves the same rest when divided by
five, eight of the next group select models. --emobox-dir: the split of EmoBox, which shares all actors.
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
from m4ser.recipes.download import Archive, fetch_archives, fill_lfs_pointers, is_lfs_pointer
from m4ser.recipes.splits import leave_groups_out
from m4ser.utils.errors import UserError

ORIGIN: Origin = {
    "name": "CREMA-D",
    "licence": "odbl",
    "languages": ["en"],
    "address": "https://github.com/CheyneyComputerScience/CREMA-D",
}
OBTAIN = "https://github.com/CheyneyComputerScience/CREMA-D with git lfs (only AudioWAV and VideoDemographics.csv)"
# The archive holds Git LFS pointers with checksums instead of audio; those are then filled one by one.
REPOSITORY = "CheyneyComputerScience/CREMA-D"
ARCHIVE = Archive(
    f"https://codeload.github.com/{REPOSITORY}/zip/refs/heads/master",
    only=r"CREMA-D-master/(AudioWAV/|VideoDemographics\.csv|LICENSE)",
)
AUDIO_URL = f"https://media.githubusercontent.com/media/{REPOSITORY}/master/AudioWAV"
LIKE = "1001_DFA_ANG_XX.wav"
# 1001_DFA_ANG_XX: actor - sentence - emotion - level (low, medium, high, unspecified)
NAME = re.compile(r"(?P<actor>1\d{3})_(?P<sentence>[A-Z]{3})_(?P<emotion>[A-Z]{3})_(?P<level>[A-Z]{2})")
EMOTIONS = {"ANG": "angry", "DIS": "disgust", "FEA": "fearful", "HAP": "happy", "NEU": "neutral", "SAD": "sad"}
LABELS = list(EMOTIONS.values())
LEVELS = {"LO": "low", "MD": "medium", "HI": "high", "XX": "unspecified"}
SENTENCES = {
    "IEO": "It's eleven o'clock",
    "TIE": "That is exactly what happened",
    "IOM": "I'm on my way to the meeting",
    "IWW": "I wonder what this is about",
    "TAI": "The airplane is almost full",
    "MTI": "Maybe tomorrow it will be cold",
    "IWL": "I would like a new alarm clock",
    "ITH": "I think I have a doctor's appointment",
    "DFA": "Don't forget a jacket",
    "ITS": "I think I've seen this before",
    "TSI": "The surface is slick",
    "WSI": "We'll stop in a couple of minutes",
}
ACTORS = [str(actor) for actor in range(1001, 1092)]
EXPECTED: Expected = {
    "utterances": 7442,
    "speakers": 91,
    "labels": {x: 1087 if x == "neutral" else 1271 for x in LABELS},
}


def utterances(corpus_dir: Path, args: argparse.Namespace) -> Iterator[Utterance]:
    """Yield the clips of AudioWAV."""
    folder = layout.find(corpus_dir, "AudioWAV", obtain=OBTAIN)
    gender = _genders(folder.with_name("VideoDemographics.csv"))
    for path in layout.recordings(folder, "*", like=LIKE, obtain=OBTAIN):
        match = layout.read_name(
            path, NAME, "CREMA-D", LIKE, actor=ACTORS, sentence=SENTENCES, emotion=EMOTIONS, level=LEVELS
        )
        if is_lfs_pointer(path):
            raise UserError(f"{path}: only a Git LFS pointer, not audio; run `git lfs pull` in the clone of {OBTAIN}")
        actor = match["actor"]
        extra = {"utt2level": LEVELS[match["level"]]} | ({"utt2gender": gender[actor]} if gender else {})
        emotion, text = EMOTIONS[match["emotion"]], SENTENCES[match["sentence"]]
        yield Utterance(f"{actor}-{path.stem}", path.absolute(), actor, emotion, text, extra=extra)


def _genders(path: Path) -> dict[str, str]:
    # "ActorID","Age","Sex","Race","Ethnicity"
    # 1001,51,"Male","Caucasian","Not Hispanic"
    if not path.is_file():
        return {}
    gender = {row["ActorID"]: row["Sex"].lower() for row in layout.read_rows(path, ["ActorID", "Sex"])}
    if missing := [actor for actor in ACTORS if actor not in gender]:
        raise UserError(f"{path}: actor {missing[0]} is missing; copy the file again, or remove it")
    return gender


def folds(utts: list[Utterance]) -> Folds:
    """Five folds by actors; which actor is in which group does not depend on what was found."""
    groups = [ACTORS[first::5] for first in range(5)]
    description = "CREMA-D, 6 classes, five groups of actors test in turn, eight of the next group are dev"
    return leave_groups_out("crema_d-5fold", description, utts, groups, dev=8)


def download(folder: Path) -> None:
    """Fetch the pointers, then the clips."""
    fetch_archives(folder, [ARCHIVE])
    fill_lfs_pointers(layout.find(folder, "AudioWAV"), AUDIO_URL)


if __name__ == "__main__":
    recipe.run(
        utterances,
        folds,
        LABELS,
        EXPECTED,
        doc=__doc__,
        obtain=OBTAIN,
        origin=ORIGIN,
        download=download,
        emobox="cremad",
    )
