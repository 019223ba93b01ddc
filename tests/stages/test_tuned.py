"""One table of what was tried for several systems."""

import pytest

from m4ser.bin import table
from m4ser.utils.errors import UserError
from m4ser.utils.files import read_json, write_json


@pytest.fixture
def report(tmp_path, monkeypatch):
    monkeypatch.setenv("M4SER_DEBUG", "1")

    def write(system, points, option="optim_conf.lr", runs=3, **more):
        path = tmp_path / f"{system}.json"
        results = [{"settings": {option: v}, "dev_ua": ua, "sd": sd, "runs": runs} for v, ua, sd in points]
        write_json(path, {"system": system, "folds": ["1"], **more, "points": results})
        return str(path)

    return write


def test_a_row_for_each_system_best_first(report, tmp_path, capsys, unaligned):
    one = report("concat", [(0.001, 0.5, 0.1), (0.002, 0.25, 0.0)])
    two = report("m4ser", [(0.002, 0.71234, 0.01), (0.001, 0.6, 0.02)])
    table.main(["tuning", one, two, "--out", str(tmp_path / "tuning")])
    text = unaligned(capsys.readouterr().out)
    assert "| system | best on dev | 2. |\n" in text
    assert "| concat | 0.001: 50.00 ± 10.00 | 0.002: 25.00 ± 0.00 |\n" in text
    assert "| m4ser | 0.002: 71.23 ± 1.00 | 0.001: 60.00 ± 2.00 |\n" in text
    assert "Values of `optim_conf.lr`: UA on dev in per cent, mean ± sd of 3 runs" in text
    page = tmp_path / "README.md"
    page.write_text("<!-- begin results tuning -->\n<!-- end results tuning -->\n")
    table.main(["insert", "--readme", str(page), "--name", "tuning", "--from", str(tmp_path / "tuning.json")])
    assert "| m4ser | 0.002: 71.23 ± 1.00 |" in page.read_text()


def test_systems_with_other_options_are_told_with_their_names(report, tmp_path):
    one, two = report("concat", [(0.001, 0.5, 0.1)]), report("svm", [(10.0, 0.4, 0.1)], "c_grid")
    table.main(["tuning", one, two, "--out", str(tmp_path / "tuning")])
    cells = [row[1] for row in read_json(tmp_path / "tuning.json")["rows"]]
    assert cells == ["--optim_conf lr=0.001: 50.00 ± 10.00", "--c_grid 10.0: 40.00 ± 10.00"]


def test_other_budgets_and_other_files_are_refused(report, tmp_path):
    one = report("concat", [(0.001, 0.5, 0.1)])
    out = ["--out", str(tmp_path / "tuning")]
    with pytest.raises(UserError, match=r"m4ser.json: 2 points, .*concat.json: 1; tune all systems alike"):
        table.main(["tuning", one, report("m4ser", [(0.001, 0.5, 0.1), (0.002, 0.5, 0.1)]), *out])
    with pytest.raises(UserError, match=r"m4ser.json: 1 runs, .*concat.json: 3; tune all systems alike"):
        table.main(["tuning", one, report("m4ser", [(0.001, 0.5, 0.1)], runs=1), *out])
    with pytest.raises(UserError, match=r"m4ser.json: other folds than .*concat.json; tune all systems alike"):
        table.main(["tuning", one, report("m4ser", [(0.001, 0.5, 0.1)], folds=["2"]), *out])
    write_json(tmp_path / "other.json", {"kind": "table"})
    with pytest.raises(UserError, match=r"other.json: is no report of tune.sh"):
        table.main(["tuning", str(tmp_path / "other.json"), *out])
    with pytest.raises(UserError, match=r"nowhere.json: cannot be read .*; run tune.sh for this system first"):
        table.main(["tuning", str(tmp_path / "nowhere.json"), *out])
    assert not (tmp_path / "tuning.json").exists()
