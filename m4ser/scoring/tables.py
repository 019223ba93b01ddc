"""How numbers look in Markdown: scores are fractions inside and per cent on paper."""

from collections.abc import Iterable, Sequence
from typing import Any

KIND = "table"
NOTHING = "–"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; all columns but the first are right-aligned; `|` in a cell is escaped."""
    lines = [list(header), ["---", *["---:"] * (len(header) - 1)], *rows]
    return "".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def markdown(result: dict[str, Any]) -> str:
    """A result that is a table already: ``header``, ``rows`` and a ``note`` (kind :data:`KIND`)."""
    return table(result["header"], result["rows"]) + f"\n{result['note']}\n"


def percent(value: float | None) -> str:
    """0.7234 -> 72.34."""
    return NOTHING if value is None else f"{100 * value:.2f}"


def plus_minus(mean: float | None, sd: float | None) -> str:
    """Mean ± standard deviation in per cent; without the latter where there is one value only."""
    return percent(mean) if sd is None else f"{percent(mean)} ± {percent(sd)}"


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
