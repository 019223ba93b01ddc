"""What tune.sh has tried for a system, best on dev first: writes EXP/SYSTEM.md and .json. Test is never read."""

import argparse
from pathlib import Path

from m4ser.stages.tuned import points_table
from m4ser.stages.tuning import trials
from m4ser.utils.cli import command, words


def get_parser() -> argparse.ArgumentParser:
    """Options, as tune.sh had them when it trained the points."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--system", required=True, help="name of the configuration, as in conf/train_NAME.yaml")
    parser.add_argument("--grid", type=Path, required=True, help="YAML: system or 'default' -> option -> values to try")
    parser.add_argument("--budget", type=int, default=8, help="points for each system, its own settings included")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder with folds.json (default: data)")
    parser.add_argument("--exp", type=Path, default=Path("exp/tune"), help="folder of the points (default: exp/tune)")
    parser.add_argument("--folds", type=words, default=[], help="folds (default: all)")
    parser.add_argument("--seeds", type=words, default=["1"], help="seeds (default: 1)")
    return parser


@command
def main(cmd: list[str] | None = None) -> None:
    """Command line entry."""
    args = get_parser().parse_args(cmd)
    tried = trials(args.system, args.grid, args.budget)
    table = points_table(args.system, tried.points, tried.own, args.exp, args.data, args.folds, args.seeds)
    print(table.save(args.exp / args.system).markdown(aligned=True))


if __name__ == "__main__":
    main()
