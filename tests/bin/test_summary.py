"""The table over several recipes."""

import pytest

from m4ser.bin import compare, results_block, summary
from m4ser.utils.files import read_json


@pytest.fixture
def table(scoring_lab):
    """Function that makes OUT.json of systems by their accuracy."""

    def make(name, **systems):
        exps = [str(scoring_lab.system(tag, accuracy)) for tag, accuracy in systems.items()]
        out = scoring_lab.root / name
        compare.main(["--data", str(scoring_lab.data), "--exp", *exps, "--resamples", "50", "--out", str(out)])
        return f"{out}.json"

    return make


def test_systems_by_corpora_into_a_page(table, scoring_lab, capsys):
    one, two = table("one", a=0.5, b=0.9), table("two", b=0.7, c=0.6)
    out = scoring_lab.root / "all"
    summary.main(["--table", f"first={one}", "--table", f"second={two}", "--out", str(out)])
    shown = capsys.readouterr().out
    scores = {row["system"]: row["pooled"]["ua"] for row in read_json(one)["systems"]}
    header, _, a, b, c = shown[shown.rindex("| system |") :].splitlines()[:5]
    assert header == "| system | first [95 % CI] | second [95 % CI] |"
    assert a.startswith(f"| a | {100 * scores['a']['mean']:.2f}") and a.endswith("] | – |")
    assert b.startswith(f"| b | {100 * scores['b']['mean']:.2f}") and b.count("[") == 2
    assert c.startswith("| c | – | ")
    assert "\nfirst: `" in shown and "\nsecond: `" in shown

    page = scoring_lab.root / "page.md"
    page.write_text("<!-- begin results summary -->\n<!-- end results summary -->\n")
    results_block.main(["--readme", str(page), "--name", "summary", "--from", f"{out}.json"])
    assert b in page.read_text()


def test_mistakes(table, scoring_lab, tmp_path):
    one = table("one", a=0.5)
    (tmp_path / "other.json").write_text('{"kind": "metrics"}')
    for words, message in (
        (["--table", "one"], "--table one: write it as NAME=JSON"),
        (["--table", f"x={one}", "--table", f"x={one}"], "there is a column x already"),
        (["--table", f"x={tmp_path / 'none.json'}"], "none.json: no such table; "),
        (["--table", f"x={tmp_path / 'other.json'}"], "other.json: is not a table of compare.sh"),
    ):
        with pytest.raises(SystemExit, match=message) as stopped:
            summary.main(words)
        assert "\n" not in str(stopped.value)
