"""Systems under several conditions of their text: one table of scores and differences, and scores against the WER."""

import argparse
from pathlib import Path

from m4ser.scoring import figures, report, robustness
from m4ser.utils.cli import command, row_names
from m4ser.utils.files import atomic_write, write_json


def get_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--conditions", type=Path, nargs="+", required=True, help="folders, each with a comparison")
    parser.add_argument("--names", nargs="+", default=[], help="names of the conditions (default: the folders')")
    parser.add_argument(
        "--comparison", default="comparison", help="name of the comparison in each (default: comparison)"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("exp/robustness"), help="writes OUT.md, OUT.csv, OUT.json, OUT.png"
    )
    return parser


@command
def main(cmd: list[str] | None = None) -> None:
    """Run the command."""
    args = get_parser().parse_args(cmd)
    names = row_names(args.names, args.conditions, "conditions")
    result = robustness.collect(args.conditions, names, args.comparison)
    paths = {end: args.out.with_name(f"{args.out.name}.{end}") for end in ("md", "csv", "json", "png")}
    result["figure"] = paths["png"].name
    figures.save(robustness.figure(result), paths["png"])
    table = robustness.markdown(result)
    report.write_markdown(paths["md"], table)
    with atomic_write(paths["csv"]) as file:
        file.write(robustness.comma_separated(result))
    write_json(paths["json"], result)
    print(table)
    print("Written: " + " ".join(map(str, paths.values())))


if __name__ == "__main__":
    main()
