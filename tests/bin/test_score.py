"""The scoring command on made-up predictions."""

import json

import pytest

from m4ser.bin.score import main


def body(path):
    """A generated Markdown file without what made it, which has the date."""
    return path.read_text().split("\n\n", 1)[1]


def run(scoring_lab, exp, *options):
    main(["--exp", str(exp), "--data", str(scoring_lab.data), "--resamples", "50", *map(str, options)])


def test_writes_table_numbers_and_figures(scoring_lab, capsys):
    exp = scoring_lab.system("one", 0.7)
    run(scoring_lab, exp, "--asr-dir", scoring_lab.asr, "--normaliser", "basic")
    made = {path.name for path in exp.iterdir() if path.is_file()}
    assert made == {"run.json", "RESULTS.md", "metrics.json", "confusion.png", "per_fold.png", "wer_bins.png"}
    shown = capsys.readouterr().out
    assert "| pooled ± sd over seeds " in shown and f"{exp}/confusion.png" in shown
    metrics = json.loads((exp / "metrics.json").read_text())
    assert metrics["made_by"]["git"] and metrics["pooled"]["utterances"] == 72
    first, text = (exp / "RESULTS.md").read_text().split("\n\n", 1)
    assert first.startswith("> Made by `") and "do not edit" in first
    run(scoring_lab, exp, "--asr-dir", scoring_lab.asr, "--normaliser", "basic")
    assert body(exp / "RESULTS.md") == text
    assert json.loads((exp / "metrics.json").read_text()) | {"made_by": 0} == metrics | {"made_by": 0}


def test_baseline(scoring_lab):
    good, bad = scoring_lab.system("good", 0.9), scoring_lab.system("bad", 0.4)
    run(scoring_lab, good, "--baseline", bad)
    assert "| difference to bad | points [95 % CI] | p |" in body(good / "RESULTS.md")
    assert json.loads((good / "metrics.json").read_text())["comparison"]["scores"]["ua"]["p"] < 0.01


def test_dev_has_its_own_files(scoring_lab):
    exp = scoring_lab.system("one", 0.7)
    run(scoring_lab, exp, "--partition", "dev")
    assert (exp / "metrics_dev.json").exists() and not (exp / "metrics.json").exists()


def test_partial(scoring_lab, capsys):
    exp = scoring_lab.system("one", 0.7)
    (exp / "fold2" / "seed1" / "predictions_test.tsv").unlink()
    run(scoring_lab, exp)
    shown = capsys.readouterr()
    assert "fold2/seed1: no predictions_test.tsv" in shown.err and "**PARTIAL" in shown.out


def test_tampered_predictions_leave_nothing_behind(scoring_lab):
    exp = scoring_lab.system("one", 0.7)
    file = exp / "fold1" / "seed1" / "predictions_test.tsv"
    file.write_text(file.read_text().replace("s00-0", "s00-1", 1))
    with pytest.raises(SystemExit) as end:
        run(scoring_lab, exp)
    assert str(end.value).startswith("error: ") and "predicted more than once: s00-1" in str(end.value)
    assert "\n" not in str(end.value) and not (exp / "metrics.json").exists() and not list(exp.glob("*.png"))
