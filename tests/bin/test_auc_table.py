"""The table of areas under the ROC curve, on systems that were made up."""

import shutil

import pytest

from m4ser.bin.auc_table import main
from m4ser.utils.files import read_json


@pytest.fixture
def words(scoring_lab):
    scoring_lab.system("good", 1.0)
    scoring_lab.system("bad", 0.4)
    folder = scoring_lab.root / "exp"
    words = ["--data", str(scoring_lab.data), "--out", str(folder / "auc"), "--resamples", "100"]
    return [*words, "--exp", str(folder / "good"), str(folder / "bad")]


def test_table(words, scoring_lab, capsys):
    main(words)
    printed = capsys.readouterr().out
    assert '| system | macro AUC [95 % CI] | answers "angry" |' in printed
    assert "| good | 100.00 ± 0.00 [100.00, 100.00] | 33.33 |" in printed
    assert "There it is 33.33 %" in printed and "`toy-3fold`, test. Seeds 1 2." in printed
    written = read_json(scoring_lab.root / "exp/auc.json")
    assert written["rows"][1][0] == "bad" and written["kind"] == "table" and "git" in written["made_by"]


def test_difference_to_a_system_beside_it(words, scoring_lab, capsys):
    main([*words, "--against", "good", "--names", "A", "B"])
    good, bad = (line.split(" | ") for line in capsys.readouterr().out.splitlines()[2:4])
    assert good[2] == "reference" and bad[2].startswith("-")
    low, high = (float(end) for end in bad[2].split("[")[1].rstrip("]").split(", "))
    assert low < float(bad[2].split()[0]) < high < 0  # apart
    assert float(bad[2].split()[0]) == pytest.approx(float(bad[1].split()[0]) - 100)


def test_mean_over_places(words, scoring_lab, capsys):
    exp = scoring_lab.root / "exp"
    folders = [exp / place / tag for place in ("a", "b", "c") for tag in ("good", "bad")]
    for folder in folders:
        shutil.copytree(exp / folder.name, folder)
    main([*words[:-3], "--exp", *map(str, folders), "--against", "good", "--names", *"ABCDEF"])
    *_, last, mean = (line for line in capsys.readouterr().out.splitlines() if line.startswith("| "))
    difference = last.split(" | ")[2].split()[0]  # the same in all places, so the interval has no width
    assert mean == f"| mean of 3, bad |  | {difference} [{difference.lstrip('+')}, {difference.lstrip('+')}] |  |"


def test_missing_runs_are_named(words, scoring_lab):
    (scoring_lab.root / "exp/bad/fold2/seed1/predictions_test.tsv").unlink()
    with pytest.raises(SystemExit, match=r"bad/fold2/seed1: is missing; run stages 4 and 5 for it"):
        main(words)
    with pytest.raises(SystemExit, match="none: no such folder"):
        main([*words, "--against", "none"])
