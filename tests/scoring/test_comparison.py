"""Several systems in one table."""

import csv
import io
import json

import pytest

from m4ser.data.corpus import Corpus
from m4ser.scoring import comparison
from m4ser.scoring.evaluation import evaluate
from m4ser.scoring.runs import collect
from m4ser.scoring.significance import pair
from m4ser.utils.errors import UserError
from m4ser.utils.files import write_json


@pytest.fixture
def corpus(scoring_lab):
    return Corpus.read(scoring_lab.data)


def made(scoring_lab, corpus, **accuracy):
    return [collect(scoring_lab.system(tag, value), corpus) for tag, value in accuracy.items()]


def test_pair(scoring_lab, corpus):
    good, bad = made(scoring_lab, corpus, good=0.9, bad=0.4)
    found = pair(good, bad, resamples=200, permutations=500)
    assert found["utterances"] == 72 and found["resampled"] == "speaker" and found["clusters"] == 12
    assert found["scores"]["ua"]["difference"] > 0.3 and found["scores"]["ua"]["p"] < 0.01
    assert "mcnemar" not in found  # several seeds are not one experiment


def test_pair_of_single_seeds_has_mcnemar(scoring_lab, corpus):
    good, bad = (collect(scoring_lab.system(tag, a, seeds=(1,)), corpus) for tag, a in (("good", 0.9), ("bad", 0.4)))
    found = pair(good, bad, resamples=50, permutations=500)
    right = [(experiment.hyp[0] == experiment.ref) for experiment in (good, bad)]
    assert found["mcnemar"]["only_first_right"] == int((right[0] & ~right[1]).sum())


def test_partial_runs_are_compared_on_what_both_have(scoring_lab, corpus):
    whole, part = scoring_lab.system("whole", 0.9), scoring_lab.system("part", 0.9)
    (part / "fold2" / "seed1" / "predictions_test.tsv").unlink()
    a, b = collect(whole, corpus), collect(part, corpus)
    assert pair(a, b, 50, 50)["utterances"] == pair(b, a, 50, 50)["utterances"] == 48
    for fold in "13":
        (part / f"fold{fold}" / "seed2" / "predictions_test.tsv").unlink()
    with pytest.raises(UserError, match="no utterance is predicted both here and in"):
        pair(a, collect(part, corpus), 50, 50)


def test_table(scoring_lab, corpus):
    experiments = made(scoring_lab, corpus, concat=0.6, good=0.95, same=0.6)
    result = comparison.compare(experiments, corpus, resamples=200, permutations=500)
    good, same = (row["difference"]["scores"]["ua"] for row in result["systems"][1:])
    assert good["p_holm"] == pytest.approx(2 * good["p"], abs=1e-6) and same["p_holm"] >= same["p"]
    assert result["systems"][0]["difference"] is None and result["reference"] == "concat"
    table = comparison.fill(result)
    header, _, *lines = table.lines()
    assert [line.split(" | ")[0] for line in lines] == ["| concat", "| good", "| same"]
    assert "Δ UA [95 % CI] p (Holm) | Δ WA" in header and "Δ macro-F1" not in header and "parameters" not in header
    text = " ".join(table.markdown().split())
    assert "corrected for 2 comparisons (Holm)" in text and "Protocol `toy-3fold`" in text and "seeds 1 2." in text
    cell = table.cell("good", "d_macro_f1")  # for programs
    assert cell.value == result["systems"][1]["difference"]["scores"]["macro_f1"]["difference"]
    assert table.cell("concat", "ua").value == result["systems"][0]["pooled"]["ua"]["mean"]
    again = comparison.compare(experiments, corpus, resamples=200, permutations=500)
    assert text == " ".join(comparison.fill(again).markdown().split())


def test_two_rows_need_no_correction(scoring_lab, corpus):
    result = comparison.compare(made(scoring_lab, corpus, a=0.6, b=0.7), corpus, 1, ["A", "B"], 100, 100)
    assert "Holm" not in comparison.fill(result).markdown()
    assert result["reference"] == "B" and result["systems"][1]["difference"] is None
    assert "Δ weighted F1" in comparison.fill(result, ["weighted_f1"]).markdown()


def test_cost(scoring_lab, corpus):
    a, b = scoring_lab.system("a", 0.6, parameters=2_000_000), scoring_lab.system("b", 0.6)
    for i, run in enumerate(sorted(b.glob("fold*/seed*"))):
        write_json(run / "train_info.json", {"parameters": 3_000_000, "trained_parameters": 500_000, "seconds": i})
    result = comparison.compare([collect(a, corpus), collect(b, corpus)], corpus, resamples=50, permutations=50)
    header, _, first, second = comparison.fill(result).lines()
    assert "| parameters (M) | trained (M) | training s |" in header
    assert first.endswith("| 2.00 | – | – |")
    assert second.endswith("| 3.00 | 0.50 | 2 |")  # mean of 0..5 seconds, rounded


def test_csv(scoring_lab, corpus):
    result = comparison.compare(made(scoring_lab, corpus, a=0.6, b=0.7), corpus, resamples=50, permutations=50)
    a, b = csv.DictReader(io.StringIO(comparison.fill(result).csv()))
    assert float(b["ua"]) == result["systems"][1]["pooled"]["ua"]["mean"]
    assert float(b["d_ua_p"]) == result["systems"][1]["difference"]["scores"]["ua"]["p"] and a["d_ua_p"] == ""
    assert a["d_ua"] == "reference" and "parameters" not in a
    assert a["seeds"] == "1 2" and a["protocol"] == "toy-3fold" and a["partial"] == "false" and b["tag"] == "b"


def test_same_setup_is_said_once(scoring_lab, corpus):
    speech = scoring_lab.system(
        "speech", 0.6, speech_encoder="tiny", text_encoder="none", text_source="none", asr="none"
    )
    given = {"text_encoder": "mini", "asr": "fast", "text_source": "asr"}
    text = scoring_lab.system("text", 0.6, speech_encoder="none", **given)
    both = scoring_lab.system("both", 0.6, speech_encoder="tiny", **given)
    reference = scoring_lab.system(
        "given", 0.6, speech_encoder="tiny", text_encoder="mini", asr="none", text_source="ref"
    )
    for run in (speech, text):  # without text of its own, speech was only scored beside a recogniser's
        write_json(run / "metrics.json", {"asr_word_errors": {"wer": 0.25 if run == text else 0.5}})
    result = comparison.compare([collect(r, corpus) for r in (speech, text, both, reference)], corpus, resamples=50)
    assert result["setup"] == {"speech_encoder": "tiny", "text_encoder": "mini", "asr": "fast"}
    assert result["setup_differs"] == {"text_source": {"asr": ["text", "both"], "ref": ["given"]}}
    notes = comparison.fill(result).notes
    assert "Same for all that use it: speech encoder tiny; text encoder mini; ASR fast." in notes
    assert "Different text: asr, but ref (given)." in notes
    assert "WER on the same utterances: 25.00 %." in notes


def test_all_code_that_trained_is_named(scoring_lab, corpus):
    """Runs that were added or made again can be of later code."""
    run = scoring_lab.system("a", 0.6)
    other = scoring_lab.system("b", 0.6)
    commits = {"1": "first", "2": "first", "3": "second"}
    for fold, commit in commits.items():
        made_by = {"m4ser": "0.1", "git": commit, "date": f"2030-01-0{3 - int(fold)}"}
        path = run / f"fold{fold}/seed1/train_info.json"
        path.write_text(json.dumps({"made_by": made_by}))
    result = comparison.compare([collect(r, corpus) for r in (run, other)], corpus, resamples=50, permutations=50)
    assert result["trained_with"] == {"m4ser": ["0.1"], "git": ["second", "first"]}
    assert comparison.fill(result).about["trained_with"] == result["trained_with"]
    alone = collect(run, corpus, folds=["1", "2"])
    assert evaluate(alone, corpus, resamples=50)["trained_with"]["git"] == ["first"]


def test_two_rows_of_one_name(scoring_lab, corpus):
    experiment = made(scoring_lab, corpus, a=0.6)[0]
    with pytest.raises(UserError, match="two rows are named 'a'; use --names"):
        comparison.compare([experiment, experiment], corpus)


def test_a_table_of_version_0_1_is_read(scoring_lab, corpus, tmp_path):
    result = comparison.compare(made(scoring_lab, corpus, a=0.6, b=0.7), corpus, resamples=50, permutations=50)
    write_json(tmp_path / "old.json", {**result, "shown_differences": ["weighted_f1"]})
    table = comparison.read(tmp_path / "old.json")
    assert table.rows == comparison.fill(result, ["weighted_f1"]).rows
    assert "Δ weighted F1" in table.lines()[0] and "Δ UA" not in table.lines()[0] and table.made_by["git"]
    saved = table.save(tmp_path / "new")
    assert comparison.read(tmp_path / "new.json") == saved and saved.rows == table.rows
    with pytest.raises(UserError, match=r"none.json: no such file; compare the systems first"):
        comparison.read(tmp_path / "none.json")
    write_json(tmp_path / "other.json", {"kind": "metrics"})
    with pytest.raises(UserError, match=r"other.json: is no comparison of systems as compare.sh"):
        comparison.read(tmp_path / "other.json")
