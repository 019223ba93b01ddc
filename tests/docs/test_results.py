"""Every result table on a page is that of its file: ``results/NAME.json`` beside it, of README.md in ``docs``."""

import re
from pathlib import Path

import pytest

from m4ser.scoring import robustness
from m4ser.scoring.pages import read as read_table
from m4ser.scoring.pages import update

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"<!-- begin results (\w+) -->\n(.*?)<!-- end results \1 -->", re.DOTALL)


def blocks():
    """(page, name, text between the markers) of every table that has been filled in."""
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("egs/*/*.md")]:
        for name, text in BLOCK.findall(page.read_text(encoding="utf-8")):
            yield pytest.param(page, name, text, id=f"{page.relative_to(ROOT)}: {name}")


def folder(page):
    return (ROOT / "docs" if page.parent == ROOT else page.parent) / "results"


@pytest.mark.parametrize(("page", "name", "text"), blocks())
def test_a_table_is_that_of_its_file(page, name, text):
    source = folder(page) / f"{name}.json"
    update(page, name, source, check=True)
    table = read_table(source)
    assert table.lines()[-1] in text
    assert table.made_by["command"] and table.made_by["git"]


def test_every_file_is_shown():
    shown = {folder(page) / f"{name}.json" for page, name, _ in (block.values for block in blocks())}
    kept = {path for place in (ROOT / "docs", *ROOT.glob("egs/*")) for path in (place / "results").glob("*.json")}
    assert kept == shown and len(kept) > 30


def test_tables_that_are_shown_twice_agree():
    """The front page and the recipes' pages show rows of larger tables."""
    front = read_table(ROOT / "docs/results/front_page.json")
    for column in ("mini", "RAVDESS"):
        full = read_table(ROOT / f"egs/{column.lower()}/results/comparison.json")
        score = {row[0]: row[2] for row in full.rows}
        names = ("m4ser", "concat", "speech", "text", "espnet_cls", "egemaps_svm")
        index = [c.key for c in front.columns].index(column)
        for row, name in zip(front.rows, names, strict=True):
            assert (row[index].value, row[index].ci) == (score[name].value, score[name].ci), (column, name)


def test_no_result_names_a_folder_of_one_machine():
    """Commands that a result file quotes are for others to type; corpora come from db.local.sh."""
    files = [*ROOT.glob("egs/*/results/**/*.json"), *ROOT.glob("docs/results/*.json")]
    absolute = re.compile(r"(?<![\w.])/(home|root|work|tmp|mnt|data|users)/", re.IGNORECASE)
    assert files and [str(file) for file in files if absolute.search(file.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize(
    ("page", "metric", "systems"),
    [
        ("meld_tts/README.md", "weighted_f1", 7),
        ("meld_tts/RESULTS.md", "ua", 7),
        ("ravdess_meld/README.md", "ua", 5),
    ],
)
def test_a_study_shows_the_rows_that_are_kept(page, metric, systems):
    path = ROOT / "egs" / page
    conditions = sorted((path.parent / "results/rows").iterdir())
    table = robustness.table(conditions, metrics=[metric]).markdown()
    rows = [line.split(" | ", 1)[1] for line in table.splitlines() if line.startswith("| ")]
    mean_and_slope = 2 if len(conditions) > 2 else 0  # of the differences
    assert len(rows) == 2 * (2 + len(conditions)) + mean_and_slope  # header, rule
    assert rows[0].count(" | ") == systems
    text = path.read_text(encoding="utf-8")
    assert [row for row in rows if row not in text] == []
