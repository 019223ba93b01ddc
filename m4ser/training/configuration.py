"""Training configurations: YAML files that say only what differs from the file they build on.

``base: FILE`` names that file, relative to the one that says so. In a recipe's ``conf/`` a name is looked up there
first and then in ``egs/TEMPLATE/conf/``, where every system is defined; so ``conf/train_m4ser.yaml`` of a recipe that
has no such file is TEMPLATE's. What a corpus needs stands in the recipe's ``conf/recipe.yaml``, in sections named after
TEMPLATE's files (``common``, ``m4ser``): each is read as if it stood at the end of that file, for this recipe alone.
Whatever builds on the file has it too, and an ablation still takes away what it ablates.

Mappings are merged key by key, anything else is replaced, and a key set to null is taken away. Nothing here loads torch
or ESPnet but :func:`parse_task`, which needs the options of a task.
"""

import argparse
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from m4ser.models.systems import SER, system_class
from m4ser.training import checks
from m4ser.utils.cli import shell_words
from m4ser.utils.errors import UserError
from m4ser.utils.yaml_text import read_yaml

Config = dict[str, Any]  # what YAML holds: mappings, lists, numbers, text

TEMPLATE = "TEMPLATE"
PREFIX, SUFFIX = "train_", ".yaml"  # of the files of systems
RECIPE = "recipe.yaml"
BASE = "base"


@dataclass(frozen=True)
class Layer:
    """What one file, or one section of ``recipe.yaml``, contributes to a configuration."""

    path: Path
    section: str
    values: Config

    def __str__(self) -> str:
        return f"{self.path}: {self.section}" if self.section else str(self.path)


def find_config(name: str, recipe: str | Path) -> Path:
    """The path by which the other functions know a configuration of a recipe.

    ``name`` is a system's (``m4ser``) or a path relative to the recipe (``conf/train_m4ser.yaml``). There need not be a
    file of this path: where only TEMPLATE has one, reading the path reads that.

    Raises:
        UserError: neither the recipe nor TEMPLATE has it, or there is no such recipe.
    """
    path = _folder(recipe) / (name if name.endswith((SUFFIX, ".yml")) else f"conf/{PREFIX}{name}{SUFFIX}")
    _existing(path)
    return path


def systems(recipe: str | Path) -> list[str]:
    """Names of all systems of a recipe, TEMPLATE's among them, in alphabetical order; none for another folder.

    Raises:
        UserError: there is no such folder.
    """
    conf = _folder(recipe) / "conf"
    folders = [conf, template] if (template := _template(conf)) else [conf]
    files = {file.stem.removeprefix(PREFIX) for folder in folders for file in folder.glob(f"{PREFIX}*{SUFFIX}")}
    return sorted(files)


def read_config(path: str | Path) -> Config:
    """A configuration, merged with what it builds on.

    Raises:
        UserError: a file is missing, is not a YAML mapping, builds on itself, takes away a key that is not there, or
            has a number that YAML reads as text (``1e-3``).
    """
    return merge(stack(path))


def layers(path: str | Path) -> list[Path]:
    """The files that a configuration is made from, deepest base first, the recipe's ``recipe.yaml`` among them.

    Raises:
        UserError: as :func:`stack`.
    """
    return list(dict.fromkeys(layer.path for layer in stack(path)))


def stack(path: str | Path) -> list[Layer]:
    """The layers of a configuration, deepest base first; each overrides those before it.

    Raises:
        UserError: a file is missing, is not a YAML mapping, builds on itself, or has a number that YAML reads as text.
    """
    file = _existing(Path(path))
    conf = Path(path).parent  # whose recipe.yaml counts
    stacked: list[Layer] = []
    seen = [file]
    while True:
        values = _read(file)
        base = values.pop(BASE, None)
        of_template = file.parent == _template(conf)
        name = file.stem.removeprefix(PREFIX)
        if of_template and name in (sections := _sections(conf)):
            stacked.append(Layer(conf / RECIPE, name, sections[name]))
        stacked.append(Layer(file, "", values))
        if base is None:
            return stacked[::-1]
        if not isinstance(base, str):
            raise UserError(f"{file}: {BASE}: must be the name of one file, not {base!r}")
        # What a file of TEMPLATE builds on can be the recipe's own.
        named = conf / base if of_template and Path(base).name == base else _normal(file.parent / base)
        if named.parent != _template(conf):
            conf = named.parent
        file = _existing(named, wanted_by=file)
        if file in seen:
            raise UserError(f"{seen[-1]}: {BASE}: {base} builds on this file itself; name another base")
        seen.append(file)


def merge(stacked: list[Layer]) -> Config:
    """One mapping of all layers.

    Raises:
        UserError: a layer takes away a key that is not there.
    """
    merged: Config = {}
    for layer in stacked:
        merged = _merged(merged, layer.values, str(layer))
    return merged


def check_config(config: str | Path, extra: str = "") -> Config:
    """The merged values of a configuration that can be trained with, as far as can be said without its task.

    Raises:
        UserError: there is no such configuration or task, its task has no such option, or a value of it or of the extra
            options (one shell-quoted string) does not fit.
    """
    stacked = stack(config)
    merged = merge(stacked)
    checks.check([(str(layer), layer.values) for layer in stacked], merged, extra)
    return merged


def parse_task(config: str | Path, extra: str = "") -> argparse.Namespace:
    """ESPnet's arguments of a configuration and extra options (one shell-quoted string).

    Raises:
        UserError: as :func:`check_config`.
    """
    merged = check_config(config, extra)
    parser = system_class(merged.get("task", SER), str(config)).get_parser()
    parser.set_defaults(**merged)
    parser.error = checks.refuse
    args = parser.parse_args(shell_words(extra, "--train-args"))
    args.config = str(config)
    return args


def as_options(settings: Mapping[str, Any]) -> str:
    """Settings as training options, one shell-quoted string: ``--optim_conf lr=0.001 --max_epoch 20``."""
    words = []
    for name, value in settings.items():
        option, _, key = name.partition(".")
        text = yaml.safe_dump(value, default_flow_style=True, width=10**6).removesuffix("\n...\n").strip()
        words += [f"--{option}", f"{key}={text}" if key else text]
    return " ".join(shlex.quote(word) for word in words)


def _folder(recipe: str | Path) -> Path:
    if not Path(recipe).is_dir():
        raise UserError(f"{recipe}: no such folder of a recipe")
    return Path(recipe)


def _normal(path: Path) -> Path:
    """Without ``..``, as written: a recipe can be a link to a folder elsewhere."""
    return Path(os.path.normpath(path))


def _template(conf: Path) -> Path | None:
    """TEMPLATE's ``conf`` for that of a recipe; None for a folder that is no recipe's, and for TEMPLATE's own."""
    whole = _normal(Path.cwd() / conf)
    if whole.name != "conf" or whole.parent.name == TEMPLATE:
        return None
    template = _normal(conf / ".." / ".." / TEMPLATE / "conf")
    return template if template.is_dir() else None


def _existing(path: Path, wanted_by: Path | None = None) -> Path:
    """The file of this path: of a recipe's configuration the recipe's own, else TEMPLATE's.

    A recipe's file that builds on its own name, ``wanted_by``, means TEMPLATE's.

    Raises:
        UserError: there is neither.
    """
    path, template = _normal(path), _template(path.parent)
    if path.is_file() and path != wanted_by:
        return path
    if template is not None and (template / path.name).is_file():
        return template / path.name
    if path.is_file():
        return path
    other = f", nor {template / path.name}" if template else ""
    if wanted_by is not None:
        raise UserError(f"{wanted_by}: {BASE}: there is no {path}{other}")
    raise UserError(f"{path}: no such training configuration{other}; m4ser config lists those of a recipe")


def _sections(conf: Path) -> dict[str, Config]:
    """The sections of a recipe's ``recipe.yaml``, none where there is no such file.

    Raises:
        UserError: one is not a mapping, or TEMPLATE has no file of its name.
    """
    path, template = conf / RECIPE, _template(conf)
    if template is None or not path.is_file():
        return {}
    known = {file.stem.removeprefix(PREFIX) for file in template.glob(f"*{SUFFIX}")}
    sections = _read(path)
    for name, values in sections.items():
        if name not in known:
            raise UserError(f"{path}: {name}: {template} has no {name}{SUFFIX} and no {PREFIX}{name}{SUFFIX}")
        if not isinstance(values, dict):
            raise UserError(f"{path}: {name}: must be a mapping of option: value")
    return sections


def _read(path: Path) -> Config:
    config = read_yaml(path)
    if config is None:
        return {}
    if not isinstance(config, dict):
        raise UserError(f"{path}: must be a mapping of option: value")
    checks.refuse_numbers_as_text(config, str(path))
    return config


def _merged(below: Config, above: Config, where: str) -> Config:
    result = dict(below)
    for key, value in above.items():
        if value is None:
            if key not in result:
                raise UserError(f"{where}: {key}: null takes a key away, but there is none in what this builds on")
            del result[key]
        elif isinstance(value, dict):
            inner = result.get(key)
            result[key] = _merged(inner if isinstance(inner, dict) else {}, value, f"{where}: {key}")
        else:
            result[key] = value
    return result
