"""Check an archive of a model and unpack it to a folder."""

import argparse
from pathlib import Path

from m4ser.utils.cli import command


def get_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("archive", type=Path, help="what `m4ser pack` has written")
    parser.add_argument("folder", type=Path, nargs="?", help="folder to make (default: the archive's name here)")
    return parser


@command
def main(cmd: list[str] | None = None) -> None:
    """Run the command."""
    args = get_parser().parse_args(cmd)
    from m4ser.hub.archive import ENDING, unpack

    folder = args.folder or Path(args.archive.name.removesuffix(ENDING).removesuffix(".zip"))
    stored = unpack(args.archive, folder)
    print(f"{stored.folder}: {len(stored.about['files'])} files, labels {', '.join(stored.about['labels'])}")


if __name__ == "__main__":
    main()
