"""What tune.sh tried for several systems: one table with a row for each, its settings from best to worst on dev."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from m4ser.bin.tune import options
from m4ser.cli import command
from m4ser.errors import UserError
from m4ser.files import read_json, write_json
from m4ser.scoring import report, tables


def get_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("reports", type=Path, nargs="+", help="exp/tune/NAME.json of each system")
    parser.add_argument("--out", type=Path, default=Path("exp/tuning"), help="writes OUT.md and OUT.json")
    return parser


def collect(paths: Sequence[Path]) -> dict[str, Any]:
    """The table (:data:`m4ser.scoring.tables.KIND`), a row for each report.

    Raises:
        UserError: a file is no report, or the systems were not given the same number of points and runs.
    """
    found = [_read(path) for path in paths]
    for path, one in zip(paths, found, strict=True):
        for what, count in (("points", _size), ("runs", lambda report: report["points"][0]["runs"])):
            if count(one) != count(found[0]):
                raise UserError(f"{path}: {count(one)} {what}, {paths[0]}: {count(found[0])}; tune all systems alike")
    tried = {name for one in found for point in one["points"] for name in point["settings"]}
    only = tried.pop() if len(tried) == 1 else None
    rows = [[one["system"], *(_cell(point, only) for point in one["points"])] for one in found]
    note = (
        f"UA on dev in per cent, mean ± sd of {tables.count(found[0]['points'][0]['runs'], 'run')}; test is not read."
    )
    if only:
        note = f"Values of `{only}`: " + note
    return {
        "kind": tables.KIND,
        "header": ["system", "best on dev", *(f"{place}." for place in range(2, _size(found[0]) + 1))],
        "rows": rows,
        "note": note,
    }


def _read(path: Path) -> dict[str, Any]:
    try:
        found = read_json(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); run tune.sh for this system first") from None
    if not isinstance(found, dict) or not found.get("points"):
        raise UserError(f"{path}: is no report of tune.sh; give its files exp/tune/NAME.json")
    return found


def _size(report: dict[str, Any]) -> int:
    return len(report["points"])


def _cell(point: dict[str, Any], only: str | None) -> str:
    settings = str(point["settings"].get(only, "default")) if only else options(point["settings"])
    return f"{settings}: {tables.plus_minus(point['dev_ua'], point['sd'])}"


@command
def main(cmd: Sequence[str] | None = None) -> None:
    """Command line entry."""
    args = get_parser().parse_args(cmd)
    result = collect(args.reports)
    text = tables.markdown(result)
    report.write_markdown(args.out.with_name(f"{args.out.name}.md"), text)
    write_json(args.out.with_name(f"{args.out.name}.json"), result)
    print(text)


if __name__ == "__main__":
    main()
