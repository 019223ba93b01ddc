"""Choose settings of a configuration on dev alone, with the same number of trainings for every system.

``--plan`` draws the points of the grid and prints a line ``NAME<tab>TRAINING OPTIONS`` for each; ``--report`` reads the
dev predictions of all points and writes ``OUT.md`` and ``OUT.json``, best first. Test predictions are never read.
See egs/TEMPLATE/tune.sh, which trains the points in between.
"""

import argparse
import itertools
import random
import shlex
import statistics
from pathlib import Path
from typing import Any

import yaml

from m4ser.data.folds import Folds
from m4ser.models.description import PLAN
from m4ser.scoring import report, tables
from m4ser.training.configuration import read_config
from m4ser.training.experiment import choose_folds, read_maps, runs
from m4ser.utils.cli import command, words
from m4ser.utils.errors import UserError
from m4ser.utils.files import read_json

DEFAULT = "default"


def get_parser() -> argparse.ArgumentParser:
    """Options of both actions."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--system", required=True, help="name of the configuration, as in conf/train_NAME.yaml")
    parser.add_argument("--grid", type=Path, required=True, help="YAML: system or 'default' -> option -> values to try")
    parser.add_argument("--config", type=Path, help="its file (default: conf/train_NAME.yaml)")
    parser.add_argument("--budget", type=int, default=8, help="points for each system, its own settings included")
    parser.add_argument("--data", default="data", help="folder with folds.json (default: data)")
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


def options(point: dict[str, Any]) -> str:
    """Settings as training options, one shell-quoted string: ``--optim_conf lr=0.001 --max_epoch 20``."""
    found = []
    for name, value in point.items():
        option, _, key = name.partition(".")
        text = yaml.safe_dump(value, default_flow_style=True, width=10**6).removesuffix("\n...\n").strip()
        found += [f"--{option}", f"{key}={text}" if key else text]
    return " ".join(shlex.quote(word) for word in found)


def dev_scores(args: argparse.Namespace, folds: Folds, folder: Path) -> list[float]:
    """UA on dev of every fold and seed of one point."""
    from m4ser.training.metrics import scores
    from m4ser.training.predictions import read_predictions

    emotion = read_maps(args.data, folds.sets, "utt2emo")
    found = []
    for run in runs(folder, choose_folds(folds, args.folds), [int(seed) for seed in args.seeds]):
        path = run.folder / "predictions_dev.tsv"
        predictions = read_predictions(path, folds.labels)
        if unknown := [utt for utt in predictions.utts if utt not in emotion]:
            raise UserError(f"{path}: {unknown[0]} is not in {args.data}; run it again")
        found.append(scores(predictions.ref.tolist(), predictions.hyp.tolist())["ua"])
    return found


def check_settings(folder: Path, settings: str) -> None:
    """A point was trained with the settings that the table says.

    Raises:
        UserError: with others, because the grid or the budget has changed since.
    """
    plan = folder / PLAN
    used = read_json(plan).get("train_args", "") if plan.exists() else settings
    if not used.endswith(settings):
        raise UserError(f"{plan}: was trained with {used!r}, the grid says {settings!r}; run tune.sh again")


def tried(args: argparse.Namespace, own: dict[str, Any], chosen: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What the points ``chosen`` (settings by name) reached on dev, best first: a table (:data:`tables.KIND`) and more.

    ``own`` is what the configuration says of the options that are tuned, None where it leaves one to the default.
    """
    from m4ser.training.lists import read_folds

    folds = read_folds(args.data)
    known = {name: value for name, value in own.items() if value is not None}
    rows = []
    for name, point in chosen.items():
        check_settings(args.exp / name, options(point))
        values = dev_scores(args, folds, args.exp / name)
        deviation = round(statistics.stdev(values), 6) if len(values) > 1 else None
        rows.append(
            {
                "point": name,
                "settings": {**known, **point},
                "configured": not point,
                "dev_ua": round(statistics.mean(values), 6),
                "sd": deviation,
                "runs": len(values),
            }
        )
    rows.sort(key=lambda row: -row["dev_ua"])
    body = []
    for row in rows:
        settings = options(row["settings"]) + (" (as configured)" if row["configured"] else "")
        body.append([row["point"], settings.strip(), tables.percent(row["dev_ua"]), tables.percent(row["sd"])])
    trainings = tables.count(rows[0]["runs"], "run")
    return {
        "kind": tables.KIND,
        "header": ["point", "settings", "dev UA", "sd"],
        "rows": body,
        "note": f"UA on dev in per cent, mean over {trainings} (folds x seeds), {len(rows)} points; test is not read.",
        "system": args.system,
        "protocol": folds.protocol,
        "folds": choose_folds(folds, args.folds),
        "seeds": args.seeds,
        "budget": args.budget,
        "points": rows,
    }


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
    result = tried(args, own, chosen)
    report.write_table(args.exp / args.system, tables.markdown(result), result)


if __name__ == "__main__":
    main()
