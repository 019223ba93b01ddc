"""Compare recognisers of one corpus: word error rates, kinds of errors, speed, as Markdown and JSON."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from m4ser.scoring.recognisers import collect, markdown
from m4ser.scoring.report import write_table
from m4ser.utils import cli


def get_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--asr-dir", type=Path, nargs="+", required=True, help="folders dump/asr/<asr>, scored")
    parser.add_argument("--names", nargs="+", default=[], help="names of the rows (default: those of the folders)")
    parser.add_argument("--sets", type=cli.words, default=[], help="sets, e.g. 'test' (default: all there)")
    parser.add_argument("--out", type=Path, default=Path("exp/asr"), help="writes OUT.md and OUT.json")
    return parser


@cli.command
def main(cmd: Sequence[str] | None = None) -> None:
    """Run the command."""
    args = get_parser().parse_args(cmd)
    result = collect(args.asr_dir, args.sets, cli.row_names(args.names, args.asr_dir))
    write_table(args.out, markdown(result), result)


if __name__ == "__main__":
    main()
