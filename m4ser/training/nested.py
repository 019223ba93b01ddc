"""Mappings typed as options (``--optim_conf lr=0.001``), read as data.

ESPnet2 evaluates them as Python, and reads YAML that may name any function: text of a user would be run as a program.
:mod:`m4ser.training.espnet` puts this in the place of its reading, for every task.
"""

import argparse
import ast
import copy
from typing import Any

from m4ser.utils.errors import UserError
from m4ser.utils.schema import shown
from m4ser.utils.yaml_text import parse_yaml

TRAIN_ARGS = "--train-args"


class Nested(argparse.Action):
    """``key=value``, ``key.key=value`` or a mapping, as ESPnet2's own action takes them."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Put them over what the option has already.

        Raises:
            UserError: it is no mapping, or holds anything but mappings, lists, texts, numbers, true, false and null.
        """
        read_nested(self, parser, namespace, values, option_string)


def read_nested(
    action: argparse.Action,
    _parser: argparse.ArgumentParser,
    namespace: argparse.Namespace,
    values: Any,
    option_string: str | None = None,
) -> None:
    """What :class:`Nested` does, for any action.

    Raises:
        UserError: see there.
    """
    before = getattr(namespace, action.dest, None)
    mapping: dict[str, Any] = copy.deepcopy(before) if isinstance(before, dict) else {}
    setattr(namespace, action.dest, mapping)
    where = f"{TRAIN_ARGS}: {option_string}"
    path, assigned, text = values.partition("=")
    if not assigned:
        mapping.update(_mapping(values, where))
        return
    *outer, last = path.split(".")
    for key in outer:
        if not isinstance(mapping.get(key), dict):
            mapping[key] = {}
        mapping = mapping[key]
    mapping[last] = parse_yaml(text, where) if text.strip() else text


def _mapping(text: str, where: str) -> dict[str, Any]:
    """A mapping as Python or YAML writes it."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        value = parse_yaml(text, where)
    if not isinstance(value, dict):
        raise UserError(f"{where}: must be key=value or {{key: value}}, not {shown(text)}")
    return value
