"""The content of metrics.json and RESULTS.md on made-up predictions."""

import json

import numpy as np
import pytest

from m4ser.data.corpus import Corpus
from m4ser.data.scp import read_scp, write_scp
from m4ser.scoring import results
from m4ser.scoring.evaluation import evaluate
from m4ser.scoring.runs import collect
from m4ser.training.metrics import scores
from m4ser.utils.errors import UserError


@pytest.fixture
def corpus(scoring_lab):
    return Corpus.read(scoring_lab.data)


def test_pooled_and_fold_means(scoring_lab, corpus):
    """Recomputed from lists of answers: pooled per seed, then mean and sd; folds: mean over seeds, then over folds."""
    experiment = collect(scoring_lab.system("one", 0.7), corpus)
    metrics = evaluate(experiment, corpus, resamples=100)
    by_seed = [scores(experiment.ref, hyp)["ua"] for hyp in experiment.hyp]
    assert metrics["pooled"]["ua"]["mean"] == pytest.approx(np.mean(by_seed), abs=1e-6)
    assert metrics["pooled"]["ua"]["sd"] == pytest.approx(np.std(by_seed, ddof=1), abs=1e-6)
    by_fold = []
    for fold in "123":
        at = experiment.fold == fold
        by_fold.append(np.mean([scores(experiment.ref[at], hyp[at])["ua"] for hyp in experiment.hyp]))
        assert metrics["per_fold"][fold]["ua"]["mean"] == pytest.approx(by_fold[-1], abs=1e-6)
    assert metrics["over_folds"]["ua"]["mean"] == pytest.approx(np.mean(by_fold), abs=1e-6)
    assert metrics["over_folds"]["ua"]["sd"] == pytest.approx(np.std(by_fold, ddof=1), abs=1e-6)
    low, high = metrics["pooled"]["ua"]["ci"]
    assert low < metrics["pooled"]["ua"]["mean"] < high
    assert np.sum(metrics["confusion_summed_over_seeds"]) == 144
    assert metrics["per_seed"]["2"]["ua"] == pytest.approx(by_seed[1], abs=1e-6)
    assert metrics["majority"]["ua"] == pytest.approx(1 / 3, abs=1e-6)
    assert metrics["per_fold"]["1"]["speakers"] == ["s00", "s01", "s02", "s03"]


def test_domains(scoring_lab, corpus):
    experiment = collect(scoring_lab.system("one", 0.7), corpus)
    metrics = evaluate(experiment, corpus, resamples=50)
    assert list(metrics["by_domain"]) == ["improvised", "scripted"]
    scripted = np.array([int(utt[-1]) < 2 for utt in experiment.items])
    expected = np.mean([scores(experiment.ref[scripted], hyp[scripted])["wa"] for hyp in experiment.hyp])
    assert metrics["by_domain"]["scripted"]["utterances"] == 24
    assert metrics["by_domain"]["scripted"]["wa"]["mean"] == pytest.approx(expected, abs=1e-6)
    assert "## Domains" in results.markdown(metrics)


def test_wer_bins(scoring_lab, corpus):
    """Half of the texts are right, half have 2 errors in 5 words: WER 0.2, bins "0" and "20-40"."""
    experiment = collect(scoring_lab.system("one", 0.7), corpus)
    metrics = evaluate(experiment, corpus, scoring_lab.asr, "basic", resamples=50)
    assert metrics["asr_word_errors"] == {"wer": 0.2, "words": 360, "normaliser": "basic"}
    assert {name: value["utterances"] for name, value in metrics["by_wer"].items()} == {"0": 36, "20-40": 36}
    assert metrics["by_wer"]["20-40"]["wer"] == 0.4
    assert metrics["setup"]["asr"] == "asr"
    speech = collect(scoring_lab.system("speech", 0.7, asr="none", text_source="none"), corpus)
    beside = evaluate(speech, corpus, scoring_lab.asr, "basic", resamples=50)
    assert beside["setup"]["asr"] == "asr"  # of no use to it, but these are the errors that are counted


def test_empty_hypotheses_and_references(scoring_lab):
    text = scoring_lab.data / "all" / "text"
    write_scp(text, read_scp(text) | {"s00-0": ""})
    heard = scoring_lab.asr / "all" / "text"
    write_scp(heard, read_scp(heard) | {"s00-1": ""})
    corpus = Corpus.read(scoring_lab.data)
    experiment = collect(scoring_lab.system("one", 0.7), corpus)
    metrics = evaluate(experiment, corpus, scoring_lab.asr, "basic", resamples=50)
    assert metrics["by_wer"]["> 60"]["utterances"] == 1  # the empty hypothesis; the empty reference is in no bin
    assert sum(value["utterances"] for value in metrics["by_wer"].values()) == 71


def test_asr_text_of_another_corpus(scoring_lab, corpus):
    experiment = collect(scoring_lab.system("one", 0.7), corpus)
    with pytest.raises(UserError, match="has no text for s00-0; run stage 2"):
        evaluate(experiment, corpus, scoring_lab.root / "nowhere")


def test_single_seed_has_no_spread(scoring_lab, corpus):
    metrics = evaluate(collect(scoring_lab.system("one", 0.7, seeds=(1,)), corpus), corpus, resamples=50)
    assert metrics["pooled"]["ua"]["sd"] is None
    pooled = next(line for line in results.headline(metrics).markdown().splitlines() if line.startswith("| pooled"))
    assert "±" not in pooled


def test_partial_results_say_so_first(scoring_lab, corpus):
    exp = scoring_lab.system("one", 0.7)
    (exp / "fold2" / "seed1" / "predictions_test.tsv").unlink()
    metrics = evaluate(collect(exp, corpus), corpus, resamples=50)
    assert metrics["partial"] and metrics["missing"] == [{"seed": "1", "fold": "2"}]
    assert (
        results.markdown(metrics)
        .splitlines()[2]
        .startswith("**PARTIAL, not the result of the protocol.** Missing: seed 1: 1 fold 2. Protocol `toy-3fold`")
    )


def test_few_speakers_are_said(scoring_lab, corpus):
    metrics = evaluate(collect(scoring_lab.system("one", 0.7), corpus, folds=["1"]), corpus, resamples=50)
    assert metrics["pooled"]["resampled"] == "utterance"
    assert "4 speakers are too few" in results.headline(metrics).markdown()


def test_markdown_holds_what_a_reader_needs(scoring_lab, corpus):
    run = {
        "speech_encoder": "offline:tiny",
        "fusion": "concat",
        "objectives": {"aed": {"weight": 0.1}},
        "text_source": "asr",
    }
    experiment = collect(scoring_lab.system("one", 0.7, **run), corpus)
    text = results.markdown(evaluate(experiment, corpus, scoring_lab.asr, "basic", resamples=50), ["confusion.png"])
    for needed in (
        "WA (weighted accuracy) = overall accuracy",
        "Protocol `toy-3fold`, test: 72 utterances of 12 speakers, 3 classes, 3 folds, seeds 1 2",
        "fusion concat; objectives aed weight 0.1; speech encoder offline:tiny; text asr",
        "WER 20.00 % (basic normaliser)",
        "| 95 % confidence interval |",
        "| majority class | 33.33 | 33.33 |",
        "speakers are resampled",
        "## Confusion (summed over 2 seeds; rows: reference)",
        "| **angry** |",
        "![confusion](confusion.png)",
    ):
        assert needed in text, needed
    assert max(map(len, text.splitlines())) <= 400


def test_same_predictions_same_bytes(scoring_lab, corpus):
    exp = scoring_lab.system("one", 0.7)
    one, two = (evaluate(collect(exp, corpus), corpus, scoring_lab.asr, "basic", resamples=200) for _ in range(2))
    assert json.dumps(one) == json.dumps(two)
    assert results.markdown(one) == results.markdown(two)
    assert results.markdown(json.loads(json.dumps(one))) == results.markdown(one)
