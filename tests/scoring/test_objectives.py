"""Table of what objectives learned: hand-made histories."""

import json

import pytest

from m4ser.bin import table
from m4ser.scoring import objectives


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
    table = objectives.table([experiments / "full", experiments / "plain"])
    after = table.cell("full", "wer_aec")
    assert after.value == pytest.approx(0.25) and after.sd == pytest.approx(0.0707107)
    assert table.cell("full", "wer_change").value == pytest.approx(0.25 / 0.4 - 1)
    assert table.about["runs"] == {"full": 2} and len(table.rows) == 1


def test_other_seeds_and_folds_do_not_count(experiments):
    write_history(experiments / "full/fold11/seed1", 2, ua=0.8, wer_asr=0.4, wer_aec=0.1, cosine_same_class=0.7)

    def reduced(**chosen):
        table = objectives.table([experiments / "full"], **chosen)
        return table.about["runs"]["full"], table.cell("full", "wer_aec").value

    assert reduced(seeds=["1"], folds=["1"]) == (1, pytest.approx(0.3))
    assert reduced(seeds=["1"]) == (2, pytest.approx(0.2))
    assert reduced(folds=["1"]) == (2, pytest.approx(0.25))
    assert objectives.table([experiments / "full"], seeds=["3"]) is None


def test_command_writes_the_table_and_a_readme_takes_it(experiments, capsys, unaligned):
    out = experiments / "exp/objectives"
    table.main(
        [
            "objectives",
            "--exp",
            *(str(experiments / n) for n in ("full", "plain")),
            "--names",
            "M4SER",
            "plain",
            "--out",
            str(out),
        ]
    )
    assert "| M4SER |" in unaligned(capsys.readouterr().out)
    readme = experiments / "README.md"
    readme.write_text("<!-- begin results o -->\n<!-- end results o -->\n", encoding="utf-8")
    table.main(["insert", "--readme", str(readme), "--name", "o", "--from", f"{out}.json"])
    page = readme.read_text(encoding="utf-8")
    assert "40.00 ± 0.00 | 25.00 ± 7.07 | -37.50 |" in page and "0.60" in page and "plain" not in page.split("-->")[1]


def test_experiments_without_a_history_are_left_out(tmp_path, capsys, unaligned):
    assert objectives.table([tmp_path / "none"]) is None
    words = ["--exp", str(tmp_path / "none"), "--out", str(tmp_path / "o")]
    table.main(["objectives", *words])
    assert "no experiment has objectives" in unaligned(capsys.readouterr().out) and not (tmp_path / "o.json").exists()
    (tmp_path / "o.json").write_text("{}")  # an earlier table, of other experiments
    (tmp_path / "o.md").write_text("|")
    table.main(["objectives", *words])
    assert not list(tmp_path.glob("o.*"))
