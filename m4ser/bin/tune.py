"""Choose settings of a configuration on dev alone, with the same number of trainings for every system.

``--plan`` draws the points of the grid and prints a line ``NAME<tab>TRAINING OPTIONS`` for each; ``--report`` reads the
dev predictions of all points and writes ``OUT.md`` and ``OUT.json``, best first. Test predictions are never read.
See egs/TEMPLATE/tune.sh, which trains the points in between.
"""

import argparse
import itertools
import random
from pathlib import Path
from typing import Any

from m4ser.scoring.tuning import options, points_table
from m4ser.training.configuration import read_config
from m4ser.utils.cli import command, words
from m4ser.utils.errors import UserError

DEFAULT = "default"


def get_parser() -> argparse.ArgumentParser:
    """Options of both actions."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--system", required=True, help="name of the configuration, as in conf/train_NAME.yaml")
    parser.add_argument("--grid", type=Path, required=True, help="YAML: system or 'default' -> option -> values to try")
    parser.add_argument("--config", type=Path, help="its file (default: conf/train_NAME.yaml)")
    parser.add_argument("--budget", type=int, default=8, help="points for each system, its own settings included")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder with folds.json (default: data)")
    parser.add_argument("--exp", type=Path, default=Path("exp/tune"), help="folder of the points (default: exp/tune)")
    parser.add_argument("--folds", type=words, default=[], help="folds (default: all)")
    parser.add_argument("--seeds", type=words, default=["1"], help="seeds (default: 1)")
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--plan", action="store_true", help="print the points")
    action.add_argument("--report", action="store_true", help="write the table of all points")
    return parser


def read_grid(path: Path, system: str) -> dict[str, list[Any]]:
    """Values to try of each option (``optim_conf.lr``) of a system.

    Raises:
        UserError: the file is not such a grid.
    """
    grids = read_config(path)
    grid = grids.get(system, grids.get(DEFAULT))
    if not isinstance(grid, dict) or not all(isinstance(v, list) and v for v in grid.values()):
        raise UserError(f"{path}: has no options with lists of values for {system}, nor under {DEFAULT}")
    return grid


def points(
    grid: dict[str, list[Any]], own: dict[str, Any], budget: int, system: str, where: str = "grid"
) -> list[dict[str, Any]]:
    """Settings of each point: first the configuration's ``own``, as {}, then ``budget`` - 1 others chosen at random.

    Raises:
        UserError: the grid has not that many, which would be a smaller budget than other systems have.
    """
    combinations = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    combinations = [point for point in combinations if point != own]
    if len(combinations) < budget - 1:
        raise UserError(f"{where}: {system} has {len(combinations)} points; --budget {budget} needs {budget - 1}")
    return [{}, *random.Random(system).sample(combinations, budget - 1)]


def _value(config: dict[str, Any], name: str) -> Any:
    """What the configuration has at ``optim_conf.lr``; None where it leaves that to the default."""
    for key in name.split("."):
        config = config.get(key) if isinstance(config, dict) else None
    return config


@command
def main(cmd: list[str] | None = None) -> None:
    """Command line entry."""
    args = get_parser().parse_args(cmd)
    if args.budget < 1:
        raise UserError(f"--budget {args.budget}: must be 1 or more")
    config = read_config(args.config or Path(f"conf/train_{args.system}.yaml"))
    grid = read_grid(args.grid, args.system)
    own = {name: _value(config, name) for name in grid}
    drawn = points(grid, own, args.budget, args.system, str(args.grid))
    chosen = {f"{args.system}_{number:02d}": point for number, point in enumerate(drawn)}
    if args.plan:
        for name, point in chosen.items():
            print(f"{name}\t{options(point)}")
        return
    table = points_table(args.system, chosen, own, args.exp, args.data, args.folds, args.seeds)
    print(table.save(args.exp / args.system).markdown(aligned=True))


if __name__ == "__main__":
    main()
