"""Whose a corpus is: what a recipe declares of it, and what the card of a model trained on it says."""

import re
from collections.abc import Collection, Mapping
from pathlib import Path

from typing_extensions import NotRequired, TypedDict

from m4ser.utils.errors import DamagedFileError, UserError
from m4ser.utils.files import read_json, write_json

ORIGINS = "corpora.json"  # in `data/`
OTHER = "other"
# Terms that bind what is made of a work: attribution, non-commercial, share alike, no derivatives.
_CREATIVE_COMMONS = re.compile(r"cc-(?P<terms>by(-nc)?(-sa|-nd)?)-(?P<version>\d\.\d)")


class Origin(TypedDict):
    """One corpus.

    `licence` is the name that model hubs use (``cc-by-4.0``; ``other`` for terms of its own), `languages` are ISO 639-1
    codes, `address` is where it is to be had, `hub` its id on the Hugging Face hub, if its authors put it there.
    """

    name: str
    licence: str
    languages: list[str]
    address: str
    hub: NotRequired[str]


def identifier(origin: Origin) -> str:
    """The name of a corpus in the header of a card: its id on the hub, or its name in small letters.

    >>> identifier({"name": "CREMA-D", "licence": "odbl", "languages": ["en"], "address": ""})
    'crema-d'
    """
    return origin.get("hub") or re.sub(r"[^a-z0-9]+", "-", origin["name"].lower()).strip("-")


def write_origins(data: str | Path, origins: Mapping[str, Origin]) -> None:
    """Write ``corpora.json`` of a folder of data directories; without any origin an earlier one is removed."""
    path = Path(data) / ORIGINS
    if origins:
        write_json(path, dict(origins))
    else:
        path.unlink(missing_ok=True)


def read_origins(data: str | Path) -> dict[str, Origin]:
    """Origins by the name of the corpus; empty where the recipe declares none.

    Raises:
        UserError: the file is damaged.
    """
    path = Path(data) / ORIGINS
    if not path.is_file():
        return {}
    from m4ser.utils.schema import Checker, schema_of

    fault: object
    try:
        origins = read_json(path)
        origins.pop("made_by", None)
        fault = Checker(schema_of(dict[str, Origin])).fault(origins)
    except (DamagedFileError, AttributeError):
        fault = "is not JSON"
    if fault:
        raise UserError(f"{path}: damaged ({fault}); delete it and run stage 0 again")
    return origins


def licence_of(origins: Collection[Origin]) -> str:
    """The licence of what is made of several corpora: the one whose terms include those of all others.

    >>> nemo = {"name": "nEMO", "licence": "cc-by-nc-sa-4.0", "languages": ["pl"], "address": ""}
    >>> licence_of([nemo, {**nemo, "licence": "cc-by-4.0"}])
    'cc-by-nc-sa-4.0'
    >>> licence_of([nemo, {**nemo, "licence": "cc-by-sa-4.0"}])
    'other'
    """
    licences = sorted({origin["licence"] for origin in origins})
    if len(licences) == 1:
        return licences[0]
    terms = {licence: _terms(licence) for licence in licences}
    if not terms or None in terms.values():
        return OTHER
    every = frozenset().union(*(conditions for conditions in terms.values() if conditions is not None))
    share_alike = [licence for licence in licences if "sa" in (terms[licence] or ())]
    candidates = [licence for licence in licences if terms[licence] == every]
    # What is shared alike keeps its own licence: a stricter one beside it cannot be served too.
    return candidates[-1] if candidates and set(share_alike) <= {candidates[-1]} else OTHER


def _terms(licence: str) -> frozenset[str] | None:
    """The terms of a Creative Commons licence; None of any other."""
    if licence == "cc0-1.0":
        return frozenset()
    match = _CREATIVE_COMMONS.fullmatch(licence)
    return frozenset(match["terms"].split("-")) if match else None
