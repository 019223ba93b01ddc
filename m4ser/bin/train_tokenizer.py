"""Sentencepiece models for a text encoder that is trained from scratch (stage 3), one for each fold.

A model sees the words of its fold's training part only, recognised ones and those of the targets: nothing of a test
speaker's text is in its vocabulary.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from m4ser.utils.cli import command


def get_parser() -> argparse.ArgumentParser:
    """Command line of the step."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--data", default="data", help="folder with folds.json (default: data)")
    parser.add_argument("--text", required=True, help="stage 3 targets of one text source: dump/text/<source>")
    parser.add_argument("--tokens", type=int, required=True, help="size of the models, special tokens included")
    parser.add_argument("--out", type=Path, required=True, help="where to write fold<k>/")
    return parser


@command
def main(cmd: Sequence[str] | None = None) -> None:
    """Train one model per fold."""
    args = get_parser().parse_args(cmd)
    from m4ser.training.tokenizer import train_tokenizers

    train_tokenizers(args.data, args.text, args.tokens, args.out)


if __name__ == "__main__":
    main()
