"""Reading tables that people make: CSV with any usual delimiter, from spreadsheets too, with faults named by line."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from m4ser.utils.errors import UserError

DELIMITERS = ",;\t|"


@dataclass
class Row:
    """One line of a table: its values by column, stripped, and where it is for messages (`my.csv: line 7`)."""

    where: str
    values: dict[str, str]


def read_table(
    path: Path, needed: Sequence[str], optional: Sequence[str] = (), text: str | None = None
) -> tuple[list[Row], list[str]]:
    """Read the columns `needed` and those of `optional` that are there; upper and lower case do not matter.

    The delimiter is the one of ``, ; tab |`` that shows the needed columns in the first line. A byte order mark is
    accepted, UTF-16 too if it has one.

    Args:
        path: the table.
        needed: columns that must be there; no value of theirs may be empty.
        optional: columns that may be missing.
        text: its content, where the caller has decoded it.

    Returns:
        The rows, and the columns of the table that were not asked for.

    Raises:
        UserError: with the line of the fault.
    """
    # Not splitlines(): that splits at U+2028 and others, too.
    lines = io.StringIO(_decode(path) if text is None else text, newline="")
    header, delimiter = _read_header(path, lines.readline(), needed)
    columns = {name: index for index, name in enumerate(header) if name in {*needed, *optional}}
    rows = []
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    line = 2
    try:
        for fields in reader:
            where, line = f"{path}: line {line}", reader.line_num + 2
            if not any(field.strip() for field in fields):
                continue
            if len(fields) != len(header):
                fault = f"{len(fields)} fields instead of {len(header)}"
                raise UserError(f"{where}: {fault}; put text that contains the delimiter between double quotes")
            values = {name: fields[index].strip() for name, index in columns.items()}
            for name in needed:
                if not values[name]:
                    raise UserError(f"{where}: {name} is empty; fill it in or delete the line")
            rows.append(Row(where, values))
    except csv.Error as error:
        raise UserError(f"{path}: line {reader.line_num + 1}: {error}; check the double quotes") from None
    if not rows:
        raise UserError(f"{path}: has no lines after the first; add the recordings")
    return rows, [name for name in header if name and name not in columns]


def is_file(path: Path) -> bool:
    """Whether there is such a file; a cell of a table may be longer than any name of one can be."""
    try:
        return path.is_file()
    except OSError:
        return False


def _read_header(path: Path, line: str, needed: Sequence[str]) -> tuple[list[str], str]:
    """Names of the columns, in small letters, and the delimiter."""
    if not line.strip():
        raise UserError(f"{path}: the file is empty; its first line must name the columns: {', '.join(needed)}")
    headers = {d: [name.strip().casefold() for name in next(csv.reader([line], delimiter=d))] for d in DELIMITERS}
    delimiter, header = max(headers.items(), key=lambda item: (len(set(needed) & set(item[1])), len(item[1])))
    if missing := [name for name in needed if name not in header]:
        raise UserError(f"{path}: line 1: no column {missing[0]}; it has {', '.join(header)}")
    if twice := [name for name in header if name and header.count(name) > 1]:
        raise UserError(f"{path}: line 1: column {twice[0]} is there twice; rename one")
    return header, delimiter


def _decode(path: Path) -> str:
    if not path.is_file():
        raise UserError(f"{path}: no such file; correct the path")
    content = path.read_bytes()
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        number = content[: error.start].count(b"\n") + 1
        raise UserError(f"{path}: line {number} is not UTF-8; save the table as `CSV UTF-8`") from None
