"""The table of crossed corpora, on answers whose scores are counted by hand."""

import csv
import io

import numpy as np
import pytest

from m4ser.data.corpus import Corpus
from m4ser.data.folds import Fold, Folds
from m4ser.data.scp import write_scp
from m4ser.scoring import crossed, figures
from m4ser.scoring.runs import collect
from m4ser.training.predictions import Predictions, write_predictions
from m4ser.utils.errors import UserError
from m4ser.utils.files import write_json

LABELS = ["happy", "sad"]


@pytest.fixture
def lab(tmp_path):
    """`a` has two folds, `b` one; each speaker has a happy and a sad utterance; `answer` writes what a model says."""
    utt2spk = {f"{c}-{s}-{e}": f"{c}-{s}" for c in "ab" for s in range(1, 7) for e in LABELS}
    for name in "ab":
        speakers_of_corpus = {utt: speaker for utt, speaker in utt2spk.items() if utt[0] == name}
        write_scp(tmp_path / "data" / name / "utt2spk", speakers_of_corpus)
        write_scp(tmp_path / "data" / name / "utt2emo", {utt: utt.rpartition("-")[2] for utt in speakers_of_corpus})
        write_scp(tmp_path / "data" / name / "utt2domain", dict.fromkeys(speakers_of_corpus, name))

    def of(name, *speakers):
        return [utt for utt, s in utt2spk.items() if utt[0] == name and int(s[-1]) in speakers]

    tested_b = of("b", 1, 2)
    folds = {
        "a.1": Fold(of("a", 4, 5), of("a", 6), of("a", 1, 2, 3) + tested_b),
        "a.2": Fold(of("a", 1, 2), of("a", 3), of("a", 4, 5, 6) + tested_b),
        "b.1": Fold(of("b", 3, 4), of("b", 5), tested_b + of("a", *range(1, 7))),
    }
    known = {"speakers": 6, "classes": {"happy": 6, "sad": 6}, "left_out": {"calm": 3}, "text": ""}
    places = {"data": "data", "dump": "dump", "speaker_disjoint": True, "skipped_recordings": 0}
    corpora = {name: {"protocol": f"{name}-own", **places, **known} for name in "ab"}
    corpora["b"] |= {"left_out": {}, "text": "ref"}
    trained_on = {"a.1": "a", "a.2": "a", "b.1": "b"}
    Folds("cross", "d", ["b", "a"], LABELS, folds, trained_on=trained_on, corpora=corpora).write(
        tmp_path / "data/folds.json"
    )
    exp = tmp_path / "exp/x"
    write_json(exp / "run.json", {"tag": "x", "protocol": "cross", "labels": LABELS, "seeds": [1], "asr": "whisper"})

    def answer(fold, wrong, seed=1):
        """All answers right but those of utterances that begin with one of `wrong`."""
        utts = folds[fold].test
        ref = np.array([LABELS.index(utt.rpartition("-")[2]) for utt in utts])
        hyp = np.array([r ^ any(utt.startswith(w) for w in wrong) for utt, r in zip(utts, ref, strict=True)])
        chances = np.where(np.arange(2) == hyp[:, None], 0.9, 0.1)
        predictions = Predictions.from_probabilities(LABELS, utts, [utt2spk[u] for u in utts], ref, chances)
        write_predictions(exp / f"fold{fold}/seed{seed}/predictions_test.tsv", predictions)

    answer("a.1", ["a-1-happy", "b-1"])
    answer("a.2", ["b-1-sad", "b-2-sad", "b-1-happy"])
    answer("b.1", ["a-1", "a-2", "a-3-sad"])
    return tmp_path, exp, answer


def cells(result):
    return {(cell["train"], cell["test"]): cell for cell in result["cells"]}


def test_cells(lab):
    root, exp, _ = lab
    result = crossed.evaluate(exp, Corpus.read(root / "data"), resamples=200)
    found = cells(result)
    assert (result["rows"], result["columns"], result["partial"]) == (["a", "b"], ["a", "b"], False)
    # a -> a: both folds pooled, one wrong answer of six happy ones.
    cell = found["a", "a"]
    assert (cell["in_corpus"], cell["utterances"], cell["speakers"], cell["answers"]) == (True, 12, 6, 1)
    assert cell["ua"]["mean"] == pytest.approx((5 / 6 + 1) / 2, abs=1e-6) and cell["ua"]["sd"] is None
    assert cell["resampled"] == "speaker" and cell["ua"]["ci"][0] < cell["ua"]["mean"] <= cell["ua"]["ci"][1] <= 1
    # a -> b: the mean of two models on the same four utterances: recalls 1/2, 1/2 and 1/2, 0.
    cell = found["a", "b"]
    assert (cell["in_corpus"], cell["utterances"], cell["answers"]) == (False, 4, 2)
    assert cell["ua"]["mean"] == pytest.approx((0.5 + 0.25) / 2) and cell["ua"]["sd"] == pytest.approx(
        0.176777, abs=1e-6
    )
    assert cell["confusion_summed"] == [[2, 2], [3, 1]]
    assert cell["resampled"] == "utterance"  # of two speakers
    assert found["b", "a"]["ua"]["mean"] == pytest.approx((4 / 6 + 3 / 6) / 2, abs=1e-6)
    assert found["b", "b"]["ua"]["mean"] == 1


def test_seeds_and_missing_runs(lab, capsys):
    root, exp, answer = lab
    answer("a.1", [], seed=2)
    corpus = Corpus.read(root / "data")
    result = crossed.evaluate(exp, corpus, ["1", "2"], resamples=200)
    notes = capsys.readouterr().err.splitlines()
    assert result["partial"] and len(notes) == 2 and "folda.2/seed2" in notes[0]
    # Of a -> b there are three models now, each with all utterances.
    cell = cells(result)["a", "b"]
    assert cell["answers"] == 3 and cell["ua"]["mean"] == pytest.approx((0.5 + 0.25 + 1) / 3, abs=1e-6)
    assert (
        "**PARTIAL, not the result of the protocol.** Missing: seed 2: 2 folds a.2 b.1."
        in crossed.headline(result).markdown()
    )
    few = crossed.evaluate(exp, corpus, folds=["b.1"], resamples=200)
    assert few["rows"] == ["b"] and few["partial"]


def test_written(lab, tmp_path):
    root, exp, _ = lab
    write_json(root / "asr/a/wer.json", {"normalised": {"wer": 0.25}})
    result = crossed.evaluate(exp, Corpus.read(root / "data"), asr_dir=root / "asr", resamples=200)
    text = crossed.results(result).markdown()
    assert "A column is always the same utterances." in " ".join(text.split())
    result["cells"][0]["utterances"] += 1  # as where one model knows a part of the corpora that others are tested on
    assert "Columns are not the same utterances." in " ".join(crossed.headline(result).markdown().split())
    result["cells"][0]["utterances"] -= 1
    assert "| a | **91.67** [" in text and "| chance | 50.00 | 50.00 |" in text
    assert "| a | a-own | 6 | 6 | 6 | calm 3 | 12 | whisper | 25.00 |" in text
    assert "| b | b-own | 6 | 6 | 6 | nothing | 4 | ref | – |" in text
    assert "(of b, utterances: its speakers are too few" in " ".join(text.split())
    lines = list(csv.DictReader(io.StringIO(crossed.cells_table(result).csv())))
    assert [(line["train"], line["test"], line["in_corpus"]) for line in lines] == [
        ("a", "a", "True"), ("a", "b", "False"), ("b", "a", "False"), ("b", "b", "True"),
    ]  # fmt: skip
    assert float(lines[3]["ua"]) == 1
    figures.save(figures.crossed(crossed.table(result)), tmp_path / "m.png")
    assert (tmp_path / "m.png").read_bytes().startswith(b"\x89PNG")
    headline = crossed.headline(result).markdown()
    assert "| b | " in headline and "weighted F1" not in headline


def test_faults(lab):
    root, exp, _ = lab
    corpus = Corpus.read(root / "data")
    with pytest.raises(UserError, match="crossed corpora have a table each"):
        collect(exp, corpus)
    with pytest.raises(UserError, match=r"there is no fold c\.1; the folds are a\.1"):
        crossed.evaluate(exp, corpus, folds=["c.1"])
    with pytest.raises(UserError, match="no such folder; run stage 4 first"):
        crossed.evaluate(root / "exp/other", corpus)
    (root / "exp/other").mkdir()
    with pytest.raises(UserError, match="run the inference of stage 5 first"):
        crossed.evaluate(root / "exp/other", corpus)
    write_json(exp / "run.json", {"protocol": "another"})
    with pytest.raises(UserError, match="results of different protocols are not comparable"):
        crossed.evaluate(exp, corpus)
