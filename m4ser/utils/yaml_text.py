"""YAML as files of this project may use it: mappings, lists, text, numbers; everything bounded.

PyYAML takes any key twice and the last one counts, makes dates and sets, and writes out aliases of aliases until the
memory is full. Here all that is an error with its line, before anything is made of it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from m4ser.utils.errors import UserError

DEEPEST = 32  # mappings and lists in one another


@dataclass(frozen=True)
class Bounds:
    """Of what is read.

    Attributes:
        longest: bytes of a file.
        most: values, once aliases and merges are written out.
        any_keys: whether keys may be numbers, true, false and null, too.
    """

    longest: int = 100_000  # the largest configuration has 3,000
    most: int = 20_000
    any_keys: bool = False


CONFIGURATION = Bounds()  # what people write
STORED = Bounds(1 << 19, 200_000, True)  # what programs write: vocabularies, names of labels by number
_KINDS = dict.fromkeys(("map", "seq", "str", "int", "float", "bool", "null"))
_SCALARS = ("str", "int", "float", "bool", "null")
_TAG, _MERGE = "tag:yaml.org,2002:", "tag:yaml.org,2002:merge"


class _RefusedError(Exception):
    def __init__(self, node: yaml.Node | yaml.Event, fault: str) -> None:
        line = node.start_mark.line + 1 if node.start_mark else 1
        super().__init__(f"line {line}: {fault}")


class _Loader(yaml.SafeLoader):
    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self.depth += 1
        if self.depth > DEEPEST:
            raise _RefusedError(self.peek_event(), _too_deep())
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


@dataclass(frozen=True)
class _Extent:
    """Of a value with all that is in it, aliases written out."""

    values: int
    depth: int


def parse_yaml(text: str, where: str, bounds: Bounds = CONFIGURATION) -> Any:
    """What a text says: dict, list, str, int, float, bool or None.

    Args:
        text: YAML.
        where: file or option that it is from, for messages.
        bounds: of its length and values.

    Raises:
        UserError: no YAML, or a key that is repeated or no text, another type, too many values or levels.
    """
    if len(text) > bounds.longest:
        raise UserError(f"{where}: has {len(text)} characters; at most {bounds.longest} are read")
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            _measure(node, {}, bounds)
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except _RefusedError as refused:
        raise UserError(f"{where}: {refused}") from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: `!!int x`
        raise UserError(f"{where}: not valid YAML ({' '.join(str(error).split())})") from None


def read_yaml(path: str | Path, bounds: Bounds = CONFIGURATION) -> Any:
    """What a file says.

    Raises:
        UserError: as :func:`parse_yaml`; or it cannot be read, or is not UTF-8.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(bounds.longest + 1)
        if len(content) > bounds.longest:
            raise UserError(f"{path}: is longer than {bounds.longest} bytes; no configuration is")
        return parse_yaml(content.decode("utf-8"), str(path), bounds)
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not valid YAML ({error})") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None


def _measure(node: yaml.Node, known: dict[int, _Extent | None], bounds: Bounds) -> _Extent:
    """Check a node and all below it; aliases, which are the same node again, are counted as often as they are used."""
    if id(node) in known:
        extent = known[id(node)]
        if extent is None:
            raise _RefusedError(node, "refers to itself")
        return extent
    known[id(node)] = None
    if (tag := node.tag.removeprefix(_TAG)) not in _KINDS:
        raise _RefusedError(node, f"{_shown(node)} is of the type {tag}, which no option has; put text in quotes")
    inner: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        keys: set[str] = set()
        for key, value in node.value:
            if key.tag != _MERGE:
                _check_key(key, keys, bounds)
            inner.append(value)
    elif isinstance(node, yaml.SequenceNode):
        inner = node.value
    else:
        _check_scalar(node)
    extents = [_measure(one, known, bounds) for one in inner]
    extent = _Extent(1 + sum(one.values for one in extents), 1 + max((one.depth for one in extents), default=0))
    if extent.values > bounds.most:
        raise _RefusedError(node, f"more than {bounds.most} values when all aliases (*) are written out")
    if extent.depth > DEEPEST:
        raise _RefusedError(node, _too_deep())
    known[id(node)] = extent
    return extent


def _check_key(key: yaml.Node, before: set[str], bounds: Bounds) -> None:
    kinds = _SCALARS if bounds.any_keys else ("str",)
    if not isinstance(key, yaml.ScalarNode) or key.tag.removeprefix(_TAG) not in kinds:
        raise _RefusedError(key, f"the key {_shown(key)} is no text; put it in quotes")
    _check_scalar(key)
    if key.value in before:
        raise _RefusedError(key, f"the key {key.value!r} is there twice; delete one")
    before.add(key.value)


def _check_scalar(node: yaml.Node) -> None:
    try:
        node.value.encode("utf-8")
    except UnicodeEncodeError:
        raise _RefusedError(node, f"{_shown(node)} is not Unicode") from None
    if node.tag == f"{_TAG}int" and len(node.value) > 18:
        raise _RefusedError(node, f"{_shown(node)} is too large a number")


def _too_deep() -> str:
    return f"more than {DEEPEST} mappings and lists in one another"


def _shown(node: yaml.Node) -> str:
    text = repr(node.value) if isinstance(node, yaml.ScalarNode) else "what begins here"
    return text if len(text) <= 40 else f"{text[:36]}...{text[0]}"
