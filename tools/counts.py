"""Print the counts that the project keeps small; exit with status 1 if one is above its limit."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
MADE = {"data", "dump", "exp", "speech", "downloads", "logs"}  # in a recipe's folder, not kept by git


class Count(NamedTuple):
    """A number and what it may be at most, None where that is open."""

    what: str
    number: int
    limit: int | None = None


def kept(root: Path, pattern: str) -> list[Path]:
    """Files of the project itself: not those of an environment, of hidden folders, or made by a recipe."""

    def ours(path: Path) -> bool:
        parts = path.relative_to(root).parts
        generated = parts[0] == "egs" and not MADE.isdisjoint(parts[2:-1])
        return not generated and "venv" not in parts and not any(part.startswith(".") for part in parts)

    return [path for path in sorted(root.rglob(pattern)) if ours(path)]


def lines(path: Path) -> list[str]:
    """Lines of a text file, none if it is not there."""
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []


def counts(root: Path) -> Iterator[Count]:
    """Counts of the checkout in ``root``."""
    configurations = kept(root, "egs/**/*.yaml")
    contents = [path.read_bytes() for path in configurations]
    ablations = [len(lines(path)) for path in configurations if "_no_" in path.name]
    modules = kept(root, "m4ser/**/*.py")
    pages = {path: max(map(len, lines(path)), default=0) for path in kept(root, "*.md")}
    yield Count("YAML files in egs/", len(contents), 60)
    yield Count("copies among them", len(contents) - len(set(contents)), 0)
    yield Count("lines of the longest ablation", max(ablations, default=0), 5)
    yield Count("modules loose in m4ser/", sum(path.parent == root / "m4ser" for path in modules) - 1, 0)
    yield Count("characters of the longest line of a page", max(pages.values(), default=0), 400)
    yield Count("lines of README.md", len(lines(root / "README.md")), 120)
    yield Count("characters of its longest line", max(map(len, lines(root / "README.md")), default=0), 200)
    yield Count("lines of ser.sh", len(lines(root / "egs/TEMPLATE/ser.sh")), 299)
    yield Count("lines of m4ser/scoring/", sum(len(lines(path)) for path in modules if path.parent.name == "scoring"))
    code = (line for path in modules for line in lines(path) if not line.startswith(("from ", "import ")))
    yield Count("uses of Any in m4ser/", sum(len(re.findall(r"\bAny\b", line)) for line in code))


def main() -> None:
    """Count in the checkout that this file belongs to."""
    results = list(counts(ROOT))
    for what, number, limit in results:
        print(f"{what:42} {number:5}" + ("" if limit is None else f"  of at most {limit}"))
    above = [count.what for count in results if count.limit is not None and count.number > count.limit]
    if above:
        sys.exit(f"error: above the limit: {', '.join(above)}")


if __name__ == "__main__":
    main()
