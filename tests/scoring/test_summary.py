"""The table over several recipes."""

import pytest

from m4ser.bin import table
from m4ser.utils.files import read_json


@pytest.fixture
def made(scoring_lab):
    """Function that makes OUT.json of systems by their accuracy."""

    def make(name, **systems):
        exps = [str(scoring_lab.system(tag, accuracy)) for tag, accuracy in systems.items()]
        out = scoring_lab.root / name
        table.main(
            ["comparison", "--data", str(scoring_lab.data), "--exp", *exps, "--resamples", "50", "--out", str(out)]
        )
        return f"{out}.json"

    return make


def test_systems_by_corpora_into_a_page(made, scoring_lab, capsys, unaligned):
    one, two = made("one", a=0.5, b=0.9), made("two", b=0.7, c=0.6)
    out = scoring_lab.root / "all"
    table.main(["summary", "--table", f"first={one}", "--table", f"second={two}", "--out", str(out)])
    shown = unaligned(capsys.readouterr().out)
    scores = {row[0]: row[2] for row in read_json(one)["rows"]}
    header, _, a, b, c = shown[shown.rindex("| system |") :].splitlines()[:5]
    assert header == "| system | first [95 % CI] | second [95 % CI] |"
    assert a.startswith(f"| a | {100 * scores['a']['value']:.2f}") and a.endswith("] | – |")
    assert b.startswith(f"| b | {100 * scores['b']['value']:.2f}") and b.count("[") == 2
    assert c.startswith("| c | – | ")
    assert "\n- first: `toy-3fold`, test, 72 utterances" in shown and "\n- second: `" in shown

    page = scoring_lab.root / "page.md"
    page.write_text("<!-- begin results summary -->\n<!-- end results summary -->\n")
    table.main(["insert", "--readme", str(page), "--name", "summary", "--from", f"{out}.json"])
    assert b in page.read_text()


def test_mistakes(made, scoring_lab, tmp_path):
    one = made("one", a=0.5)
    (tmp_path / "other.json").write_text('{"kind": "metrics"}')
    for words, message in (
        (["--table", "one"], "--table one: write it as NAME=JSON"),
        (["--table", f"x={one}", "--table", f"x={one}"], "there is a column x already"),
        (["--table", f"x={tmp_path / 'none.json'}"], "none.json: no such file; "),
        (["--table", f"x={tmp_path / 'other.json'}"], "other.json: is no comparison of systems"),
    ):
        with pytest.raises(SystemExit, match=message) as stopped:
            table.main(["summary", *words])
        assert "\n" not in str(stopped.value)
