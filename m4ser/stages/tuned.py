"""What `tune.sh` tried for a system, best on dev first, and several systems in one table. Test is never read."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

from m4ser.models.description import PLAN, read_plan
from m4ser.scoring.evaluation import describe
from m4ser.scoring.table import Column, Row, Score, Table, columns, count
from m4ser.stages.tuning import Settings
from m4ser.training.configuration import as_options
from m4ser.training.experiment import choose_folds, read_maps, runs
from m4ser.training.lists import read_folds
from m4ser.training.metrics import scores
from m4ser.training.predictions import read_predictions
from m4ser.utils.errors import UserError
from m4ser.utils.files import read_json

KIND = "tuning"


class Point(TypedDict):
    """What one point of a grid reached on dev."""

    point: str
    settings: Settings
    configured: bool
    dev_ua: float
    sd: float | None
    runs: int


def points_table(
    system: str,
    chosen: Mapping[str, Settings],
    own: Settings,
    exp: Path,
    data: Path,
    folds: Sequence[str] = (),
    seeds: Sequence[str] = ("1",),
) -> Table:
    """UA on dev of the points ``chosen`` (settings by name) in ``exp``, best first.

    ``own`` is what the configuration says of the options that are tuned, None where it leaves one to the default.

    Raises:
        UserError: a point is not trained, or was trained with other settings, because the grid or the budget changed.
    """
    protocol = read_folds(data)
    emotion, names = read_maps(data, protocol.sets, "utt2emo"), choose_folds(protocol, list(folds))
    known = {name: value for name, value in own.items() if value is not None}
    results = []
    for name, point in chosen.items():
        _check_settings(exp / name / PLAN, as_options(point))
        values = []
        for run in runs(exp / name, names, [int(seed) for seed in seeds]):
            path = run.folder / "predictions_dev.tsv"
            predictions = read_predictions(path, protocol.labels)
            if unknown := [utt for utt in predictions.utts if utt not in emotion]:
                raise UserError(f"{path}: {unknown[0]} is not in {data}; run it again")
            values.append(scores(predictions.ref.tolist(), predictions.hyp.tolist())["ua"])
        spread = describe(values)
        result = Point(
            point=name,
            settings={**known, **point},
            configured=not point,
            dev_ua=spread["mean"],
            sd=spread["sd"],
            runs=len(values),
        )
        results.append(result)
    results.sort(key=lambda one: -one["dev_ua"])
    rows: list[Row] = [
        [one["point"], (as_options(one["settings"]) + " (as configured)" * one["configured"]).strip(), _score(one)]
        for one in results
    ]
    caption = (
        f"Protocol `{protocol.protocol}`, dev: UA in per cent, mean over {count(results[0]['runs'], 'run')} (folds x "
        f"seeds), {len(results)} points; test is not read."
    )
    about = {"kind": KIND, "system": system, "protocol": protocol.protocol, "folds": names, "seeds": list(seeds)}
    return Table(columns("point", "settings", "dev UA"), rows, caption=caption, about={**about, "points": results})


def _check_settings(plan: Path, settings: str) -> None:
    used = read_plan(plan).get("train_args", "") if plan.exists() else settings
    if not used.endswith(settings):
        raise UserError(f"{plan}: was trained with {used!r}, the grid says {settings!r}; run tune.sh again")


def _score(point: Point) -> Score:
    return Score(point["dev_ua"], point["sd"])


def table(paths: Sequence[Path]) -> Table:
    """A row for each report of `tune.sh` (`exp/tune/NAME.json`), its settings from best to worst.

    Raises:
        UserError: a file is no report, or the systems were not given the same number of points, the same folds and
            seeds of one protocol.
    """
    reports = [_read(path) for path in paths]
    sizes = [{"points": len(one["points"]), "runs": one["points"][0]["runs"]} for one in reports]
    for path, size, one in zip(paths, sizes, reports, strict=True):
        for what, number in size.items():
            if number != sizes[0][what]:
                raise UserError(f"{path}: {number} {what}, {paths[0]}: {sizes[0][what]}; tune all systems alike")
        for what in ("protocol", "folds", "seeds"):
            if one.get(what) != reports[0].get(what):
                raise UserError(f"{path}: other {what} than {paths[0]}; tune all systems alike")
    tried = {name for one in reports for point in one["points"] for name in point["settings"]}
    only = tried.pop() if len(tried) == 1 else None
    rows = [[one["system"], *(_cell(point, only) for point in one["points"])] for one in reports]
    values = f"Values of `{only}`: " if only else ""
    caption = f"{values}UA on dev in per cent, mean ± sd of {count(sizes[0]['runs'], 'run')}; test is not read."
    places = (Column(f"{place}.") for place in range(2, sizes[0]["points"] + 1))
    return Table([Column("system"), Column("best on dev"), *places], rows, caption=caption, about={"systems": reports})


def _read(path: Path) -> dict[str, Any]:
    try:
        report = read_json(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error}); run tune.sh for this system first") from None
    about = report.get("about", report) if isinstance(report, dict) else {}
    if not about.get("points"):
        raise UserError(f"{path}: is no report of tune.sh; give its files exp/tune/NAME.json")
    return about


def _cell(point: Point, only: str | None) -> str:
    settings = str(point["settings"].get(only, "default")) if only else as_options(point["settings"])
    return f"{settings}: {_score(point)}"
