#!/usr/bin/env python3
"""Corpora in several languages as one: each is left out once, and one more model is trained on all of them.

Every corpus becomes a data set of its own with unique ids (`ravdess-Actor01-...`), its name as domain (`utt2domain`)
and the audio that its own recipe has left in its dump.
"""

import argparse
from pathlib import Path

from m4ser.data.datadir import Utterance
from m4ser.recipes import recipe
from m4ser.recipes.crossing import classes_of, leave_one_out, origins_of, read_sources
from m4ser.utils import cli

CORPORA = ("ravdess", "emodb", "nemo")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this recipe."""
    parser.add_argument("--corpora", type=cli.words, default=list(CORPORA), help="recipes or their data folders")
    parser.add_argument("--unheard", type=cli.words, default=[], help="further ones, which are only tested")
    parser.add_argument("--label-map", type=Path, help="table with the columns corpus, label, class")


def protocol(args: argparse.Namespace) -> recipe.Protocol:
    """Read the corpora; classes and folds come from them."""
    args.sources = read_sources([*args.corpora, *args.unheard], args.corpus_dir, args.label_map)
    unheard = [source.name for source in args.sources[len(args.corpora) :]]
    return recipe.Protocol(
        classes_of(args.sources), lambda utts: leave_one_out(args.sources, unheard), origins=origins_of(args.sources)
    )


def utterances(corpus_dir: Path, args: argparse.Namespace) -> list[Utterance]:
    """Everything that has a class."""
    return [utt for source in args.sources for utt in source.utterances.values()]


if __name__ == "__main__":
    recipe.run(utterances, protocols=protocol, add_arguments=add_arguments, doc=__doc__)
