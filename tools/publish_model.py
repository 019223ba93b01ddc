#!/usr/bin/env python3
"""Publish the model that comes with the package on the Hugging Face hub.

Without --hub-repo nothing leaves this machine: the folder that would be uploaded is written, to be looked at.
"""

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))


def get_parser() -> argparse.ArgumentParser:
    """Options of the program."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("folder", type=Path, help="where the files of the repository are written; must not exist")
    parser.add_argument("--archive", type=Path, help="another model (default: the one in the package)")
    parser.add_argument("--hub-repo", help="upload to this repository org/name, which is made if need be")
    parser.add_argument("--private", action="store_true", help="make a new repository private")
    return parser


def main(cmd: list[str] | None = None) -> None:
    """Run the program."""
    from m4ser.hub.opening import IN_THE_BOX
    from m4ser.hub.remote import prepare, upload
    from m4ser.utils.errors import UserError

    args = get_parser().parse_args(cmd)
    archive = args.archive or IN_THE_BOX
    try:
        stored = prepare(archive, args.folder)
        for path in sorted(path for path in stored.folder.rglob("*") if path.is_file()):
            print(f"{path.stat().st_size:12,}  {path.relative_to(stored.folder)}")
        if args.hub_repo:
            print(f"uploaded: {upload(archive, args.hub_repo, args.private)}")
        else:
            print(f"{stored.folder}: this is what would be uploaded; nothing was. Upload it with --hub-repo org/name.")
    except UserError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
