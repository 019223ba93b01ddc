"""The comparison command."""

import json

import pytest

from m4ser.bin.compare import main


def run(scoring_lab, *options):
    main(["--data", str(scoring_lab.data), "--resamples", "50", *map(str, options)])


def test_four_files_and_the_same_bytes_again(scoring_lab, capsys):
    exps = [scoring_lab.system(tag, accuracy) for tag, accuracy in (("a", 0.5), ("b", 0.9), ("c", 0.5))]
    out = scoring_lab.root / "exp" / "table"
    run(scoring_lab, "--exp", *exps, "--out", out, "--reference", exps[2], "--names", "A", "B", "C d")
    assert "| C d |" in capsys.readouterr().out
    once = {end: out.with_suffix(f".{end}").read_bytes() for end in ("md", "csv", "json", "png")}
    run(scoring_lab, "--exp", *exps, "--out", out, "--reference", exps[2], "--names", "A", "B", "C d")
    again = {end: out.with_suffix(f".{end}").read_bytes() for end in ("md", "csv", "json", "png")}
    assert once["csv"] == again["csv"] and once["png"] == again["png"]
    assert once["md"].split(b"\n", 1)[1] == again["md"].split(b"\n", 1)[1]
    assert json.loads(once["json"])["reference"] == "C d"


def test_other_protocol_is_refused_in_one_line(scoring_lab):
    exps = [scoring_lab.system("a", 0.5), scoring_lab.system("b", 0.5, protocol="random-split")]
    with pytest.raises(SystemExit, match="made with protocol 'random-split', but") as end:
        run(scoring_lab, "--exp", *exps)
    assert str(end.value).startswith("error: ") and "\n" not in str(end.value)


def test_wrong_options(scoring_lab, capsys):
    a = scoring_lab.system("a", 0.5)
    with pytest.raises(SystemExit, match="is not one of --exp"):
        run(scoring_lab, "--exp", a, "--reference", scoring_lab.root)
    with pytest.raises(SystemExit):
        run(scoring_lab, "--exp", a, "--names", "a", "b")
    with pytest.raises(SystemExit):
        run(scoring_lab, "--exp", a, "--difference", "accuracy")
    assert "accuracy is none of wa ua macro_f1 weighted_f1" in capsys.readouterr().err
