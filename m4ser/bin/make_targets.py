"""Training text and the targets of ASR error detection and correction (stage 3): writes `edits` and `stats.json`.

The text is what was recognised (or the reference itself), normalised; the targets say what makes the normalised
reference of it (see m4ser.asr.alignment). Every line is checked to do so before anything is written.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from m4ser.asr.normalise import NAMES
from m4ser.training.targets import describe, make_targets
from m4ser.utils import cli
from m4ser.utils.errors import UserError


def get_parser() -> argparse.ArgumentParser:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--data-dir", type=Path, default=Path("dump/audio"), help="references (default: dump/audio)")
    parser.add_argument("--sets", type=cli.words, default=[], help="sets, e.g. 'train dev test' (default: all there)")
    parser.add_argument(
        "--source", choices=["asr", "ref"], default="asr", help="text: recognised or the reference (default: asr)"
    )
    parser.add_argument("--asr-dir", type=Path, help="recognised text, e.g. dump/asr/whisper-tiny.en")
    parser.add_argument("--out", type=Path, required=True, help="where to write, e.g. dump/text/whisper-tiny.en")
    parser.add_argument("--normaliser", default="english", help=f"one of {', '.join(NAMES)} (default: english)")
    return parser


@cli.command
def main(cmd: Sequence[str] | None = None) -> None:
    """Write the targets of every set."""
    args = get_parser().parse_args(cmd)
    if args.source == "asr" and not args.asr_dir:
        raise UserError("--asr-dir is needed: the folder that stage 2 (speech recognition) wrote; or --source ref")
    asr_dir = args.asr_dir if args.source == "asr" else None
    for name, stats in make_targets(args.data_dir, asr_dir, args.out, args.sets, args.normaliser).items():
        print(f"{name}: {describe(stats)}")


if __name__ == "__main__":
    main()
