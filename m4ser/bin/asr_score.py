"""Word error rate of recognised text (stage 2): writes `wer.json` beside it and prints a table."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from m4ser.asr.normalise import NAMES
from m4ser.asr.scoring import describe, score_sets
from m4ser.utils import cli


def get_parser() -> argparse.ArgumentParser:
    """Command line of the step."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--data-dir", type=Path, default=Path("dump/audio"), help="references (default: dump/audio)")
    parser.add_argument("--sets", type=cli.words, default=[], help="sets, e.g. 'train dev test' (default: all there)")
    parser.add_argument("--asr-dir", type=Path, required=True, help="recognised text, e.g. dump/asr/whisper-tiny.en")
    parser.add_argument("--normaliser", default="english", help=f"one of {', '.join(NAMES)} (default: english)")
    return parser


@cli.command
def main(cmd: Sequence[str] | None = None) -> None:
    """Score every set."""
    args = get_parser().parse_args(cmd)
    for name, report in score_sets(args.data_dir, args.asr_dir, args.sets, args.normaliser).items():
        print(describe(name, report))


if __name__ == "__main__":
    main()
