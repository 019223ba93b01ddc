"""Several systems on crossed corpora: one row each, by the corpora that were not trained on, or all that was tried."""

from collections.abc import Mapping
from typing import Any

from m4ser.data.folds import JOIN
from m4ser.scoring.table import NOTHING, Column, Row, Score, Table, columns, listed
from m4ser.training.result_files import Crossed
from m4ser.training.setup import joined_makers, trained_text
from m4ser.utils.errors import UserError

KIND = "crossings"
Cell = dict[str, Any]  # of `metrics.json`


def table(results: Mapping[str, Crossed], every_row: bool = False) -> Table:
    """UA of systems by tested corpus.

    Args:
        results: `metrics.json` of each system, by its name.
        every_row: a row for each system and what it was trained on, instead of one for each system: there each corpus
            is tested by the models that were trained on most others, and not on it.

    Raises:
        UserError: they are not of one protocol.
    """
    first = next(iter(results.values()))
    for name, crossed in results.items():
        if crossed["protocol"] != first["protocol"]:
            raise UserError(f"{name}: has protocol {crossed['protocol']}, not {first['protocol']}; compare one alone")
    tested = first["columns"]
    if every_row:
        rows: list[Row] = [
            [name, row, *(_score(_cell(crossed, row, column)) for column in tested)]
            for name, crossed in results.items()
            for row in crossed["rows"]
        ]
        heads = columns("system", "trained on", *tested)
    else:
        rows = [_left_out(name, crossed, tested) for name, crossed in results.items()]
        rows.append(["chance", *(Score(_chance(first, column)) for column in tested), None])
        heads = [*columns("system", *tested), Column("mean", "mean")]
    partial = [name for name, crossed in results.items() if crossed["partial"]]
    warning = f"**PARTIAL: {listed(partial)}.** " if partial else ""
    caption = (
        f"{warning}UA in per cent [95 % confidence interval]. Protocol `{first['protocol']}`, "
        f"{len(first['labels'])} classes ({', '.join(first['labels'])}), seeds {' '.join(first['seeds'])}."
    )
    few = dict.fromkeys(cell["test"] for cell in first["cells"] if cell["resampled"] == "utterance")
    makers = joined_makers(crossed["trained_with"] for crossed in results.values())
    notes = [
        "Bold: other speakers of a corpus that was trained on." if every_row and _bold(results) else "",
        "" if every_row else "Every corpus is tested by models of all others: " + _trained(first, tested) + ".",
        "Intervals resample the speakers of the tested corpus"
        + (f"; of {listed(few)}, utterances, which is too narrow." if few else "."),
        trained_text(makers),
    ]
    about = {"kind": KIND, "protocol": first["protocol"], "labels": first["labels"], "systems": list(results)}
    return Table(heads, rows, caption=caption, notes=notes, about=about)


def _cell(crossed: Crossed, row: str, column: str) -> Cell | None:
    return next((cell for cell in crossed["cells"] if (cell["train"], cell["test"]) == (row, column)), None)


def _score(cell: Cell | None) -> Score | None:
    return Score(cell["ua"]["mean"], cell["ua"]["sd"], cell["ua"]["ci"], bold=cell["in_corpus"]) if cell else None


def _of_most(crossed: Crossed, column: str) -> Cell | None:
    """The cell of the models that were trained on most of the other corpora."""
    others = [cell for cell in crossed["cells"] if cell["test"] == column and not cell["in_corpus"]]
    return max(others, key=lambda cell: len(cell["train"].split(JOIN)), default=None)


def _left_out(name: str, crossed: Crossed, tested: list[str]) -> Row:
    scores = [_score(_of_most(crossed, column)) for column in tested]
    known = [score.value for score in scores if score]
    return [name, *scores, Score(sum(known) / len(known)) if len(known) == len(tested) else None]


def _trained(crossed: Crossed, tested: list[str]) -> str:
    cells = {column: _of_most(crossed, column) for column in tested}
    return "; ".join(f"{column} by {cell['train'] if cell else NOTHING}" for column, cell in cells.items())


def _chance(crossed: Crossed, column: str) -> float:
    return next(1 / cell["classes"] for cell in crossed["cells"] if cell["test"] == column)


def _bold(results: Mapping[str, Crossed]) -> bool:
    return any(cell["in_corpus"] for crossed in results.values() for cell in crossed["cells"])
