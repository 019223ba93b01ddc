"""The systems that compare.sh and run_ablation.sh train: rows of one table."""

import os
from dataclasses import dataclass
from pathlib import Path

from m4ser.training.configuration import find_config, read_config, systems
from m4ser.utils.errors import UserError

ALL, ABLATION = "all", "ablation"  # as --configs
# M4SER and its ablations, its predecessor, plain concatenation, one modality alone.
_ABLATIONS = "m4ser_no_"
_OTHERS = ("mf_aed_aec", "concat", "speech", "text")


@dataclass(frozen=True)
class Row:
    """One system: its name in the table, the tag of its experiment, its configuration and, if not usual, its text."""

    name: str
    tag: str
    config: str
    text_source: str = ""


def check_recipe() -> None:
    """Refuse to work in another folder than a recipe's.

    Raises:
        UserError: there is no ``run.sh`` in the current folder.
    """
    if not os.access("run.sh", os.X_OK):
        raise UserError("there is no run.sh here; call this from the folder of a recipe, such as egs/mini")


def rows(configs: str, text_ref: str, reference: str, recipe: str = ".") -> list[Row]:
    """Rows in the order of the table.

    Args:
        configs: names of systems, ``all`` on dumped features, or ``ablation``.
        text_ref: systems to run with reference text as well.
        reference: row that the others are compared with.
        recipe: folder of the recipe.

    Raises:
        UserError: a system that is not there, or a reference that is no row.
    """
    chosen = {ALL: on_dumped_features, ABLATION: ablation}.get(configs.strip(), lambda _: configs.split())(recipe)
    table_rows = [Row(name, name, config_of(name, recipe)) for name in chosen]
    table_rows += [
        Row(f"{name}, reference text", f"{name}_text-ref", config_of(name, recipe), "ref") for name in text_ref.split()
    ]
    if reference not in (tags := [row.tag for row in table_rows]):
        raise UserError(f"--reference {reference}: is none of {' '.join(tags)}")
    return table_rows


def on_dumped_features(recipe: str) -> list[str]:
    """Systems without a speech encoder of their own inside, which some can only be trained with a GPU."""
    configs = {name: read_config(find_config(name, recipe)) for name in systems(recipe)}
    chosen = [name for name, config in configs.items() if config.get("speech_encoder", "precomputed") == "precomputed"]
    if not chosen:
        raise UserError("conf/train_*.yaml: there are no configurations")
    return chosen


def ablation(recipe: str) -> list[str]:
    """M4SER with what it is made of and what it came from, as far as there are configurations."""
    known = systems(recipe)
    ours = [name for name in known if name == "m4ser" or name.startswith(_ABLATIONS)]
    return [*ours, *(name for name in _OTHERS if name in known)]


def config_of(name: str, recipe: str) -> str:
    """Path of a system's configuration.

    Raises:
        UserError: neither the recipe nor TEMPLATE has it.
    """
    try:
        return str(find_config(name, recipe))
    except UserError:
        raise UserError(f"{Path('conf', f'train_{name}.yaml')}: there is no such configuration") from None
