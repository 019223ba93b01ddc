"""Download the larger pretrained models (done by `make -C tools base-models`)."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from m4ser.pretrained import default_dir
from m4ser.pretrained.base_models import install, read_pins
from m4ser.utils.cli import command


def get_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--pins", type=Path, required=True, help="packages, versions and checksums")
    parser.add_argument("--output-dir", type=Path, help="where the folders go (default: where m4ser looks for them)")
    return parser


@command
def main(cmd: Sequence[str] | None = None) -> None:
    """Run the command."""
    args = get_parser().parse_args(cmd)
    for folder in install(args.output_dir or default_dir(), read_pins(args.pins)):
        print(f"wrote {folder}", flush=True)


if __name__ == "__main__":
    main()
