"""The one kind of table that every result is written as, and the one way each of its forms is rendered.

Scores are fractions of one in a table, in its JSON and CSV, and per cent where people read them.
"""

import csv
import dataclasses
import io
import itertools
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from m4ser.utils.errors import UserError
from m4ser.utils.files import LONGEST_LINE, atomic_write, rounded, write_json, write_markdown
from m4ser.utils.provenance import made_by

NOTHING = "–"
_NOTE = textwrap.TextWrapper(120, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


@dataclass(frozen=True)
class Score:
    """A measured value, or the difference of two, with what is known about its spread.

    ``sd``: standard deviation over runs; ``ci``: ends of the 95 % interval; ``p``: of a paired test, ``p_holm`` the
    same corrected for the number of tests. ``partial``: runs are missing. ``plain``: no fraction, shown as it is.
    """

    value: float
    sd: float | None = None
    ci: Sequence[float] | None = None
    p: float | None = None
    p_holm: float | None = None
    difference: bool = False
    bold: bool = False
    partial: bool = False
    plain: bool = False

    @classmethod
    def of(cls, value: Mapping[str, Any], **more: bool) -> "Score":
        """What `metrics.json` says of a score: mean, deviation and, where it is known, interval."""
        return cls(value["mean"], value["sd"], value.get("ci"), **more)

    def __str__(self) -> str:
        scale = 0.01 if self.plain else 1.0
        text = signed(scale * self.value) if self.difference else percent(scale * self.value)
        text = f"**{text}**" if self.bold else text
        text += f" ± {percent(scale * self.sd)}" if self.sd is not None else ""
        text += f" {interval([scale * end for end in self.ci])}" if self.ci is not None else ""
        p = self.p if self.p_holm is None else self.p_holm
        text += f" p {p_value(p)}" if p is not None else ""
        return text + (" (partial)" if self.partial else "")


Cell = Score | float | str | None
Row = Sequence[Cell]


@dataclass(frozen=True)
class Column:
    """Heading and name for programs (default: the heading).

    People read plain numbers multiplied by ``scale``, with so many ``digits``; a column may be for programs only.
    """

    name: str
    key: str = ""
    digits: int = 2
    scale: float = 1
    shown: bool = True


@dataclass(frozen=True)
class Table:
    """Rows of cells, the first of each its name, with all that is needed to read them.

    ``caption``: one line on what the numbers are; ``notes``: sentences below the table; ``more``: tables that belong to
    it, such as the same rows in other scores; ``figure``: file beside the table; ``about``: what programs need
    beside the cells; ``made_by``: see :func:`m4ser.utils.provenance.made_by`.
    """

    columns: Sequence[Column]
    rows: Sequence[Row]
    title: str = ""
    caption: str = ""
    notes: Sequence[str] = ()
    more: Sequence["Table"] = ()
    figure: str = ""
    about: Mapping[str, Any] = field(default_factory=dict)
    made_by: Mapping[str, str] = field(default_factory=dict)

    def keys(self) -> list[str]:
        """Names of the columns for programs."""
        return [column.key or column.name for column in self.columns]

    def cell(self, row: str, key: str) -> Cell:
        """The cell of a row and a column, None where the table has no such column."""
        cells = next(cells for cells in self.rows if cells[0] == row)
        return dict(zip(self.keys(), cells, strict=True)).get(key)

    def scores(self, key: str) -> list[Score]:
        """The scores of one column, without the cells that have none."""
        cells = (row[self.keys().index(key)] for row in self.rows)
        return [cell for cell in cells if isinstance(cell, Score)]

    def texts(self) -> list[list[str]]:
        """Headings and cells of the columns that people read, as they are read."""
        shown = [column.shown for column in self.columns]
        rows = [[_text(*cell) for cell in zip(row, self.columns, strict=True)] for row in self.rows]
        return [list(itertools.compress(row, shown)) for row in ([column.name for column in self.columns], *rows)]

    def lines(self, aligned: bool = False) -> list[str]:
        """The cells alone as lines of Markdown; ``aligned`` for a terminal."""
        body = [[text.replace("|", "\\|") for text in row] for row in self.texts()]
        body.insert(1, ["---", *["---:"] * (len(body[0]) - 1)])
        if aligned:
            widths = [max(map(len, cells)) for cells in zip(*body, strict=True)]
            body = [[row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in body]
        return [f"| {' | '.join(row)} |" for row in body]

    def narrow(self) -> list["Table"]:
        """The table, or its columns in parts that are no wider than a line of a page may be."""
        middle = len(self.columns) // 2 + 1
        if middle < 3 or max(map(len, self.lines())) <= LONGEST_LINE:
            return [self]
        parts = (slice(1, middle), slice(middle, None))
        halves = [([self.columns[0], *self.columns[p]], [[row[0], *row[p]] for row in self.rows]) for p in parts]
        return [part for half in halves for part in Table(*half).narrow()]

    def markdown(self, aligned: bool = False) -> str:
        """Caption, cells, notes, further tables with their titles as headings, figure."""
        parts = [self.caption, *("\n".join(table.lines(aligned)) for table in self.narrow())]
        blocks = [*parts, "\n".join(_NOTE.fill(f"- {note}") for note in self.notes if note)]
        for table in self.more:
            blocks += [f"## {table.title}" if table.title else "", table.markdown(aligned).rstrip("\n")]
        if self.figure:
            blocks.append(f"![{Path(self.figure).stem}]({self.figure})")
        return "\n\n".join(part for part in blocks if part) + "\n"

    def records(self) -> list[dict[str, Any]]:
        """The rows as a spreadsheet has them: each number of a score in a column of its own."""
        records = []
        for row in self.rows:
            record: dict[str, Any] = {}
            for key, cell in zip(self.keys(), row, strict=True):
                if isinstance(cell, Score):
                    low, high = cell.ci or (None, None)
                    parts = {"": cell.value, "_sd": cell.sd, "_low": low, "_high": high}
                    parts |= {"_p": cell.p, "_p_holm": cell.p_holm}
                    record |= {key + end: value for end, value in parts.items() if value is not None or not end}
                else:
                    record[key] = cell
            records.append(record)
        return records

    def csv(self) -> str:
        """One line for each row; of several tables each line begins with the heading of its table."""
        several = (self, *self.more)
        records = [
            {"table": t.title or t.columns[0].name} | row if self.more else row for t in several for row in t.records()
        ]
        header: list[str] = []
        for record in records:  # a key goes behind the one that it follows in its record
            place = 0
            for key in record:
                if key not in header:
                    header.insert(place, key)
                place = header.index(key) + 1
        text = io.StringIO()
        writer = csv.DictWriter(text, header, lineterminator="\n")
        writer.writeheader()
        writer.writerows(records)
        return text.getvalue()

    def json(self) -> dict[str, Any]:
        """What :meth:`from_json` reads; numbers have six decimals."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if getattr(self, f.name)}
        fields["columns"] = [_without_defaults(column) for column in self.columns]
        fields["rows"] = [[_without_defaults(c) if isinstance(c, Score) else c for c in row] for row in self.rows]
        if self.more:
            fields["more"] = [table.json() for table in self.more]
        return rounded(fields)

    @classmethod
    def from_json(cls, content: Mapping[str, Any], where: str | Path = "table") -> "Table":
        """The table that :meth:`json` has described, in the file ``where``.

        Raises:
            UserError: it holds something else.
        """
        names = {f.name for f in dataclasses.fields(cls)}
        known = {key: value for key, value in content.items() if key in names}
        try:
            known["columns"] = [Column(**column) for column in content["columns"]]
            known["rows"] = [[Score(**c) if isinstance(c, dict) else c for c in row] for row in content["rows"]]
        except (KeyError, TypeError) as error:
            raise UserError(f"{where}: is no table as `m4ser table` writes it ({error}); make it again") from None
        known["more"] = [cls.from_json(table) for table in content.get("more", ())]
        return cls(**known)

    def save(self, out: Path) -> "Table":
        """Write OUT.md, OUT.csv, OUT.json with the command that made them; the same numbers give the same bytes.

        Returns the table as it was written.
        """
        provenance = {key: value for key, value in made_by().items() if key != "date"}
        # What is shown is what is stored: six decimals, for the last bits may differ between machines.
        table = Table.from_json({**self.json(), "made_by": provenance})
        write_markdown(out.with_name(f"{out.name}.md"), table.markdown(), provenance)
        with atomic_write(out.with_name(f"{out.name}.csv")) as file:
            file.write(table.csv())
        write_json(out.with_name(f"{out.name}.json"), {"kind": "table", **table.json()})
        return table

    @staticmethod
    def remove(out: Path) -> None:
        """Remove what :meth:`save` has written there before."""
        for ending in ("md", "csv", "json"):
            out.with_name(f"{out.name}.{ending}").unlink(missing_ok=True)


def _text(cell: Cell, column: Column) -> str:
    if cell is None:
        return NOTHING
    return f"{cell * column.scale:.{column.digits}f}" if isinstance(cell, float) else str(cell)


def _without_defaults(value: Score | Column) -> dict[str, Any]:
    fields = dataclasses.fields(value)
    return {f.name: getattr(value, f.name) for f in fields if getattr(value, f.name) != f.default}


def percent(value: float | None) -> str:
    """0.7234 -> 72.34."""
    return NOTHING if value is None else f"{100 * value:.2f}"


def interval(ends: Sequence[float] | None) -> str:
    """[69.10, 75.02]."""
    return NOTHING if ends is None else f"[{percent(ends[0])}, {percent(ends[1])}]"


def signed(value: float) -> str:
    """+1.20 or -0.30; what rounds to zero has no sign."""
    text = f"{100 * value:+.2f}"
    return "0.00" if text in ("+0.00", "-0.00") else text


def p_value(p: float) -> str:
    """Three decimals."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def count(number: int, noun: str) -> str:
    """`1 seed`, `2 seeds`."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def protocol_text(about: Mapping[str, Any]) -> str:
    """Protocol, partition and size of what was scored, the beginning of a caption."""
    return f"Protocol `{about['protocol']}`, {about['partition']}: {data_text(about)}"


def data_text(about: Mapping[str, Any]) -> str:
    """`72 utterances of 12 speakers`."""
    return f"{count(about['utterances'], 'utterance')} of {count(about['speakers'], 'speaker')}"


def columns(*names: str) -> list[Column]:
    """Columns that are no more than their headings."""
    return [Column(name) for name in names]


def listed(values: Iterable[Any], most: int = 6) -> str:
    """Some values with commas; of many only the first and how many more there are."""
    texts = [str(value) for value in values]
    return ", ".join(texts[:most]) + (f" and {len(texts) - most} more" if len(texts) > most else "")
