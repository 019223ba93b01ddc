"""The settings that tune.sh tries: the same number of points of a grid for every system."""

import itertools
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from m4ser.stages.comparing import config_of
from m4ser.training.configuration import Config, read_config
from m4ser.utils.errors import UserError

DEFAULT = "default"
Settings = Mapping[str, Any]  # option such as optim_conf.lr -> value
Grid = Mapping[str, Sequence[Any]]  # option -> values to try


@dataclass(frozen=True)
class Trials:
    """What is tried for one system.

    Attributes:
        own: what the configuration says of the options that are tuned, None where it leaves one to the default.
        points: settings that override the configuration, by the tag of the experiment; those of the first are {}.
    """

    own: Settings
    points: Mapping[str, Settings]


def trials(system: str, grid: Path, budget: int, recipe: str = ".") -> Trials:
    """The points of a system, the same every time.

    Args:
        system: name of the configuration.
        grid: YAML file: system or ``default`` -> option -> values to try.
        budget: number of points, the configuration's own settings included.
        recipe: folder of the recipe.

    Raises:
        UserError: the system, the grid, or enough points in it are not there.
    """
    if budget < 1:
        raise UserError(f"--budget {budget}: must be 1 or more")
    values = read_grid(grid, system)
    config = read_config(config_of(system, recipe))
    own = {name: _value(config, name) for name in values}
    chosen = points(values, own, budget, system, str(grid))
    return Trials(own, {f"{system}_{number:02d}": point for number, point in enumerate(chosen)})


def read_grid(path: Path, system: str) -> Grid:
    """Values to try of each option of a system.

    Raises:
        UserError: the file is not such a grid.
    """
    grids = read_config(path)
    grid = grids.get(system, grids.get(DEFAULT))
    if not isinstance(grid, dict) or not all(isinstance(v, list) and v for v in grid.values()):
        raise UserError(f"{path}: has no options with lists of values for {system}, nor under {DEFAULT}")
    return grid


def points(grid: Grid, own: Settings, budget: int, system: str, where: str = "grid") -> list[Settings]:
    """Settings of each point: first the configuration's ``own``, as {}, then ``budget`` - 1 others at random.

    Raises:
        UserError: the grid has not that many, which would be a smaller budget than other systems have.
    """
    combinations = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    combinations = [point for point in combinations if point != own]
    if len(combinations) < budget - 1:
        raise UserError(f"{where}: {system} has {len(combinations)} points; --budget {budget} needs {budget - 1}")
    return [{}, *random.Random(system).sample(combinations, budget - 1)]


def _value(config: Config, name: str) -> Any:
    """What the configuration has at ``optim_conf.lr``; None where it leaves that to the default."""
    value: Any = config
    for key in name.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value
