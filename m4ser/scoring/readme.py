"""Result tables inside a README, between two markers, written by program only::

<!-- begin results NAME: the command that made the result -->
...
<!-- end results NAME -->
"""

import re
from pathlib import Path
from typing import Any

from m4ser.scoring import comparison, learned, matrix, recognisers, report, robustness, summary, tables
from m4ser.utils.errors import UserError


def _comparison(result: dict[str, Any]) -> str:
    return comparison.markdown(result, result.get("shown_differences", ("ua", "wa")))


def block(result: dict[str, Any]) -> str:
    """The table of a `metrics.json`, `comparison.json` or the like, and which code version made it."""
    kinds = {
        "metrics": report.summary,
        "comparison": _comparison,
        "matrix": matrix.summary,
        learned.KIND: learned.markdown,
        recognisers.KIND: recognisers.markdown,
        robustness.KIND: robustness.markdown,
        summary.KIND: summary.markdown,
        tables.KIND: tables.markdown,
    }
    text = kinds.get(result.get("kind"))
    if text is None:
        raise UserError("the file given with --from is not a metrics.json or comparison.json; give one of these")
    made_by = result["made_by"]
    return f"{text(result)}Made by m4ser {made_by['m4ser']}, git {made_by['git']}.\n"


def insert(readme: str, name: str, result: dict[str, Any], path: str | Path = "README.md") -> str:
    """`readme` with the block `name` replaced by the table of `result`, its command in the first marker.

    Raises:
        UserError: the two markers are not there exactly once.
    """
    pattern = re.compile(
        rf"^<!-- begin results {re.escape(name)}(?::[^\n]*)? -->\n.*?^<!-- end results {re.escape(name)} -->$",
        re.MULTILINE | re.DOTALL,
    )
    found = pattern.findall(readme)
    if len(found) != 1 or found[0].count("<!-- begin results") != 1:
        raise UserError(
            f"{path}: needs the lines '<!-- begin results {name} -->' and '<!-- end results {name} -->' once, in this "
            "order; write them where the table shall be"
        )
    command = result["made_by"]["command"].replace("-->", "-- >").replace("\n", " ")
    new = f"<!-- begin results {name}: {command} -->\n\n{block(result)}\n<!-- end results {name} -->"
    return pattern.sub(lambda _: new, readme)
