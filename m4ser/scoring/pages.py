"""Result tables inside a page, between two markers, written by program only::

    <!-- begin results NAME -->
    ...
    <!-- end results NAME -->

What made a table, command and all, stands in the file that it is from; the page names that file.
"""

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import cast

from m4ser.scoring import comparison, crossed, results
from m4ser.scoring.table import Table
from m4ser.training.result_files import Crossed, Metrics
from m4ser.utils.errors import UserError
from m4ser.utils.files import atomic_write, read_json


def read(path: Path) -> Table:
    """What a page shows of a file: a table of `m4ser table`, the headline of a `metrics.json`.

    Raises:
        UserError: the file is missing or something else.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; correct the path")
    content = read_json(path)
    kind = content.get("kind") if isinstance(content, dict) and "made_by" in content else None
    if kind == "metrics":
        return replace(results.headline(cast(Metrics, content)), made_by=content["made_by"])
    if kind == crossed.KIND:
        return replace(crossed.headline(cast(Crossed, content)), made_by=content["made_by"])
    if kind == comparison.KIND:  # of version 0.1
        return comparison.read(path)
    if kind != "table":
        raise UserError(f"{path}: is no result; give a metrics.json or a file that `m4ser table` has made")
    return Table.from_json(content, path)


def insert(page: str, name: str, table: Table, source: str, path: str | Path = "README.md") -> str:
    """`page` with the block `name` replaced by the table, which is from the file `source`.

    Raises:
        UserError: the two markers are not there exactly once.
    """
    pattern = re.compile(
        rf"^<!-- begin results {re.escape(name)}(?::[^\n]*)? -->\n.*?^<!-- end results {re.escape(name)} -->$",
        re.MULTILINE | re.DOTALL,
    )
    blocks = pattern.findall(page)
    if len(blocks) != 1 or blocks[0].count("<!-- begin results") != 1:
        raise UserError(
            f"{path}: needs the lines '<!-- begin results {name} -->' and '<!-- end results {name} -->' once, in this "
            "order; write them where the table shall be"
        )
    provenance = table.made_by
    origin = f"Made by m4ser {provenance['m4ser']}, git {provenance['git']}; details: {source}."
    block = f"<!-- begin results {name} -->\n\n{table.markdown()}\n{origin}\n\n<!-- end results {name} -->"
    return pattern.sub(lambda _: block, page)


def update(page: Path, name: str, source: Path, check: bool = False) -> None:
    """Put the table of a file into a page; with `check` only see whether it is there.

    Raises:
        UserError: see :func:`read` and :func:`insert`; with `check`, the page has something else.
    """
    if not page.is_file():
        raise UserError(f"{page}: no such file; correct the path")
    old = page.read_text(encoding="utf-8")
    shown = Path(os.path.relpath(source, page.parent)).as_posix()
    new = insert(old, name, read(source), shown, page)
    if new != old and check:
        raise UserError(f"{page}: the results '{name}' are not those of {source}; run without --check")
    if new != old:
        with atomic_write(page) as file:
            file.write(new)
