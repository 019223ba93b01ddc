#!/usr/bin/env python3
"""MELD's lines of dialogue and their emotions (Poria et al. 2019), spoken by espeak-ng: only the words carry emotion.

Corpus folder: the one with train_sent_emo.csv, dev_sent_emo.csv and test_sent_emo.csv; no recording is used. The
speech is made by local/speech.py and kept in --speech-dir, with noise if wanted.

Protocol meld-tts-N: the official test and development lines, and N of the training lines, drawn once for all.
"""

import argparse
import hashlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import speech  # beside this file

from m4ser.data.datadir import Utterance
from m4ser.data.folds import PARTS, Folds
from m4ser.data.origin import Origin
from m4ser.recipes import layout, recipe
from m4ser.utils.errors import UserError

ORIGIN: Origin = {
    "name": "MELD's lines in synthetic speech",
    "licence": "other",
    "languages": ["en"],
    "address": "https://github.com/declare-lab/MELD",
}
OBTAIN = "https://github.com/declare-lab/MELD (data/MELD: the three CSV files, 1.5 MB)"
LABELS = ["anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise"]
TALKER_LINES = 3000  # training lines that babble is made of
LINES = {"train": 9988, "dev": 1109, "test": 2610}  # of the official files; one of train is a mere "!"


def utterances(corpus_dir: Path, args: argparse.Namespace) -> Iterator[Utterance]:
    """Speak all lines that were not spoken before; yield them."""
    if (args.noise == "none") != (args.snr is None):
        raise UserError("--noise and --snr: give both or none, e.g. --noise babble --snr 5")
    utts = [utt for part in PARTS for utt in read_csv(corpus_dir, part)]
    limits = {"train": args.train_lines, "dev": args.dev_lines, "test": args.test_lines}
    talkers = []
    if args.noise == "babble":  # of the same people whatever --train-lines is: what was mixed before is used again
        talkers = [line_of(utt) for utt in draw([u for u in utts if u.set == "train"], TALKER_LINES)]
    utts = [utt for part in PARTS for utt in draw([u for u in utts if u.set == part], limits[part])]
    lines = list(map(line_of, utts))
    clean, jobs = args.speech_dir / "clean", len(os.sched_getaffinity(0))
    speech.speak_all(clean, list(dict.fromkeys([*lines, *talkers])), jobs)
    folder = clean
    if args.noise != "none":
        folder = args.speech_dir / f"{args.noise}{args.snr}"
        speech.mix_all(clean, folder, lines, talkers, args.noise, args.snr, jobs)
    for utt in utts:
        utt.audio = (folder / f"{utt.utt_id}.flac").absolute()
        yield utt


def line_of(utt: Utterance) -> speech.Line:
    """What is to be spoken."""
    return speech.Line(utt.utt_id, utt.speaker, utt.text)


def read_csv(corpus_dir: Path, part: str) -> Iterator[Utterance]:
    """Every line of one CSV file that can be said; broken quotes and dashes of some editions are repaired."""
    path = layout.find(corpus_dir, f"{part}_sent_emo.csv", obtain=OBTAIN)
    # 1,"Oh my God, he’s lost it. He’s totally lost it.",Phoebe,sadness,negative,0,0,4,7,"00:20:57,256","00:21:00,049"
    for row in layout.read_rows(path, ["Utterance", "Speaker", "Emotion", "Dialogue_ID", "Utterance_ID"]):
        speaker = re.sub(r"\W+", "_", row["Speaker"].strip())
        if speech.spoken(row["Utterance"]):
            line = f"{part}_dia{row['Dialogue_ID']}_utt{row['Utterance_ID']}"
            emotion = row["Emotion"].strip()
            yield Utterance(f"{speaker}-{line}", Path(), speaker, emotion, row["Utterance"], set=part)


def draw(utts: list[Utterance], count: int) -> list[Utterance]:
    """So many of them, 0 for all: a smaller number is a part of a larger one."""
    ranked = sorted(utts, key=lambda utt: hashlib.sha256(utt.utt_id.encode()).digest())
    return sorted(ranked[: count or None], key=lambda utt: utt.utt_id)


def folds(utts: list[Utterance]) -> Folds:
    """The official split as the one fold."""
    count = {part: sum(utt.set == part for utt in utts) for part in PARTS}
    name = f"meld-tts-{count['train']}"
    if (count["dev"], count["test"]) != (LINES["dev"], LINES["test"]):
        name += f"-{count['dev']}-{count['test']}"
    description = (
        f"MELD's lines spoken by espeak-ng (synthetic, not MELD): official split, {count['train']} of its training "
        f"lines, {count['dev']} development and {count['test']} test lines; train, dev and test share speakers"
    )
    return Folds(name, description, folds=layout.official_split(utts), speaker_disjoint=False)


def protocol(args: argparse.Namespace) -> recipe.Protocol:
    """The expected counts follow from what was asked for."""
    line_counts = {"train": args.train_lines, "dev": args.dev_lines, "test": args.test_lines}
    sets = {part: min(LINES[part], line_counts[part] or LINES[part]) for part in PARTS}
    return recipe.Protocol(LABELS, folds, {"utterances": sum(sets.values()), "sets": sets})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Noise, size, place of the speech."""
    parser.add_argument("--noise", choices=speech.KINDS, default="none", help="what is added (default: none)")
    parser.add_argument("--snr", type=int, help="signal-to-noise ratio, dB")
    parser.add_argument("--speech-dir", type=Path, default=Path("speech"), help="keeps the speech (default: speech)")
    parser.add_argument("--train-lines", type=int, default=3000, help="training lines, 0 for all (default: 3000)")
    parser.add_argument("--dev-lines", type=int, default=0, help="development lines, 0 for all (default: 0)")
    parser.add_argument("--test-lines", type=int, default=0, help="test lines, 0 for all (default: 0)")


if __name__ == "__main__":
    recipe.run(utterances, protocols=protocol, add_arguments=add_arguments, doc=__doc__, obtain=OBTAIN, origin=ORIGIN)
