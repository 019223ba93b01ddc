"""Values of files compared with a description of their types: a JSON Schema, checked by jsonschema-rs.

A schema can be made from annotations (:func:`schema_of`), so that what a file holds is described once, in Python.
"""

import dataclasses
import difflib
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typing_extensions

from m4ser.utils.errors import UserError

if TYPE_CHECKING:
    import jsonschema_rs

Schema = dict[str, Any]
Place = tuple[str | int, ...]  # of a value: keys and indices that lead to it
_LONGEST = 60  # characters of a value in a message


@dataclasses.dataclass(frozen=True)
class Fault:
    """A value that does not fit."""

    place: Place
    says: str

    def __str__(self) -> str:
        return ": ".join([*map(str, self.place), self.says])


class _Whole:
    """Keyword ``whole``: 2.0 is no whole number, though JSON Schema says so."""

    def __init__(self, parent: Schema, value: bool, place: list[str | int]) -> None:
        pass

    def validate(self, instance: object) -> None:
        """Raises ValueError for a float."""
        if isinstance(instance, float):
            raise ValueError


class Checker:
    """Finds what does not fit a schema.

    Each schema within has a ``description`` that completes "must be": "a whole number of 1 or more".
    """

    def __init__(self, schema: Schema) -> None:
        import jsonschema_rs  # inference with a packed model does without it

        self.schema = schema
        self._validator = jsonschema_rs.Draft202012Validator(schema, keywords={"whole": _Whole})

    def fault(self, value: object) -> Fault | None:
        """The first fault, by its place; None if there is none."""
        try:
            if self._validator.is_valid(value):
                return None
            faults = [self._fault(error, value) for error in self._validator.iter_errors(value)]
        except ValueError as error:  # what no JSON can hold: half a character, mappings in one another without end
            return Fault((), f"cannot be stored ({error})")
        return min(faults, key=lambda fault: (len(fault.place), str(fault)))

    def check(self, value: object, where: str | Path, remedy: str) -> None:
        """Refuse what does not fit.

        Raises:
            UserError: naming ``where``, the place within, what fits, and the remedy.
        """
        if fault := self.fault(value):
            raise UserError(f"{where}: {fault}; {remedy}")

    def _fault(self, error: "jsonschema_rs.ValidationError", value: Any) -> Fault:
        steps: list[str | int] = []
        for step in error.instance_path:
            steps.append(str(step) if isinstance(value, dict) else step)  # a key "1" comes as a number
            value = value[steps[-1]]  # error.instance has null for what JSON does not know
        place, details = tuple(steps), error.kind.as_dict()
        *way, keyword = error.schema_path
        schema: Any = self.schema
        for step in way:
            schema = schema[step]
        if keyword == "additionalProperties" and "unexpected" in details:
            return Fault(place, _unknown(min(details["unexpected"]), list(schema.get("properties", ()))))
        if keyword == "required":
            return Fault((*place, details["property"]), "is missing")
        fits = schema.get("description", "something else") if isinstance(schema, dict) else "something else"
        if way[-1:] == ["propertyNames"]:
            return Fault((*place, str(details["error"].instance)), f"must be {fits}")
        if keyword == "not":
            return Fault(place, f"must be {fits}")
        return Fault(place, f"must be {fits}, not {shown(value)}")


def shown(value: object) -> str:
    """A value for a message: on one line, shortened."""
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 4]}...{text[-1]}"


def _unknown(key: str, known: Sequence[str]) -> str:
    return f"unknown key {shown(key)}; {known_are(key, known)}"


def known_are(key: str, known: Sequence[str]) -> str:
    """What was probably meant, or else all that is known."""
    close = difflib.get_close_matches(key, known, 1)
    if close:
        return f"did you mean {close[0]}?"
    return f"known are {', '.join(sorted(known))}" if known else "none is known"


def schema_of(annotation: Any) -> Schema:
    """What values a type takes, described; any value where JSON cannot say it.

    Numbers can have limits (:mod:`annotated_types`); dataclasses and typed dictionaries are mappings of their fields.
    """
    schema = _schema_of(annotation)
    if {"type", "enum", "anyOf"} & set(schema) and "description" not in schema:
        schema["description"] = described(schema)
    return schema


def _schema_of(annotation: Any) -> Schema:
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _schema_of(inner[0]) | _limits(inner[1:])
    if origin in (typing_extensions.NotRequired, typing_extensions.Required):
        return _schema_of(inner[0])
    if origin is typing.Literal:
        return {"enum": list(inner)}
    if origin in (typing.Union, types.UnionType):
        return _either([schema_of(hint) for hint in inner if not getattr(hint, "__module__", "").startswith("torch")])
    if dataclasses.is_dataclass(annotation) or typing_extensions.is_typeddict(annotation):
        return _fields(annotation)
    bare = origin or annotation
    if bare is tuple and inner and Ellipsis not in inner:
        items = [schema_of(hint) for hint in inner]
        return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}
    if not isinstance(bare, type):
        return {}
    if bare is not str and issubclass(bare, Sequence | Iterable) and not issubclass(bare, Mapping):
        return {"type": "array", "items": schema_of(inner[0])} if inner else {"type": "array"}
    if issubclass(bare, Mapping):
        return {"type": "object", **({"additionalProperties": schema_of(inner[1])} if inner else {})}
    plain: dict[type, Schema] = {
        int: {"type": "integer", "whole": True},
        float: {"type": "number"},
        bool: {"type": "boolean"},
        str: {"type": "string"},
        Path: {"type": "string"},
        type(None): {"type": "null"},
    }
    return dict(plain.get(bare, {}))


def _fields(annotation: Any) -> Schema:
    """A mapping of the fields of a dataclass, or of a typed dictionary, whose files can have more."""
    hints = typing_extensions.get_type_hints(annotation, include_extras=True)
    properties = {name: schema_of(hint) for name, hint in hints.items()}
    if dataclasses.is_dataclass(annotation):
        empty = dataclasses.MISSING
        fields = dataclasses.fields(annotation)
        required = [one.name for one in fields if one.default is empty and one.default_factory is empty]
        return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    return {"type": "object", "properties": properties, "required": sorted(annotation.__required_keys__)}


def _limits(constraints: Iterable[Any]) -> Schema:
    names = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
    names |= {"min_length": "minItems", "pattern": "pattern"}
    limits = {key: getattr(limit, name, None) for limit in constraints for name, key in names.items()}
    return {key: value for key, value in limits.items() if value is not None}


def _either(kinds: list[Schema]) -> Schema:
    """One of several kinds."""
    if not all(kinds):
        return {}
    return kinds[0] if len(kinds) == 1 else {"anyOf": kinds}


def described(schema: Schema) -> str:
    """What fits a schema, in words."""
    if "anyOf" in schema:
        return " or ".join(choice["description"] for choice in schema["anyOf"])
    if "enum" in schema:
        *others, last = map(str, schema["enum"])
        return f"{', '.join(others)} or {last}" if others else last
    json_type = schema["type"]
    if json_type == "array":
        items = schema.get("prefixItems") or [schema.get("items", {})]
        count = f"{len(items)} " if "prefixItems" in schema else ""
        return f"a list of {count}" + {"a whole number": "whole numbers", "a number": "numbers", "text": "texts"}.get(
            (inner := items[0].get("description", "values")), inner
        )
    words = {"minimum": "of {} or more", "exclusiveMinimum": "above {}", "maximum": "up to {}"}
    words |= {"exclusiveMaximum": "below {}"}
    limits = " and ".join(text.format(schema[key]) for key, text in words.items() if key in schema)
    names = {"integer": "a whole number", "number": "a number", "boolean": "true or false", "string": "text"}
    return f"{(names | {'object': 'a mapping', 'null': 'null'})[json_type]} {limits}".strip()
