#!/usr/bin/env python3
"""MYCORPUS: whose it is, what it holds, where to get it (fill in).

What has to be filled in is marked TODO. As it stands, the file reads this layout:
SPEAKER/NUMBER_EMOTION.wav, for instance anna/017_happy.wav, with the spoken words in anna/017_happy.txt if known.
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

# TODO: the classes in the order of their index, and the corpus' own names for them.
EMOTIONS = {"angry": "angry", "happy": "happy", "neutral": "neutral", "sad": "sad"}
LABELS = list(dict.fromkeys(EMOTIONS.values()))
# TODO: counts of the complete corpus; a corpus folder with others is refused (`--allow-partial true` accepts it). For
# instance {"utterances": 1440, "speakers": 24, "labels": {"angry": 192}}; empty: no check.
EXPECTED: Expected = {}
# TODO: name, licence as model hubs write it (cc-by-4.0; "other"), languages, address: for the cards of models.
ORIGIN: Origin = {"name": "MYCORPUS", "licence": "other", "languages": ["en"], "address": ""}
OBTAIN = ""  # TODO: where to get the corpus, shown when it is not there
# TODO: quote a line of the metadata or a file name of the corpus above its parser. Here
LIKE = "anna/017_happy.wav"
NAME = re.compile(r"(?P<number>\w+)_(?P<emotion>[a-z]+)")


def utterances(corpus_dir: Path, args: argparse.Namespace) -> Iterator[Utterance]:
    """Yield everything that the corpus has; order does not matter."""
    for path in layout.recordings(corpus_dir, "*/*", like=LIKE, obtain=OBTAIN):
        match = layout.read_name(path, NAME, "MYCORPUS", LIKE, emotion=EMOTIONS)
        speaker = path.parent.name
        words = path.with_suffix(".txt")
        yield Utterance(
            utt_id=f"{speaker}-{path.stem}",  # unique; speaker first, then ids sort by speaker
            audio=path.absolute(),  # start=, end= in seconds if it is a part of the file
            speaker=speaker,
            emotion=EMOTIONS[match["emotion"]],
            text=words.read_text(encoding="utf-8").strip() if words.is_file() else "",
            extra={},  # further lists, e.g. {"utt2gender": "female"}
        )


def folds(utts: list[Utterance]) -> Folds:
    """Who tests, who selects the model, who trains: no speaker may do two of it. Here five groups test in turn."""
    speakers = sorted({utt.speaker for utt in utts})
    groups = [speakers[first::5] for first in range(min(5, len(speakers)))]
    # TODO: name the protocol: results are compared only within one.
    return leave_groups_out("mycorpus-5fold", "MYCORPUS, five groups of speakers test in turn", utts, groups, dev=1)


if __name__ == "__main__":
    recipe.run(utterances, folds, LABELS, EXPECTED, doc=__doc__, obtain=OBTAIN, origin=ORIGIN)
