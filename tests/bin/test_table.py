"""The commands that make tables, and the one that puts them into pages."""

import json
import subprocess
import sys

import pytest

from m4ser.bin import score, table
from m4ser.utils.files import write_json
from m4ser.utils.provenance import made_by


def run(scoring_lab, *options):
    table.main(["comparison", "--data", str(scoring_lab.data), "--resamples", "50", *map(str, options)])


def test_four_files_and_the_same_bytes_again(scoring_lab, capsys, monkeypatch):
    exps = [scoring_lab.system(tag, accuracy) for tag, accuracy in (("a", 0.5), ("b", 0.9), ("c", 0.5))]
    out = scoring_lab.root / "exp" / "table"
    run(scoring_lab, "--exp", *exps, "--out", out, "--reference", exps[2], "--names", "A", "B", "C d")
    assert "| C d " in capsys.readouterr().out
    later = {**made_by(), "date": "3000-01-01"}  # nothing depends on the time
    for module in ("m4ser.utils.files", "m4ser.scoring.table"):
        monkeypatch.setattr(f"{module}.made_by", lambda: later)
    once = {end: out.with_suffix(f".{end}").read_bytes() for end in ("md", "csv", "json", "png")}
    run(scoring_lab, "--exp", *exps, "--out", out, "--reference", exps[2], "--names", "A", "B", "C d")
    again = {end: out.with_suffix(f".{end}").read_bytes() for end in ("md", "csv", "json", "png")}
    assert once == again
    assert json.loads(once["json"])["about"]["reference"] == "C d"


def test_what_a_system_costs_is_in_the_table(scoring_lab):
    exps = [scoring_lab.system(tag, 0.7) for tag in ("a", "b")]
    for number, folder in enumerate(sorted(exps[1].glob("fold*/seed*"))):
        write_json(folder / "train_info.json", {"parameters": 2_000_000, "seconds": 10 + number})
        write_json(folder / "infer_info.json", {"real_time_factor": 0.002, "infer_seconds": 1})
    out = scoring_lab.root / "exp" / "table"
    run(scoring_lab, "--exp", *exps, "--out", out)
    line = out.with_suffix(".md").read_text().split("\n| b |")[1].splitlines()[0]
    assert line.endswith("| 2.00 | 12 | 0.002 |")
    assert (
        out.with_suffix(".csv").read_text().splitlines()[2].endswith(",2000000.0,12.5,0.002,b,1 2,false,toy-3fold,test")
    )


def test_other_protocol_is_refused_in_one_line(scoring_lab):
    exps = [scoring_lab.system("a", 0.5), scoring_lab.system("b", 0.5, protocol="random-split")]
    with pytest.raises(SystemExit, match="made with protocol 'random-split', but") as end:
        run(scoring_lab, "--exp", *exps)
    assert str(end.value).startswith("error: ") and "\n" not in str(end.value)


def test_wrong_options(scoring_lab):
    a = scoring_lab.system("a", 0.5)
    with pytest.raises(SystemExit, match="is not one of --exp"):
        run(scoring_lab, "--exp", a, "--reference", scoring_lab.root)
    with pytest.raises(SystemExit):
        run(scoring_lab, "--exp", a, "--names", "a", "b")
    with pytest.raises(SystemExit, match="accuracy is none of wa ua macro_f1 weighted_f1"):
        run(scoring_lab, "--exp", a, "--difference", "accuracy")


@pytest.fixture
def readme(scoring_lab):
    path = scoring_lab.root / "README.md"
    path.write_text("# Corpus\n\n<!-- begin results main -->\n<!-- end results main -->\n\nEnd.\n")
    return path


def put(readme, source, *options):
    table.main(["insert", "--readme", str(readme), "--name", "main", "--from", str(source), *options])


def test_insert_metrics(scoring_lab, readme):
    exp = scoring_lab.system("one", 0.7)
    score.main(["--exp", str(exp), "--data", str(scoring_lab.data), "--resamples", "50"])
    with pytest.raises(SystemExit, match="are not those of"):
        put(readme, exp / "metrics.json", "--check", "true")
    put(readme, exp / "metrics.json")
    text = readme.read_text()
    assert "| one, per cent | WA | UA |" in text and "Protocol `toy-3fold`" in text and text.endswith("\nEnd.\n")
    put(readme, exp / "metrics.json", "--check", "true")


def test_insert_comparison(scoring_lab, readme):
    exps = [str(scoring_lab.system(tag, 0.6)) for tag in ("a", "b")]
    out = scoring_lab.root / "table"
    options = ["--data", str(scoring_lab.data), "--out", str(out), "--resamples", "50", "--difference", "weighted_f1"]
    table.main(["comparison", "--exp", *exps, *options])
    put(readme, f"{out}.json")
    assert "| system | WA [95 % CI] |" in readme.read_text() and "Δ weighted F1" in readme.read_text()
    assert "Δ UA" not in readme.read_text()


def test_insert_bad_input(scoring_lab, readme):
    with pytest.raises(SystemExit, match="no such file"):
        put(readme, scoring_lab.root / "metrics.json")
    (scoring_lab.root / "metrics.json").write_text("no json")
    with pytest.raises(SystemExit, match="is not JSON"):
        put(readme, scoring_lab.root / "metrics.json")


def test_what_is_not_needed_is_not_loaded():
    """A table that is only put into a page is neither scored nor drawn."""
    large = ("torch", "sklearn", "matplotlib", "scipy.stats")
    check = f"import m4ser.bin.table, m4ser.scoring.pages, sys; print([m for m in {large} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", check], capture_output=True, text=True).stdout == "[]\n"
