"""Stages 1 and 2 of crossed corpora: join what their own recipes have made (see m4ser.stages.joining)."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from m4ser.stages.joining import join
from m4ser.utils import cli


def get_parser() -> argparse.ArgumentParser:
    """Command line of the step."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder with folds.json (default: data)")
    parser.add_argument("--dump", type=Path, default=Path("dump"), help="folder of all dumps (default: dump)")
    parser.add_argument("--out", type=Path, required=True, help="audio, feats/ENCODER or asr/ASR in it")
    return parser


@cli.command
def main(cmd: Sequence[str] | None = None) -> None:
    """Join one kind of dump."""
    args = get_parser().parse_args(cmd)
    print(*join(args.data, args.dump, args.out), sep="\n")


if __name__ == "__main__":
    main()
