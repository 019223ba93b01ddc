"""Area under the ROC curve: by hand, and against scikit-learn; the table on systems that were made up."""

import shutil

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from m4ser.bin import table
from m4ser.scoring import ranking
from m4ser.utils.files import read_json


def test_macro_is_the_mean_over_classes_that_occur():
    rng = np.random.default_rng(1)
    ref, probabilities = rng.integers(0, 3, 90), rng.dirichlet(np.ones(3), 90)
    expected = roc_auc_score(ref, probabilities, multi_class="ovr", average="macro")
    assert ranking.values(ref, np.stack([probabilities, probabilities])).tolist() == pytest.approx([expected] * 2)
    two = np.minimum(ref, 1)
    expected = np.mean([roc_auc_score(two == c, probabilities[:, c]) for c in (0, 1)])
    assert ranking.values(two, probabilities[None])[0] == pytest.approx(expected)


def test_resamples_are_of_whole_speakers_and_paired():
    rng = np.random.default_rng(2)
    speakers = np.repeat([f"s{i}" for i in range(6)], 20)
    ref = rng.integers(0, 3, 120)
    good = rng.dirichlet(np.ones(3), (2, 120)) + 0.5 * np.eye(3)[ref]
    drawn = ranking.distribution(speakers, ref, good, resamples=300)
    assert drawn.shape == (300,) and (drawn == ranking.distribution(speakers, ref, good, resamples=300)).all()
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert low < ranking.values(ref, good).mean() < high < 1
    same = np.tile(good[:, :20], (1, 6, 1))  # every speaker alike: nothing changes with who is drawn
    assert np.ptp(ranking.distribution(speakers, np.tile(ref[:20], 6), same, resamples=50)) == pytest.approx(
        0, abs=1e-12
    )


@pytest.fixture
def words(scoring_lab):
    scoring_lab.system("good", 1.0)
    scoring_lab.system("bad", 0.4)
    folder = scoring_lab.root / "exp"
    words = ["--data", str(scoring_lab.data), "--out", str(folder / "auc"), "--resamples", "100"]
    return [*words, "--exp", str(folder / "good"), str(folder / "bad")]


def test_table(words, scoring_lab, capsys, unaligned):
    table.main(["ranking", *words])
    printed = unaligned(capsys.readouterr().out)
    assert '| system | macro AUC [95 % CI] | answers "angry" |' in printed
    assert "| good | 100.00 ± 0.00 [100.00, 100.00] | 33.33 |" in printed
    assert "it is 33.33 % of the references" in printed and "`toy-3fold`, test, seeds 1 2." in printed
    written = read_json(scoring_lab.root / "exp/auc.json")
    assert written["rows"][1][0] == "bad" and written["kind"] == "table" and "git" in written["made_by"]


def test_difference_to_a_system_beside_it(words, scoring_lab, capsys, unaligned):
    table.main(["ranking", *words, "--against", "good", "--names", "A", "B"])
    good, bad = (line.split(" | ") for line in unaligned(capsys.readouterr().out).splitlines()[4:6])
    assert good[2] == "reference" and bad[2].startswith("-")
    low, high = (float(end) for end in bad[2].split("[")[1].rstrip("]").split(", "))
    assert low < float(bad[2].split()[0]) < high < 0  # apart
    assert float(bad[2].split()[0]) == pytest.approx(float(bad[1].split()[0]) - 100)


def test_mean_over_places(words, scoring_lab, capsys, unaligned):
    exp = scoring_lab.root / "exp"
    folders = [exp / place / tag for place in ("a", "b", "c") for tag in ("good", "bad")]
    for folder in folders:
        shutil.copytree(exp / folder.name, folder)
    table.main(["ranking", *words[:-3], "--exp", *map(str, folders), "--against", "good", "--names", *"ABCDEF"])
    rows = cells(unaligned(capsys.readouterr().out))
    *_, last, speakers, places = rows
    assert speakers[0] == "mean of 3, bad: other speakers" and places[0] == "mean of 3, bad: other places"
    assert speakers[2] == last[2]  # the same in all places: as in one
    difference = last[2].split()[0]
    assert places[2] == f"{difference} [{difference.lstrip('+')}, {difference.lstrip('+')}]"  # no place differs


def test_mean_over_places_by_other_speakers(words, scoring_lab, capsys, unaligned):
    """Two of three places have the same difference, the third has none."""
    exp = scoring_lab.root / "exp"
    for place in ("a", "b", "c"):
        for tag in ("good", "bad"):
            shutil.copytree(exp / tag, exp / place / tag)
    shutil.rmtree(exp / "b/bad")
    shutil.copytree(exp / "good", exp / "b/bad")
    folders = [exp / place / tag for place in ("a", "b", "c") for tag in ("good", "bad")]
    table.main(["ranking", *words[:-3], "--exp", *map(str, folders), "--against", "good", "--names", *"ABCDEF"])
    rows = cells(unaligned(capsys.readouterr().out))
    apart, speakers, places = rows[1][2], rows[-2][2], rows[-1][2]
    assert numbers(speakers) == pytest.approx([2 / 3 * value for value in numbers(apart)], abs=0.011)
    low, high = numbers(places)[1:]
    assert low < numbers(speakers)[1] and high > 0  # three places say less


def cells(markdown):
    """The rows of a table without its head."""
    lines = [line for line in markdown.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[2:]]


def numbers(cell):
    """The difference and the ends of its interval."""
    return [float(word.strip("[],")) for word in cell.split()]


def test_missing_runs_are_named(words, scoring_lab):
    (scoring_lab.root / "exp/bad/fold2/seed1/predictions_test.tsv").unlink()
    with pytest.raises(SystemExit, match=r"bad/fold2/seed1: is missing; run stages 4 and 5 for it"):
        table.main(["ranking", *words])
    with pytest.raises(SystemExit, match="none: no such folder"):
        table.main(["ranking", *words, "--against", "none"])
