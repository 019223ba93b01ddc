"""Tables between markers."""

import pytest

from m4ser.scoring import pages
from m4ser.scoring.table import Score, Table, columns
from m4ser.utils.errors import UserError
from m4ser.utils.files import write_json

README = (
    "# Title\n<!-- begin results a -->\n<!-- end results a -->\ntext\n"
    "<!-- begin results b: ./run.sh --old -->\nx\n<!-- end results b -->\n"
)
MADE = {"command": "./run.sh --seeds '1 2'", "m4ser": "0.2.0", "git": "abc", "date": "now"}


@pytest.fixture
def table():
    return Table(columns("system", "UA"), [["one", Score(0.5)]], caption="Per cent.", notes=["Of one."], made_by=MADE)


def test_only_the_named_block_changes(table):
    text = pages.insert(README, "b", table, "exp/t.json")
    start, end = README.split("<!-- begin results b: ./run.sh --old -->\nx\n")
    assert text == (
        start
        + "<!-- begin results b -->\n\nPer cent.\n\n| system | UA |\n| --- | ---: |\n| one | 50.00 |\n\n- Of one.\n\n"
        "Made by m4ser 0.2.0, git abc; details: exp/t.json.\n\n" + end
    )  # no command, no date: the same result gives the same page


def test_again_changes_nothing(table):
    once = pages.insert(pages.insert(README, "a", table, "t.json"), "b", table, "t.json")
    assert pages.insert(once, "a", table, "t.json") == once


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<!-- begin results a -->\n",
        "<!-- end results a -->\n<!-- begin results a -->\n",
        README + README,
        "<!-- begin results a -->\n<!-- begin results b -->\n<!-- end results a -->\n<!-- end results b -->\n",
    ],
)
def test_markers_not_once(table, text):
    with pytest.raises(UserError, match="needs the lines '<!-- begin results a -->'"):
        pages.insert(text, "a", table, "t.json")


def test_a_name_is_no_prefix_of_another(table):
    text = "<!-- begin results ab -->\n<!-- end results ab -->\n"
    with pytest.raises(UserError, match="needs the lines"):
        pages.insert(text, "a", table, "t.json")


def test_the_file_is_named_as_seen_from_the_page(table, tmp_path):
    table.save(tmp_path / "recipe/exp/t")
    page = tmp_path / "recipe/docs/page.md"
    page.parent.mkdir()
    page.write_text(README)
    pages.update(page, "a", tmp_path / "recipe/exp/t.json")
    assert "; details: ../exp/t.json.\n" in page.read_text()


def test_other_json(tmp_path):
    write_json(tmp_path / "wer.json", {"kind": "wer"})
    with pytest.raises(UserError, match=r"wer.json: is no result; give a metrics.json"):
        pages.read(tmp_path / "wer.json")
    write_json(tmp_path / "odd.json", {"kind": "table", "columns": [{"name": "a"}], "rows": [[{"what": 1}]]})
    with pytest.raises(UserError, match=r"odd.json: is no table as .* \(.*'what'\); make it again"):
        pages.read(tmp_path / "odd.json")
