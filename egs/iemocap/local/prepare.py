#!/usr/bin/env python3
"""IEMOCAP (Busso et al. 2008): ten actors in five sessions of two, improvised and scripted dialogues.

Official layout: IEMOCAP_full_release/Session1/{dialog/EmoEvaluation, dialog/transcriptions, sentences/wav} to Session5.

Classes: 4 (angry, happy with excited, neutral, sad: 5531 utterances), 4-no-exc (excited left out) or 6. Folds: by
session (5) or by speaker (10); one speaker of the following session selects the model, or both of them.
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
from m4ser.recipes.splits import leave_groups_out

ORIGIN: Origin = {
    "name": "IEMOCAP",
    "licence": "other",
    "languages": ["en"],
    "address": "https://sail.usc.edu/iemocap/",
}
OBTAIN = "https://sail.usc.edu/iemocap/ (licence form; unpack it: IEMOCAP_full_release/Session1 to Session5)"
# [6.2901 - 8.2357]	Ses01F_impro01_F000	neu	[2.5000, 2.5000, 2.5000]
NAME = r"(?P<session>Ses0\d)[FM]_(?P<domain>impro|script)\w*_(?P<gender>[FM])\d+"
TURN = re.compile(rf"\[\S+ - \S+\]\t(?P<name>{NAME})\t(?P<category>\w+)")
# Ses01F_impro01_F000 [006.2901-008.2357]: Excuse me.
LINE = re.compile(r"(Ses0\w+) ?\[[\d.]+-[\d.]+\]: ?(.*)")
MARKUP = re.compile(r"\[[^]]*\]|\[\w+|\(xxx\)|\+\+\w+\+\+", re.IGNORECASE)  # [LAUGHTER], [BREATHING], (xxx)
FOUR = {"ang": "angry", "hap": "happy", "neu": "neutral", "sad": "sad"}
CLASSES = {
    "4": FOUR | {"exc": "happy"},
    "4-no-exc": FOUR,
    "6": {"ang": "angry", "exc": "excited", "fru": "frustrated", "hap": "happy", "neu": "neutral", "sad": "sad"},
}
COUNTS = {"ang": 1103, "exc": 1041, "fru": 1849, "hap": 595, "neu": 1708, "sad": 1084}
PER_SESSION = {"4": (1085, 1023, 1151, 1031, 1241), "4-no-exc": (942, 813, 1000, 793, 942)}


def utterances(corpus_dir: Path, args: argparse.Namespace) -> list[Utterance]:
    """All utterances with a label of the chosen classes."""
    root = layout.find(corpus_dir, "Session[1-5]", obtain=OBTAIN).parent
    utts = [utt for session in sorted(root.glob("Session[1-5]")) for utt in _session(session, CLASSES[args.classes])]
    layout.note(sum(not utt.text for utt in utts), "utterances have no word in their transcript; they are kept")
    return layout.keep_present(utts, corpus_dir, args.allow_partial)


def _session(folder: Path, classes: dict[str, str]) -> Iterator[Utterance]:
    text: dict[str, str] = {}
    for path in sorted(folder.glob("dialog/transcriptions/Ses*.txt")):  # ._Ses*.txt are leftovers of a Mac
        text |= LINE.findall(layout.read_text(path))
    for path in sorted(folder.glob("dialog/EmoEvaluation/Ses*.txt")):
        for match in TURN.finditer(layout.read_text(path)):
            name, category = match["name"], match["category"]
            if category not in classes:
                continue
            # Ses01F says who wears the markers of motion capture; who speaks is the letter after the last "_".
            speaker, raw = match["session"] + match["gender"], text.get(name, "")
            yield Utterance(
                utt_id=f"{speaker}-{name}",
                audio=folder.absolute() / "sentences/wav" / name.rpartition("_")[0] / f"{name}.wav",
                speaker=speaker,
                emotion=classes[category],
                text=" ".join(MARKUP.sub(" ", raw).split()),
                extra={f"utt2{what}": match[what] for what in ("category", "domain", "gender", "session")}
                | {"utt2rawtext": raw.strip() or "-"},
            )


def folds(utts: list[Utterance], args: argparse.Namespace) -> Folds:
    """Leave one session or one speaker out; women and men take turns as dev speakers."""
    sessions, test, dev = sorted({utt.extra["utt2session"] for utt in utts}), [], {}
    for index, (session, following) in enumerate(zip(sessions, sessions[1:] + sessions[:1], strict=True)):
        for testers in ("FM",) if args.folds == "session" else ("F", "M"):
            one = testers if len(testers) == 1 else "FM"[index % 2]
            test.append([session + letter for letter in testers])
            dev[str(len(test))] = [following + letter for letter in ("FM" if args.dev == "session" else one)]
    description = f"IEMOCAP, classes {args.classes}, leave one {args.folds} out, dev: one {args.dev}, next in turn"
    name = f"iemocap-{args.classes}-leave-one-{args.folds}-out" + "-dev-session" * (args.dev == "session")
    return leave_groups_out(name, description, utts, test, dev)


def protocol(args: argparse.Namespace) -> recipe.Protocol:
    """Labels, folds and expected counts of the chosen options."""
    classes = CLASSES[args.classes]
    expected: Expected = {
        "utterances": sum(COUNTS[code] for code in classes),
        "speakers": 10,
        "utt2session": {f"Ses0{n}": count for n, count in enumerate(PER_SESSION.get(args.classes, ()), 1)},
        "utt2category": {code: COUNTS[code] for code in classes},
    }
    return recipe.Protocol(sorted(set(classes.values())), lambda utts: folds(utts, args), expected)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Classes and folds."""
    parser.add_argument("--classes", choices=list(CLASSES), default="4", help="which emotions (default: 4)")
    parser.add_argument("--folds", choices=["session", "speaker"], default="session", help="what tests in turn")
    parser.add_argument("--dev", choices=["speaker", "session"], default="speaker", help="who selects the model")


if __name__ == "__main__":
    recipe.run(utterances, protocols=protocol, add_arguments=add_arguments, doc=__doc__, obtain=OBTAIN, origin=ORIGIN)
