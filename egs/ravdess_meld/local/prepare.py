#!/usr/bin/env python3
"""Pairs of a RAVDESS recording and a MELD line of the same emotion: voice and words come from different people.

Voices are those of egs/ravdess, lines and their recognised text those of egs/meld_tts; both have been run to stage 2.
The seven emotions of MELD are those of RAVDESS without calm.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

from m4ser.data.datadir import Utterance
from m4ser.data.origin import read_origins
from m4ser.recipes import layout, pairing, recipe

# RAVDESS -> MELD
CLASSES = {
    "angry": "anger",
    "disgust": "disgust",
    "fearful": "fear",
    "happy": "joy",
    "neutral": "neutral",
    "sad": "sadness",
    "surprised": "surprise",
}
LABELS = list(CLASSES.values())


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this recipe."""
    parser.add_argument("--voices", default="ravdess", help="folder of the recipe of the voices (default: ravdess)")
    parser.add_argument(
        "--words", default="meld_tts", help="of the words, or one of its data folders (default: meld_tts)"
    )
    parser.add_argument("--lines-per-clip", type=int, default=4, help="lines of a clip in each part (default: 4)")
    parser.add_argument("--pair-seed", type=int, default=1, help="of the drawing of the pairs (default: 1)")


def protocol(args: argparse.Namespace) -> recipe.Protocol:
    """Draw the pairs; the folds come with them."""
    root = args.corpus_dir
    voices = pairing.read_side(args.voices, root, "--voices", CLASSES)
    lines = pairing.read_side(args.words, root, "--words", {label: label for label in LABELS})
    args.pairs, folds = pairing.draw(voices, lines, args.lines_per_clip, args.pair_seed)
    pair_folds = pairing.protocol(voices, lines, args.lines_per_clip, args.pair_seed, folds)
    origins = read_origins(voices.data) | read_origins(lines.data)
    return recipe.Protocol(LABELS, lambda _: pair_folds, origins=origins)


def utterances(corpus_dir: Path, args: argparse.Namespace) -> Iterator[Utterance]:
    """All pairs."""
    clips = {utt.extra[pairing.CLIPS] for utt in args.pairs}
    layout.note(len(clips), f"recordings are paired with {len({utt.extra[pairing.LINES] for utt in args.pairs})} lines")
    yield from args.pairs


if __name__ == "__main__":
    recipe.run(utterances, protocols=protocol, add_arguments=add_arguments, doc=__doc__)
