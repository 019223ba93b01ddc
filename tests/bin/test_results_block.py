"""From a run folder to the table in a README."""

import pytest

from m4ser.bin import score, table


@pytest.fixture
def readme(scoring_lab):
    path = scoring_lab.root / "README.md"
    path.write_text("# Corpus\n\n<!-- begin results main -->\n<!-- end results main -->\n\nEnd.\n")
    return path


def put(readme, source, *options):
    table.main(["insert", "--readme", str(readme), "--name", "main", "--from", str(source), *options])


def test_metrics(scoring_lab, readme):
    exp = scoring_lab.system("one", 0.7)
    score.main(["--exp", str(exp), "--data", str(scoring_lab.data), "--resamples", "50"])
    with pytest.raises(SystemExit, match="are not those of"):
        put(readme, exp / "metrics.json", "--check", "true")
    put(readme, exp / "metrics.json")
    text = readme.read_text()
    assert "| one, per cent | WA | UA |" in text and "Protocol `toy-3fold`" in text and text.endswith("\nEnd.\n")
    put(readme, exp / "metrics.json", "--check", "true")


def test_comparison(scoring_lab, readme):
    exps = [str(scoring_lab.system(tag, 0.6)) for tag in ("a", "b")]
    out = scoring_lab.root / "table"
    options = ["--data", str(scoring_lab.data), "--out", str(out), "--resamples", "50", "--difference", "weighted_f1"]
    table.main(["comparison", "--exp", *exps, *options])
    put(readme, f"{out}.json")
    assert "| system | WA [95 % CI] |" in readme.read_text() and "Δ weighted F1" in readme.read_text()
    assert "Δ UA" not in readme.read_text()


def test_bad_input(scoring_lab, readme):
    with pytest.raises(SystemExit, match="no such file"):
        put(readme, scoring_lab.root / "metrics.json")
    (scoring_lab.root / "metrics.json").write_text("no json")
    with pytest.raises(SystemExit, match="is not JSON"):
        put(readme, scoring_lab.root / "metrics.json")
