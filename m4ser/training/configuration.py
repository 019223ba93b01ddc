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
import contextlib
import os
import shlex
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from m4ser.models.systems import SER, system_class
from m4ser.utils.cli import shell_words
from m4ser.utils.errors import UserError
from m4ser.utils.files import atomic_write

Config = dict[str, Any]  # what YAML holds: mappings, lists, numbers, text

TEMPLATE = "TEMPLATE"
PREFIX, SUFFIX = "train_", ".yaml"  # of the files of systems
RECIPE = "recipe.yaml"
BASE = "base"
MERGED = "train_config.yaml"  # in the folder of an experiment


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
        UserError: neither the recipe nor TEMPLATE has it.
    """
    path = Path(recipe) / (name if name.endswith((SUFFIX, ".yml")) else f"conf/{PREFIX}{name}{SUFFIX}")
    _existing(path)
    return path


def systems(recipe: str | Path) -> list[str]:
    """Names of all systems of a recipe, TEMPLATE's among them, in alphabetical order."""
    own = Path(recipe) / "conf"
    folders = [own, template] if (template := _template(own)) else [own]
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
    found: list[Layer] = []
    seen = [file]
    while True:
        values = _read(file)
        base = values.pop(BASE, None)
        of_template = file.parent == _template(conf)
        if of_template and (section := _sections(conf).get(file.stem.removeprefix(PREFIX))):
            found.append(Layer(conf / RECIPE, file.stem.removeprefix(PREFIX), section))
        found.append(Layer(file, "", values))
        if base is None:
            return found[::-1]
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


def origins(stacked: list[Layer]) -> dict[tuple[str, ...], Layer]:
    """The layer that each value of :func:`merge`'s result is from, by its path: ``("optim_conf", "lr")``."""
    return {
        path: next(layer for layer in reversed(stacked) if _has(layer.values, path)) for path in _leaves(merge(stacked))
    }


def render(path: str | Path, train_args: str = "") -> str:
    """A merged configuration as YAML; a comment at each value says what file, and section of it, the value is from.

    With ``train_args``, options as in one shell-quoted string, values are those that training gets; this loads ESPnet.

    Raises:
        UserError: as :func:`read_config`, and as :func:`parse_task` where there are ``train_args``.
    """
    stacked = stack(path)
    shown, where = merge(stacked), {value: str(layer) for value, layer in origins(stacked).items()}
    if train_args:
        with contextlib.redirect_stdout(sys.stderr):  # ESPnet prints when it is imported
            plain, altered = vars(parse_task(path)), vars(parse_task(path, train_args))
        shown |= {option: value for option, value in altered.items() if value != plain[option]}
        merged = merge(stacked)
        where |= {value: "--train-args" for value in _leaves(shown) if _at(shown, value) != _at(merged, value)}
    lines = list(_rendered(shown))
    width = max((len(line) for line, _ in lines), default=0)
    return "".join(f"{line:{width}}  # {where[value]}\n" if value in where else f"{line}\n" for line, value in lines)


def summaries(recipe: str | Path) -> dict[str, str]:
    """For each system of a recipe the first line of its file, a comment that says what it is."""
    found = {}
    for name in systems(recipe):
        first, *_ = _existing(find_config(name, recipe)).read_text(encoding="utf-8").splitlines() or [""]
        found[name] = first.removeprefix("# ") if first.startswith("#") else ""
    return found


def write_merged(path: str | Path, folder: str | Path) -> Path:
    """Write a merged configuration to ``train_config.yaml`` in ``folder``; its path. The same content is left alone.

    Raises:
        UserError: as :func:`read_config`.
    """
    target, text = Path(folder) / MERGED, render(path)
    if not target.is_file() or target.read_text(encoding="utf-8") != text:
        with atomic_write(target) as file:
            file.write(text)
    return target


def parse_task(config: str | Path, extra: str = "") -> argparse.Namespace:
    """ESPnet's arguments of a configuration and extra options (one shell-quoted string).

    Raises:
        UserError: there is no such configuration or task, its task has no such option, or YAML reads a number in it or
            in the options as text.
    """
    stacked = stack(config)
    merged = merge(stacked)
    task = merged.get("task", SER)
    parser = system_class(task, str(config)).get_parser()
    known = vars(parser.parse_args([]))
    for layer in stacked:
        if unknown := [key for key in layer.values if key not in known]:
            raise UserError(f"{layer}: unknown option {unknown[0]!r} of task {task}")
    parser.set_defaults(**merged)
    args = parser.parse_args(shell_words(extra, "--train-args"))
    args.config = str(config)
    for option, value in vars(args).items():
        if isinstance(value, dict):
            _refuse_numbers_as_text(value, f"--train-args: --{option}")
    return args


def as_options(settings: Mapping[str, Any]) -> str:
    """Settings as training options, one shell-quoted string: ``--optim_conf lr=0.001 --max_epoch 20``."""
    found = []
    for name, value in settings.items():
        option, _, key = name.partition(".")
        text = yaml.safe_dump(value, default_flow_style=True, width=10**6).removesuffix("\n...\n").strip()
        found += [f"--{option}", f"{key}={text}" if key else text]
    return " ".join(shlex.quote(word) for word in found)


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
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid YAML ({' '.join(str(error).split())})") from None
    if not isinstance(config, dict):
        raise UserError(f"{path}: must be a mapping of option: value")
    _refuse_numbers_as_text(config, str(path))
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


def _has(tree: Config, path: tuple[str, ...]) -> bool:
    return _at(tree, path) is not None


def _at(tree: Config, path: tuple[str, ...]) -> Any:
    """The value of a path; None where there is none, which no merged value is."""
    value: Any = tree
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _rendered(tree: Config, path: tuple[str, ...] = ()) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Lines of YAML, each with the path of its value."""
    for key, value in tree.items():
        line = f"{'    ' * len(path)}{_scalar(key)}:"
        if isinstance(value, dict) and value:
            yield line, (*path, key)
            yield from _rendered(value, (*path, key))
        else:
            yield f"{line} {_scalar(value)}", (*path, key)


def _scalar(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=float("inf"))
    return text.removesuffix("\n").removesuffix("\n...")


def _leaves(tree: Config, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Paths of all values that are no mappings, or empty ones."""
    found: list[tuple[str, ...]] = []
    for key, value in tree.items():
        found += _leaves(value, (*path, key)) if isinstance(value, dict) and value else [(*path, key)]
    return found


def _refuse_numbers_as_text(value: Any, where: str) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            _refuse_numbers_as_text(inner, f"{where}: {key}")
    elif isinstance(value, str) and value[:1].isdigit() and "e" in value.lower():
        try:
            number = float(value)
        except ValueError:
            return
        raise UserError(f"{where}: {value!r} is text in YAML; write {number:.1e}")
