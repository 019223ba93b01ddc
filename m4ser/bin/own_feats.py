"""Write speech features of your own, by utterance, as stage 1 writes those of a speech encoder."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from m4ser.data.own_features import make
from m4ser.utils import cli


def get_parser() -> argparse.ArgumentParser:
    """Command line of the step."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--features", required=True, help="table, .npz or .scp; {set} in its name: one for each set")
    parser.add_argument("--data", type=Path, default=Path("data"), help="data directories of stage 0 (default: data)")
    parser.add_argument("--audio", type=Path, default=Path("dump/audio"), help="those of stage 1 (default: dump/audio)")
    parser.add_argument("--out", type=Path, required=True, help="where to write, e.g. dump/feats/own_cues")
    return parser


@cli.command
def main(cmd: Sequence[str] | None = None) -> None:
    """Write the features of all sets."""
    args = get_parser().parse_args(cmd)
    print(*make(args.features, args.data, args.audio, args.out), sep="\n")


if __name__ == "__main__":
    main()
