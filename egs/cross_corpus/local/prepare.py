#!/usr/bin/env python3
"""Several prepared corpora as one: classes that they share, folds named after what they train on.

Every corpus becomes a data set of its own with unique ids (`ravdess-Actor01-...`), its name as domain (`utt2domain`)
and the audio that its own recipe has left in its dump.
"""

import argparse
from pathlib import Path

from m4ser.data.datadir import Utterance
from m4ser.data.folds import JOIN
from m4ser.recipes import recipe
from m4ser.recipes.crossing import classes_of, cross, cross_whole, origins_of, read_sources
from m4ser.utils import cli


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this recipe."""
    parser.add_argument("--corpora", type=cli.words, default=[], help="recipes or their data folders, [NAME=]FOLDER")
    parser.add_argument("--train", type=cli.words, help="what to train on, A+B for both together (default: each)")
    parser.add_argument("--test", type=cli.words, help="corpora to test on (default: all)")
    parser.add_argument("--joint", type=cli.boolean, default=False, help="true: train on all corpora together, too")
    parser.add_argument("--leave-one-out", type=cli.boolean, default=False, help="true: train on all but each, too")
    parser.add_argument("--whole", type=cli.boolean, default=False, help="true: train on whole corpora, test others")
    parser.add_argument("--label-map", type=Path, help="table with the columns corpus, label, class")
    parser.add_argument("--texts", type=cli.words, default=[], help="NAME=FOLDER of dump/asr, or NAME=ref")


def protocol(args: argparse.Namespace) -> recipe.Protocol:
    """Read the corpora; classes and folds come from them."""
    args.sources = read_sources(args.corpora, args.corpus_dir, args.label_map, args.texts)
    names = [source.name for source in args.sources]
    train = args.train or names
    if args.joint:
        train = [*train, JOIN.join(dict.fromkeys(JOIN.join(train).split(JOIN)))]
    if args.leave_one_out:
        train = [*train, *(JOIN.join(other for other in names if other != name) for name in args.test or names)]
    train = list(dict.fromkeys(train))
    make_folds = cross_whole if args.whole else cross
    return recipe.Protocol(
        classes_of(args.sources),
        lambda utts: make_folds(args.sources, train, args.test or names),
        origins=origins_of(args.sources),
    )


def utterances(corpus_dir: Path, args: argparse.Namespace) -> list[Utterance]:
    """Everything that has a class."""
    return [utt for source in args.sources for utt in source.utterances.values()]


if __name__ == "__main__":
    recipe.run(utterances, protocols=protocol, add_arguments=add_arguments, doc=__doc__)
