"""Types as schemas, and what is said of values that do not fit."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict

import pytest
from typing_extensions import NotRequired

from m4ser.utils.errors import UserError
from m4ser.utils.schema import Checker, schema_of


class Speech(TypedDict):
    layers: list[int]
    pool: NotRequired[float]


@dataclass
class Experiment:
    tag: str
    speech: Speech | None
    form: Literal["a", "b"] = "a"
    counts: dict[str, int] = field(default_factory=dict)
    betas: tuple[float, float] = (0.9, 0.99)
    weights: Sequence[float] = ()
    anything: Any = None


GOOD = {"tag": "x", "speech": {"layers": [1, 2], "more": "is free"}}


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"speech": None},
        {"form": "b"},
        {"counts": {"x": 3}},
        {"betas": [1, 0.5]},
        {"anything": [1]},
        {"weights": [1]},
    ],
)
def test_what_fits(change):
    assert Checker(schema_of(Experiment)).fault({**GOOD, **change}) is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"tag": 3}, "tag: must be text, not 3"),
        ({"tag": None}, "tag: must be text, not None"),
        ({"speech": {"layers": [1, 2.0]}}, "speech: must be a mapping or null, not {'layers': [1, 2.0]}"),
        ({"form": "c"}, "form: must be a or b, not 'c'"),
        ({"counts": {"x": True}}, "counts: x: must be a whole number, not True"),
        ({"counts": {"x": float("nan")}}, "counts: x: must be a whole number, not nan"),
        ({"betas": [1]}, "betas: must be a list of 2 numbers, not [1]"),
        ({"betas": [1, "y"]}, "betas: 1: must be a number, not 'y'"),
        ({"weights": [1, float("inf")]}, "weights: 1: must be a number, not inf"),
        ({"weights": "x" * 100}, f"weights: must be a list of numbers, not '{'x' * 55}...'"),
        ({"formm": "a"}, "unknown key 'formm'; did you mean form?"),
        ({"zzz": "a"}, "unknown key 'zzz'; known are anything, betas, counts, form, speech, tag, weights"),
    ],
)
def test_what_does_not_fit(change, says):
    assert str(Checker(schema_of(Experiment)).fault({**GOOD, **change})) == says


def test_what_is_missing_or_no_mapping_at_all():
    checker = Checker(schema_of(Experiment))
    assert str(checker.fault({"tag": "x"})) == "speech: is missing"
    assert str(checker.fault([])) == "must be a mapping, not []"
    with pytest.raises(UserError, match=r"^run.json: speech: is missing; make it again$"):
        checker.check({"tag": "x"}, "run.json", "make it again")
