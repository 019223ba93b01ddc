"""Merged configurations to be read: each value with the file that it is from, for the screen and for ESPnet."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from m4ser.training.configuration import (
    Config,
    Layer,
    find_config,
    layers,
    merge,
    parse_task,
    read_config,
    stack,
    systems,
)
from m4ser.utils.errors import UserError
from m4ser.utils.files import atomic_write

MERGED = "train_config.yaml"  # in the folder of an experiment


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


def values(path: str | Path) -> dict[str, str]:
    """A merged configuration as text by dotted name, ``{"optim_conf.lr": "0.001"}``: what two trainings differ by.

    Raises:
        UserError: as :func:`read_config`.
    """
    merged = read_config(path)
    return {".".join(map(str, leaf)): _scalar(_at(merged, leaf)) for leaf in _leaves(merged)}


def summaries(recipe: str | Path) -> dict[str, str]:
    """For each system of a recipe the first line of its file, a comment that says what it is.

    Raises:
        UserError: the folder is no recipe's.
    """
    if not (names := systems(recipe)):
        raise UserError(f"{Path(recipe, 'conf')}: no training configurations; name the folder of a recipe, as egs/mini")
    first_lines = {}
    for name in names:
        file = layers(find_config(name, recipe))[-1]
        first, *_ = file.read_text(encoding="utf-8").splitlines() or [""]
        first_lines[name] = first.removeprefix("# ") if first.startswith("#") else ""
    return first_lines


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
    paths: list[tuple[str, ...]] = []
    for key, value in tree.items():
        paths += _leaves(value, (*path, key)) if isinstance(value, dict) and value else [(*path, key)]
    return paths
