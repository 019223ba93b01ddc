"""Numbers as they are printed, and one table in all of its forms."""

import csv
import io
import json

import pytest

from m4ser.scoring import table as tables
from m4ser.scoring.table import Column, Score, Table, columns


def test_numbers():
    assert tables.percent(0.7234) == "72.34" and tables.percent(None) == "–"
    assert tables.interval((0.1, 0.25)) == "[10.00, 25.00]"
    assert [tables.signed(value) for value in (0.012, -0.003, 0.00001, -0.00001)] == ["+1.20", "-0.30", "0.00", "0.00"]
    assert [tables.p_value(p) for p in (0.0004, 0.001, 0.0512, 1)] == ["< 0.001", "0.001", "0.051", "1.000"]
    assert tables.count(1, "seed") == "1 seed" and tables.count(3, "seed") == "3 seeds"
    assert tables.listed("abc") == "a, b, c" and tables.listed("abcde", 2) == "a, b and 3 more"


@pytest.mark.parametrize(
    ("score", "text"),
    [
        (Score(0.5), "50.00"),
        (Score(0.5, 0.0123), "50.00 ± 1.23"),
        (Score(0.5, 0.01, (0.4, 0.6)), "50.00 ± 1.00 [40.00, 60.00]"),
        (Score(0.012, ci=(-0.01, 0.03), p=0.01, p_holm=0.02, difference=True), "+1.20 [-1.00, 3.00] p 0.020"),
        (Score(-0.5, p=0.0001, difference=True), "-50.00 p < 0.001"),
        (Score(0.5, ci=(0.4, 0.6), bold=True, partial=True), "**50.00** [40.00, 60.00] (partial)"),
    ],
)
def test_scores(score, text):
    assert str(score) == text


@pytest.fixture
def table():
    heads = [Column("x|y"), Column("UA", "ua"), Column("size (M)", "size", scale=1e-6), Column("all", shown=False)]
    rows = [["a", Score(0.5, 0.1, (0.25, 0.75)), 2_500_000.0, 1], ["b|c", None, None, 22]]
    more = Table(columns("again", "UA"), [["a", Score(1 / 3)]], "Second")
    return Table(heads, rows, caption="Per cent.", notes=["One.", "", "Two."], more=[more], figure="f.png")


def test_markdown(table):
    assert table.markdown() == (
        "Per cent.\n\n"
        "| x\\|y | UA | size (M) |\n| --- | ---: | ---: |\n"
        "| a | 50.00 ± 10.00 [25.00, 75.00] | 2.50 |\n| b\\|c | – | – |\n\n"
        "- One.\n- Two.\n\n## Second\n\n| again | UA |\n| --- | ---: |\n| a | 33.33 |\n\n![f](f.png)\n"
    )


def test_terminal_has_straight_columns(table):
    lines = table.lines(aligned=True)
    assert len(set(map(len, lines))) == 1 and lines[-1].startswith("| b\\|c |")


def test_csv_has_all_numbers(table):
    first, second, third = csv.DictReader(io.StringIO(table.csv()))
    assert list(first) == ["table", "again", "UA", "x|y", "ua", "ua_sd", "ua_low", "ua_high", "size", "all"]
    assert (first["ua"], first["ua_high"], first["size"], first["all"]) == ("0.5", "0.75", "2500000.0", "1")
    assert second["ua"] == "" and (third["table"], third["UA"]) == ("Second", str(1 / 3))


def test_json_is_read_back(table, tmp_path):
    saved = table.save(tmp_path / "t")
    found = json.loads((tmp_path / "t.json").read_text())
    assert found["rows"][0] == ["a", {"value": 0.5, "sd": 0.1, "ci": [0.25, 0.75]}, 2500000.0, 1]
    assert found["more"][0]["rows"][0][1] == {"value": 0.333333}  # six decimals
    assert Table.from_json(found) == saved and saved.markdown() == table.markdown()
    assert "date" not in saved.made_by and saved.made_by["command"]
    assert (tmp_path / "t.md").read_text().endswith(table.markdown())
    Table.remove(tmp_path / "t")
    assert not list(tmp_path.iterdir())


def test_a_wide_table_is_parted(table):
    wide = Table(columns("x", *"abcdefghij"), [["row", *(["long " * 12] * 10)]])
    parts = wide.markdown().split("\n\n")
    assert max(map(len, wide.markdown().splitlines())) <= 400
    assert [part.splitlines()[0] for part in parts] == ["| x | a | b | c | d | e |", "| x | f | g | h | i | j |"]


def test_long_notes_are_wrapped():
    text = Table(columns("x"), [["a"]], notes=["word " * 100]).markdown()
    assert max(map(len, text.splitlines())) <= 120 and text.count("\n  word") == 4


def test_cells_are_found_by_row_and_name(table):
    assert table.cell("a", "ua").sd == 0.1 and table.cell("b|c", "all") == 22 and table.cell("a", "wa") is None


def test_a_plain_score_is_shown_as_it_is():
    assert str(Score(0.3349, 0.021, (0.1, 1.414), plain=True)) == "0.33 ± 0.02 [0.10, 1.41]"
    assert str(Score(-0.05, ci=(-0.1, 0.0), plain=True, difference=True)) == "-0.05 [-0.10, 0.00]"
