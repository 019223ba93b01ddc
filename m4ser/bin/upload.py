"""Upload a packed model to the Hugging Face hub (stage 7)."""

import argparse
from pathlib import Path

from m4ser.utils.cli import boolean, command


def get_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("archive", type=Path, help="what `m4ser pack` has written")
    parser.add_argument("--hub-repo", required=True, help="repository org/name; it is made if need be")
    parser.add_argument("--private", type=boolean, default=True, help="make a new repository private (default: true)")
    return parser


@command
def main(cmd: list[str] | None = None) -> None:
    """Run the command."""
    args = get_parser().parse_args(cmd)
    from m4ser.hub.remote import upload

    print(f"uploaded: {upload(args.archive, args.hub_repo, args.private)}")


if __name__ == "__main__":
    main()
