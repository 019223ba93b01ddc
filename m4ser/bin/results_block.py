"""Put the table of a metrics.json or comparison.json between the result markers of a README."""

import argparse
from pathlib import Path

from m4ser.scoring.readme import insert
from m4ser.utils.cli import boolean, command
from m4ser.utils.errors import UserError
from m4ser.utils.files import atomic_write, read_json


def get_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--readme", type=Path, required=True, help="file with the markers begin/end results NAME")
    parser.add_argument("--name", required=True, help="NAME of the markers")
    parser.add_argument("--from", dest="source", type=Path, required=True, help="metrics.json or comparison.json")
    parser.add_argument("--check", type=boolean, default=False, help="true: write nothing, fail if it would change")
    return parser


@command
def main(cmd: list[str] | None = None) -> None:
    """Run the command."""
    args = get_parser().parse_args(cmd)
    for path in (args.readme, args.source):
        if not path.is_file():
            raise UserError(f"{path}: no such file; correct the path")
    result = read_json(args.source)
    old = args.readme.read_text(encoding="utf-8")
    new = insert(old, args.name, result, args.readme)
    if new == old:
        return
    if args.check:
        raise UserError(f"{args.readme}: the results '{args.name}' are not those of {args.source}; run without --check")
    with atomic_write(args.readme) as file:
        file.write(new)


if __name__ == "__main__":
    main()
