"""What the objectives of several experiments learned on the dev set: one table as Markdown and JSON."""

import argparse
from pathlib import Path

from m4ser.scoring import learned, report
from m4ser.utils.cli import command, row_names, words


def get_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--exp", type=Path, nargs="+", required=True, help="folders exp/<tag>, one row each")
    parser.add_argument("--names", nargs="+", default=[], help="names of the rows, as many as --exp")
    parser.add_argument("--folds", type=words, default=[], help="folds that count (default: all)")
    parser.add_argument("--seeds", type=words, default=[], help="seeds that count (default: all)")
    parser.add_argument("--out", type=Path, default=Path("exp/objectives"), help="writes OUT.md and OUT.json")
    return parser


@command
def main(cmd: list[str] | None = None) -> None:
    """Run the command."""
    args = get_parser().parse_args(cmd)
    result = learned.collect(args.exp, row_names(args.names, args.exp), args.seeds, args.folds)
    if not result["rows"]:
        for ending in ("md", "json"):  # of other experiments
            args.out.with_name(f"{args.out.name}.{ending}").unlink(missing_ok=True)
        print("no experiment has objectives: no table of what they learned")
        return
    report.write_table(args.out, learned.markdown(result), result)


if __name__ == "__main__":
    main()
