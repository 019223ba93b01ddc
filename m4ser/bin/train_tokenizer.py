"""Sentencepiece models for a text encoder that is trained from scratch (stage 3), one for each fold.

A model sees the words of its fold's training part only, recognised ones and those of the targets: nothing of a test
speaker's text is in its vocabulary.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from m4ser.asr.alignment import apply_edits, from_line
from m4ser.training.experiment import read_maps
from m4ser.training.lists import read_folds
from m4ser.training.tokenizer import train_tokenizer
from m4ser.utils import cli


def get_parser() -> argparse.ArgumentParser:
    """Command line of the step."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--data", default="data", help="folder with folds.json (default: data)")
    parser.add_argument("--text", required=True, help="stage 3 targets of one text source: dump/text/<source>")
    parser.add_argument("--tokens", type=int, required=True, help="size of the models, special tokens included")
    parser.add_argument("--out", type=Path, required=True, help="where to write fold<k>/")
    return parser


@cli.command
def main(cmd: Sequence[str] | None = None) -> None:
    """Train one model per fold."""
    args = get_parser().parse_args(cmd)
    folds = read_folds(args.data)
    edits = read_maps(args.text, folds.sets, "edits", stage=3)
    for name, fold in folds.folds.items():
        lines = [words for utt in fold.train if utt in edits for words in texts(edits[utt])]
        size = train_tokenizer(lines, args.tokens, args.out / f"fold{name}")
        print(f"{args.out / f'fold{name}'}: {size} tokens from {len(fold.train)} utterances")


def texts(line: str) -> list[str]:
    """What was recognised and, where it is known, what was said."""
    edits = json.loads(line)
    heard = " ".join(edits["words"])
    if "tags" not in edits:
        return [heard]
    return [heard, " ".join(apply_edits(*from_line(line)))]


if __name__ == "__main__":
    main()
