"""Table of what objectives learned: hand-made histories."""

import json

import pytest

from m4ser.bin import objective_table, results_block
from m4ser.scoring import learned


def write_history(folder, best, **metrics):
    folder.mkdir(parents=True)
    epochs = {"1": {"valid": dict.fromkeys(metrics, 0.0)}, "2": {"valid": metrics}}
    (folder / "history.json").write_text(json.dumps({"best_epoch": best, "epochs": epochs}), encoding="utf-8")


@pytest.fixture
def experiments(tmp_path):
    write_history(tmp_path / "full/fold1/seed1", 2, ua=0.8, wer_asr=0.4, wer_aec=0.3, cosine_same_class=0.5)
    write_history(tmp_path / "full/fold1/seed2", 2, ua=0.8, wer_asr=0.4, wer_aec=0.2, cosine_same_class=0.7)
    write_history(tmp_path / "plain/fold1/seed1", 2, ua=0.7)
    return tmp_path


def test_means_and_relative_reduction_by_hand(experiments):
    (row,) = learned.collect([experiments / "full", experiments / "plain"])["rows"]
    assert row["mean"]["wer_aec"] == pytest.approx(0.25) and row["sd"]["wer_aec"] == pytest.approx(0.0707107)
    assert row["wer_reduction"] == pytest.approx(1 - 0.25 / 0.4)
    assert row["runs"] == 2


def test_other_seeds_and_folds_do_not_count(experiments):
    write_history(experiments / "full/fold11/seed1", 2, ua=0.8, wer_asr=0.4, wer_aec=0.1, cosine_same_class=0.7)

    def reduced(**chosen):
        (row,) = learned.collect([experiments / "full"], **chosen)["rows"]
        return row["runs"], row["mean"]["wer_aec"]

    assert reduced(seeds=["1"], folds=["1"]) == (1, pytest.approx(0.3))
    assert reduced(seeds=["1"]) == (2, pytest.approx(0.2))
    assert reduced(folds=["1"]) == (2, pytest.approx(0.25))
    assert learned.collect([experiments / "full"], seeds=["3"])["rows"] == []


def test_command_writes_the_table_and_a_readme_takes_it(experiments, capsys):
    out = experiments / "exp/objectives"
    objective_table.main(
        ["--exp", *(str(experiments / n) for n in ("full", "plain")), "--names", "M4SER", "plain", "--out", str(out)]
    )
    assert "| M4SER |" in capsys.readouterr().out
    readme = experiments / "README.md"
    readme.write_text("<!-- begin results o -->\n<!-- end results o -->\n", encoding="utf-8")
    results_block.main(["--readme", str(readme), "--name", "o", "--from", f"{out}.json"])
    page = readme.read_text(encoding="utf-8")
    assert "40.00 ± 0.00 | 25.00 ± 7.07 | -37.50 |" in page and "0.60" in page and "plain" not in page.split("-->")[1]


def test_experiments_without_a_history_are_left_out(tmp_path, capsys):
    assert learned.collect([tmp_path / "none"])["rows"] == []
    words = ["--exp", str(tmp_path / "none"), "--out", str(tmp_path / "o")]
    objective_table.main(words)
    assert "no experiment has objectives" in capsys.readouterr().out and not (tmp_path / "o.json").exists()
    (tmp_path / "o.json").write_text("{}")  # an earlier table, of other experiments
    (tmp_path / "o.md").write_text("|")
    objective_table.main(words)
    assert not list(tmp_path.glob("o.*"))
