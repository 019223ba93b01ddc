"""Training configurations compared with what they may say, before any stage begins.

What they may say is in ``options.json``, a JSON Schema for each task, made by ``tools/describe_options.py`` from the
parsers of the tasks and the signatures of what a configuration chooses. Neither PyTorch nor ESPnet2 is imported.
"""

import argparse
import contextlib
import functools
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from m4ser.models.systems import SER
from m4ser.training.nested import TRAIN_ARGS, Nested
from m4ser.utils.cli import shell_words
from m4ser.utils.errors import UserError
from m4ser.utils.schema import Checker, Schema, known_are, shown

OPTIONS = Path(__file__).with_name("options.json")
LONGEST = 300  # characters of what a parser says; it repeats values
Config = dict[str, Any]
_NO_VALUE = re.compile(r"\s*(none|null|nil)\s*", re.IGNORECASE)  # in ESPnet2


def check(layers: Sequence[tuple[str, Config]], merged: Config, train_args: str = "") -> None:
    """Refuse a configuration with an option that its task does not have, or a value that the option cannot have.

    Args:
        layers: what the configuration is made from, the last overrides those before it: names of files, their values.
        merged: the layers in one.
        train_args: options that override the configuration, as one text quoted as for a shell.

    Raises:
        UserError: naming the layer, the key and what fits.
    """
    task = merged.get("task", SER)
    if not isinstance(task, str) or task not in _schemas():
        where = _layer_of(("task",), layers)
        raise UserError(f"{where}: task: unknown task {shown(task)}; known are {', '.join(_schemas())}")
    options = _schemas()[task]["properties"]
    for name, values in layers:
        if unknown := [key for key in values if key not in options]:
            suggestion = known_are(unknown[0], list(options)) if len(unknown[0]) < 100 else ""
            hint = f"; {suggestion}" if suggestion.startswith("did") else ""
            raise UserError(f"{name}: unknown option {shown(unknown[0])} of task {task}{hint}")
    typed = _typed(train_args, options, merged) if train_args.strip() else {}
    for option, value in typed.items():
        if isinstance(value, dict):
            refuse_numbers_as_text(value, f"{TRAIN_ARGS}: --{option}")
    whole = {key: _as_read(options[key], value) for key, value in (merged | typed).items()}
    if fault := _checker(task).fault(whole):
        where = _layer_of(fault.place, [*layers, (TRAIN_ARGS, _changed(typed, merged))])
        raise UserError(f"{where}: {fault}")


@functools.cache
def _schemas() -> dict[str, Schema]:
    return json.loads(OPTIONS.read_text(encoding="utf-8"))


@functools.cache
def _checker(task: str) -> Checker:
    return Checker(_schemas()[task])


def _layer_of(place: Sequence[str | int], layers: Sequence[tuple[str, Config]]) -> str:
    """The last layer that says something of a value, or else of the mapping that it is missing in."""
    keys = [key for key in place if isinstance(key, str)]
    for length in range(len(keys), 0, -1):
        for name, values in reversed(layers):
            value: Any = values
            for key in keys[:length]:
                value = value.get(key) if isinstance(value, dict) else None
            if value is not None:
                return name
    return layers[-1][0] if len(layers) == 1 else layers[-2][0]


def _changed(typed: Config, merged: Config) -> Config:
    """What was typed, without what the configuration says, too."""
    changes: Config = {}
    for key, value in typed.items():
        before = merged.get(key)
        if isinstance(value, dict) and isinstance(before, dict):
            value = _changed(value, before)
        if value != before:
            changes[key] = value
    return changes


def _as_read(option: Schema, value: Any) -> Any:
    """A value as the parser of the task reads it: numbers and names can be text, in a file, too."""
    if isinstance(value, list) and "items" in option:
        return [_as_read(option["items"], one) for one in value]
    if not isinstance(value, str):
        return value
    if option.get("any_case") and value not in option["enum"] and value.lower() in option["enum"]:
        return value.lower()
    for json_type, read in (("integer", int), ("number", float)):
        if json_type in option.get("type", ()) and not _NO_VALUE.fullmatch(value):
            with contextlib.suppress(ValueError):
                return read(value)
    return value


def refuse_numbers_as_text(value: Any, where: str) -> None:
    """Refuse numbers such as ``1e-3``, which YAML reads as text.

    Raises:
        UserError: naming the place and how the number is written.
    """
    if isinstance(value, dict):
        for key, inner in value.items():
            refuse_numbers_as_text(inner, f"{where}: {key}")
    elif isinstance(value, list):
        for inner in value:
            refuse_numbers_as_text(inner, where)
    elif isinstance(value, str) and value.lstrip("+-")[:1].isdigit() and "e" in value.lower():
        try:
            number = float(value)
        except ValueError:
            return
        raise UserError(f"{where}: {value!r} is text in YAML; write {number:.1e}")


def refuse(message: str) -> NoReturn:
    """What a parser says of a mistake in ``--train-args``, as one line.

    Raises:
        UserError: always.
    """
    text = " ".join(message.split())
    raise UserError(f"{TRAIN_ARGS}: {text if len(text) <= LONGEST else text[:LONGEST] + '...'}")


class Parser(argparse.ArgumentParser):
    """Of ``--train-args``: a mistake is a :class:`~m4ser.utils.errors.UserError`."""

    def error(self, message: str) -> NoReturn:
        """See :func:`refuse`."""
        refuse(message)


def _typed(train_args: str, options: Mapping[str, Schema], merged: Config) -> Config:
    """The options that were typed, nested ones over those of the configuration."""
    parser = Parser(add_help=False)
    arguments: dict[str, dict[str, Any]] = {"mapping": {"action": Nested}, "repeated": {"action": "append"}}
    arguments["flag"] = {"action": "store_true"}
    nested: Config = {}
    for name, option in options.items():
        argument = option.get("argument")
        known = arguments.get(argument, {"nargs": argument}) if argument else {}
        parser.add_argument(f"--{name}", default=argparse.SUPPRESS, **known)
        if argument == "mapping":
            conf = merged.get(name)
            nested[name] = json.loads(json.dumps(conf)) if isinstance(conf, dict) else {}
    before = json.dumps(nested)
    values = vars(parser.parse_args(shell_words(train_args, TRAIN_ARGS), argparse.Namespace(**nested)))
    unchanged = json.loads(before)
    return {name: value for name, value in values.items() if name not in unchanged or value != unchanged[name]}
