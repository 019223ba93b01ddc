"""Systems under several conditions, in one table."""

import shutil

import pytest

from m4ser.bin import compare, results_block, robustness
from m4ser.scoring import robustness as study
from m4ser.utils.files import read_json, write_json


@pytest.fixture
def conditions(scoring_lab):
    """Comparisons of two systems in three conditions, their runs gone; the text of the first is the reference."""
    folders = []
    for number, (name, wer) in enumerate((("gold", None), ("noisy", 0.2), ("noisier", 0.6))):
        folder = scoring_lab.root / name
        for tag, accuracy in (("full", 0.9 - 0.1 * number), ("plain", 0.9 - 0.2 * number)):
            exp = scoring_lab.system(tag, accuracy)
            target = folder / tag
            folder.mkdir(exist_ok=True)
            exp.rename(target)
            text = {"text_source": "asr", "asr": "x"} if wer else {"text_source": "ref", "asr": "none"}
            write_json(target / "run.json", read_json(target / "run.json") | text)
            errors = {"wer": wer, "words": 10, "normaliser": "english"} if wer else None
            write_json(target / "metrics.json", {"asr_word_errors": errors})
        options = ["--data", str(scoring_lab.data), "--resamples", "50", "--out", str(folder / "comparison")]
        compare.main(["--exp", str(folder / "full"), str(folder / "plain"), *options])
        for tag in ("full", "plain"):
            shutil.rmtree(folder / tag)
        folders.append(folder)
    return folders


def run(folders, out, *options):
    robustness.main(["--conditions", *map(str, folders), "--out", str(out), *options])
    return read_json(f"{out}.json")


def test_scores_and_differences_by_word_error_rate(conditions, tmp_path, capsys):
    found = run(conditions, tmp_path / "study", "--names", "gold text", "10 dB", "0 dB")
    assert [(c["condition"], c["text"], c["wer"]) for c in found["conditions"]] == [
        ("gold text", "reference", 0.0),
        ("10 dB", "x", 0.2),
        ("0 dB", "x", 0.6),
    ]
    first = read_json(conditions[1] / "comparison.json")["systems"][1]
    middle = found["conditions"][1]
    assert middle["scores"]["plain"]["weighted_f1"] == first["pooled"]["weighted_f1"]
    assert middle["differences"]["plain"]["ua"] == first["difference"]["scores"]["ua"]
    # Least squares by hand, for ten points of WER.
    delta = [c["differences"]["plain"]["ua"]["difference"] for c in found["conditions"]]
    wer = [0.0, 0.2, 0.6]
    mean = sum(wer) / 3
    slope = sum((w - mean) * d for w, d in zip(wer, delta, strict=True)) / sum((w - mean) ** 2 for w in wer)
    assert found["slopes"]["plain"]["ua"] == pytest.approx(slope / 10, abs=2e-6)
    # Student's interval by hand: t = 4.303 for two degrees of freedom.
    mean = sum(delta) / 3
    half = 4.302653 * (sum((d - mean) ** 2 for d in delta) / 2 / 3) ** 0.5
    assert found["means"]["plain"]["ua"]["mean"] == pytest.approx(mean, abs=2e-6)
    assert found["means"]["plain"]["ua"]["ci"] == pytest.approx([mean - half, mean + half], abs=2e-6)
    shown = capsys.readouterr().out
    assert f"| mean of the rows |  | {100 * mean:+.2f} [" in shown
    assert "| weighted F1, text | WER | full | plain |" in shown
    assert "| 10 dB | 20.00 | " in shown and "| Δ UA to full | WER | plain |" in shown
    assert "text source" not in shown  # not the same for all
    assert "Recognised by x.\n" in shown
    lines = (tmp_path / "study.csv").read_text().splitlines()
    assert len(lines) == 1 + 3 * 2 * len(study.SHOWN)
    assert (tmp_path / "study.png").read_bytes().startswith(b"\x89PNG")
    readme = tmp_path / "README.md"
    readme.write_text("<!-- begin results study -->\n<!-- end results study -->\n")
    results_block.main(["--readme", str(readme), "--name", "study", "--from", str(tmp_path / "study.json")])
    assert "| 0 dB | 60.00 |" in readme.read_text() and "](study.png)" in readme.read_text()


def test_names_do_not_overlap_in_the_figure(conditions, tmp_path):
    for folder, wer in zip(conditions[1:], (0.2, 0.21), strict=True):
        change(folder, lambda result, wer=wer: result.update(wer=dict.fromkeys(result["wer"], wer)))
    drawn = study.figure(study.collect(conditions, ["gold", "a", "b"]))
    names = [tick.get_text() for tick in drawn.axes[0].child_axes[0].get_xticklabels()]
    study.plt.close(drawn)
    assert names == ["gold", "a / b"]


def test_two_conditions_have_no_mean(conditions, tmp_path, capsys):
    assert run(conditions[:2], tmp_path / "study")["means"] == {}
    assert "ean of the rows" not in capsys.readouterr().out


def test_the_same_again(conditions, tmp_path):
    run(conditions, tmp_path / "a")
    run(conditions, tmp_path / "b")
    for end in ("csv", "png"):
        assert (tmp_path / f"a.{end}").read_bytes() == (tmp_path / f"b.{end}").read_bytes()


def change(folder, edit):
    path = folder / "comparison.json"
    result = read_json(path)
    edit(result)
    write_json(path, {key: value for key, value in result.items() if key != "made_by"})


@pytest.mark.parametrize(
    ("edit", "why"),
    [
        (lambda r: r["systems"].reverse(), "has other systems or seeds than .*gold; run all conditions alike"),
        (lambda r: r["systems"][0].update(seeds=["1"]), "has other systems or seeds"),
        (lambda r: r.update(protocol="other"), "has another protocol than .*gold; only the text may differ"),
    ],
)
def test_only_the_text_may_differ(conditions, tmp_path, edit, why):
    change(conditions[2], edit)
    with pytest.raises(SystemExit, match=why):
        run(conditions, tmp_path / "study")


def test_missing_files(conditions, tmp_path):
    with pytest.raises(SystemExit, match="1 names for 3 conditions"):
        run(conditions, tmp_path / "study", "--names", "x")
    with pytest.raises(SystemExit, match="conditions have the same name"):
        run([conditions[0]] * 2, tmp_path / "study")
    write_json(conditions[0] / "objectives.json", {"kind": "objectives", "rows": []})
    with pytest.raises(SystemExit, match=r"objectives\.json: is no comparison of systems"):
        run(conditions, tmp_path / "study", "--comparison", "objectives")
    change(conditions[1], lambda result: result.update(wer={}))
    with pytest.raises(SystemExit, match=r"noisy/comparison.json: does not tell the word error rate"):
        run(conditions, tmp_path / "study")
    (conditions[2] / "comparison.json").unlink()
    with pytest.raises(SystemExit, match=r"noisier/comparison.json: no such file; run the systems"):
        run([conditions[0], conditions[2]], tmp_path / "study")
