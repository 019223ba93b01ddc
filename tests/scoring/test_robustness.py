"""Systems under several conditions, in one table."""

import shutil

import pytest

from m4ser.bin import table
from m4ser.scoring import comparison, figures
from m4ser.scoring import robustness as study
from m4ser.scoring.table import Table
from m4ser.utils.files import read_json, write_json

NAMES = (("gold", None), ("noisy", 0.2), ("noisier", 0.6))


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """Where the comparisons of :func:`conditions` are kept, which cost a second to make."""
    return tmp_path_factory.mktemp("compared")


@pytest.fixture
def conditions(scoring_lab, compared):
    """Comparisons of two systems in three conditions, their runs gone; the text of the first is the reference."""
    if not any(compared.iterdir()):
        for number, (name, wer) in enumerate(NAMES):
            make_condition(scoring_lab, compared / name, number, wer)
    return [shutil.copytree(compared / name, scoring_lab.root / name) for name, _ in NAMES]


def make_condition(scoring_lab, folder, number, wer):
    folder.mkdir()
    for tag, accuracy in (("full", 0.9 - 0.1 * number), ("plain", 0.9 - 0.2 * number)):
        exp = scoring_lab.system(tag, accuracy)
        target = folder / tag
        shutil.move(exp, target)
        text = {"text_source": "asr", "asr": "x"} if wer else {"text_source": "ref", "asr": "none"}
        write_json(target / "run.json", read_json(target / "run.json") | text)
        errors = {"wer": wer, "words": 10, "normaliser": "english"} if wer else None
        write_json(target / "metrics.json", {"asr_word_errors": errors})
    options = ["--data", str(scoring_lab.data), "--resamples", "50", "--out", str(folder / "comparison")]
    table.main(["comparison", "--exp", str(folder / "full"), str(folder / "plain"), *options])
    for tag in ("full", "plain"):
        shutil.rmtree(folder / tag)


def run(folders, out, *options):
    table.main(["robustness", "--conditions", *map(str, folders), "--out", str(out), *options])
    return Table.from_json(read_json(f"{out}.json"))


def test_scores_and_differences_by_word_error_rate(conditions, tmp_path, capsys, unaligned):
    found = run(conditions, tmp_path / "study", "--names", "gold text", "10 dB", "0 dB")
    assert [(c["condition"], c["text"], c["wer"]) for c in found.about["conditions"]] == [
        ("gold text", "reference", 0.0),
        ("10 dB", "x", 0.2),
        ("0 dB", "x", 0.6),
    ]
    first = comparison.read(conditions[1] / "comparison.json")
    assert found.cell("10 dB", "plain") == first.cell("plain", "weighted_f1")
    differences = found.more[2]  # of UA
    assert differences.cell("10 dB", "plain") == first.cell("plain", "d_ua")
    # Least squares by hand, for ten points of WER.
    delta = [differences.cell(name, "plain").value for name in ("gold text", "10 dB", "0 dB")]
    wer = [0.0, 0.2, 0.6]
    mean = sum(wer) / 3
    slope = sum((w - mean) * d for w, d in zip(wer, delta, strict=True)) / sum((w - mean) ** 2 for w in wer)
    assert differences.cell("per 10 points of WER", "plain").value == pytest.approx(slope / 10, abs=2e-6)
    # Student's interval by hand: t = 4.303 for two degrees of freedom.
    mean = sum(delta) / 3
    half = 4.302653 * (sum((d - mean) ** 2 for d in delta) / 2 / 3) ** 0.5
    assert differences.cell("mean of the rows", "plain").value == pytest.approx(mean, abs=2e-6)
    assert differences.cell("mean of the rows", "plain").ci == pytest.approx([mean - half, mean + half], abs=2e-6)
    shown = unaligned(capsys.readouterr().out)
    assert f"| mean of the rows | | {100 * mean:+.2f} [" in shown
    assert "| weighted F1, text | WER | full | plain |" in shown
    assert "| 10 dB | 20.00 | " in shown and "| Δ UA to full | WER | plain |" in shown
    assert "text source" not in shown  # not the same for all
    assert "- Recognised by x.\n" in shown
    lines = (tmp_path / "study.csv").read_text().splitlines()
    assert len(lines) == 1 + 2 * 3 + 2 * (3 + 2)
    assert (tmp_path / "study.png").read_bytes().startswith(b"\x89PNG")
    readme = tmp_path / "README.md"
    readme.write_text("<!-- begin results study -->\n<!-- end results study -->\n")
    table.main(["insert", "--readme", str(readme), "--name", "study", "--from", str(tmp_path / "study.json")])
    assert "| 0 dB | 60.00 |" in readme.read_text() and "](study.png)" in readme.read_text()


def test_names_do_not_overlap_in_the_figure(conditions, tmp_path):
    for folder, wer in zip(conditions[1:], (0.2, 0.21), strict=True):
        change(folder, lambda about, wer=wer: about.update(wer=dict.fromkeys(about["wer"], wer)))
    drawn = figures.robustness(study.table(conditions, ["gold", "a", "b"]))
    names = [tick.get_text() for tick in drawn.axes[0].child_axes[0].get_xticklabels()]
    figures.plt.close(drawn)
    assert names == ["gold", "a / b"]


def test_two_conditions_have_no_mean(conditions, tmp_path, capsys, unaligned):
    assert len(run(conditions[:2], tmp_path / "study").more[2].rows) == 2
    assert "ean of the rows" not in unaligned(capsys.readouterr().out)


def test_one_score_alone(conditions, tmp_path):
    both, one = run(conditions, tmp_path / "both"), run(conditions, tmp_path / "one", "--metric", "ua")
    assert [one.columns[0].name, *(table.columns[0].name for table in one.more)] == ["UA, text", "Δ UA to full"]
    assert one.rows == both.more[0].rows and one.more[0].rows == both.more[2].rows


def test_the_same_again(conditions, tmp_path):
    run(conditions, tmp_path / "a")
    run(conditions, tmp_path / "b")
    for end in ("csv", "png"):
        assert (tmp_path / f"a.{end}").read_bytes() == (tmp_path / f"b.{end}").read_bytes()


def change(folder, edit):
    path = folder / "comparison.json"
    result = read_json(path)
    edit(result["about"])
    write_json(path, result)


@pytest.mark.parametrize(
    ("edit", "why"),
    [
        (
            lambda about: about.update(seeds=dict(reversed(about["seeds"].items()))),
            "has other systems or seeds than .*gold; run all conditions alike",
        ),
        (lambda about: about["seeds"].update(full=["1"]), "has other systems or seeds"),
        (lambda about: about.update(protocol="other"), "has another protocol than .*gold; only the text may differ"),
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
    write_json(conditions[0] / "objectives.json", {"kind": "table", "rows": []})
    with pytest.raises(SystemExit, match=r"objectives\.json: is no comparison of systems"):
        run(conditions, tmp_path / "study", "--comparison", "objectives")
    change(conditions[1], lambda about: about.update(wer={}))
    with pytest.raises(SystemExit, match=r"noisy/comparison.json: has no word error rate"):
        run(conditions, tmp_path / "study")
    (conditions[2] / "comparison.json").unlink()
    with pytest.raises(SystemExit, match=r"noisier/comparison.json: no such file; compare the systems"):
        run([conditions[0], conditions[2]], tmp_path / "study")
