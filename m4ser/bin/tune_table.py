"""What tune.sh tried for several systems: one table with a row for each, its settings from best to worst on dev."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from m4ser.bin.tune import options
from m4ser.scoring import report, tables
from m4ser.utils.cli import command
from m4ser.utils.errors import UserError
from m4ser.utils.files import read_json


def get_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("reports", type=Path, nargs="+", help="exp/tune/NAME.json of each system")
    parser.add_argument("--out", type=Path, default=Path("exp/tuning"), help="writes OUT.md and OUT.json")
    return parser


def collect(paths: Sequence[Path]) -> dict[str, Any]:
    """The table (:data:`m4ser.scoring.tables.KIND`), a row for each report.

    Raises:
        UserError: a file is no report, or the systems were not given the same number of points, the same folds and
            seeds of one protocol.
    """
    found = [_read(path) for path in paths]
    sizes = [{"points": len(one["points"]), "runs": one["points"][0]["runs"]} for one in found]
    for path, size, one in zip(paths, sizes, found, strict=True):
        for what, count in size.items():
            if count != sizes[0][what]:
                raise UserError(f"{path}: {count} {what}, {paths[0]}: {sizes[0][what]}; tune all systems alike")
        for what in ("protocol", "folds", "seeds"):
            if one.get(what) != found[0].get(what):
                raise UserError(f"{path}: other {what} than {paths[0]}; tune all systems alike")
    tried = {name for one in found for point in one["points"] for name in point["settings"]}
    only = tried.pop() if len(tried) == 1 else None
    values = f"Values of `{only}`: " if only else ""
    runs = tables.count(sizes[0]["runs"], "run")
    return {
        "kind": tables.KIND,
        "header": ["system", "best on dev", *(f"{place}." for place in range(2, sizes[0]["points"] + 1))],
        "rows": [[one["system"], *(_cell(point, only) for point in one["points"])] for one in found],
        "note": f"{values}UA on dev in per cent, mean ± sd of {runs}; test is not read.",
    }


def _read(path: Path) -> dict[str, Any]:
    try:
        found = read_json(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error}); run tune.sh for this system first") from None
    if not isinstance(found, dict) or not found.get("points"):
        raise UserError(f"{path}: is no report of tune.sh; give its files exp/tune/NAME.json")
    return found


def _cell(point: dict[str, Any], only: str | None) -> str:
    settings = str(point["settings"].get(only, "default")) if only else options(point["settings"])
    return f"{settings}: {tables.plus_minus(point['dev_ua'], point['sd'])}"


@command
def main(cmd: Sequence[str] | None = None) -> None:
    """Command line entry."""
    args = get_parser().parse_args(cmd)
    result = collect(args.reports)
    report.write_table(args.out, tables.markdown(result), result)


if __name__ == "__main__":
    main()
