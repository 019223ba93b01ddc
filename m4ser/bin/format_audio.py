"""Turn the recordings of data directories into one 16 kHz mono 16-bit FLAC file per utterance (stage 1)."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from m4ser.data import parts
from m4ser.data.datadir import read_sets
from m4ser.data.formatting import AudioFormatting
from m4ser.utils import cli


def get_parser() -> argparse.ArgumentParser:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--data-dir", type=Path, default=Path("data"), help="folder of the sets (default: data)")
    parser.add_argument("--sets", type=cli.words, default=[], help="sets, e.g. 'train dev test' (default: all there)")
    parser.add_argument("--out", type=Path, default=Path("dump/audio"), help="where to write (default: dump/audio)")
    parser.add_argument(
        "--skip-bad-audio",
        type=cli.boolean,
        default=False,
        help="true: leave unusable recordings out and list them in skipped.tsv (default: false, stop at the first)",
    )
    parser.add_argument("--min-duration", type=float, default=0.0, help="leave out shorter utterances, seconds")
    parser.add_argument("--max-duration", type=float, default=float("inf"), help="leave out longer ones, seconds")
    parts.add_arguments(parser)
    return parser


@cli.command
def main(cmd: Sequence[str] | None = None) -> None:
    """Format a share of the utterances, or join the shares."""
    args = get_parser().parse_args(cmd)
    jobs = parts.chosen_jobs(args)
    sets = read_sets(args.data_dir, args.sets, check_audio=False)  # a missing file is bad audio, which may be skipped
    parts.run(AudioFormatting(sets, args.out, args.skip_bad_audio, args.min_duration, args.max_duration), jobs)


if __name__ == "__main__":
    main()
