"""Systems on corpora that they do not know, on answers whose scores are counted by hand."""

import json

import numpy as np
import pytest

from m4ser.bin.table import main
from m4ser.data.corpus import Corpus
from m4ser.data.folds import Fold, Folds
from m4ser.data.scp import write_scp
from m4ser.scoring import left_out
from m4ser.training.predictions import Predictions, write_predictions
from m4ser.utils.errors import UserError
from m4ser.utils.files import write_json

LABELS = ["happy", "sad"]


@pytest.fixture
def lab(tmp_path):
    """Three corpora of eight speakers; models of two of them each, and of all; `answer` writes an experiment."""
    utt2spk = {f"{c}-{s}-{e}": f"{c}-{s}" for c in "abc" for s in range(1, 9) for e in LABELS}
    for name in "abc":
        speakers_of_corpus = {utt: speaker for utt, speaker in utt2spk.items() if utt[0] == name}
        write_scp(tmp_path / "data" / name / "utt2spk", speakers_of_corpus)
        write_scp(tmp_path / "data" / name / "utt2emo", {utt: utt.rpartition("-")[2] for utt in speakers_of_corpus})
        write_scp(tmp_path / "data" / name / "utt2domain", dict.fromkeys(speakers_of_corpus, name))

    def of(names, *speakers):
        return [utt for utt, s in utt2spk.items() if utt[0] in names and int(s[-1]) in speakers]

    everybody = range(1, 9)
    folds = {
        c: Fold(of("abc".replace(c, ""), *range(3, 9)), of("abc".replace(c, ""), 1, 2), of(c, *everybody))
        for c in "abc"
    }
    folds["all"] = Fold(of("abc", 5, 6, 7, 8), of("abc", 1, 2), of("abc", 3, 4))
    info = {"data": "d", "dump": "d", "text": "", "protocol": "own", "speaker_disjoint": True, "speakers": 8}
    info |= {"classes": {}, "left_out": {}, "skipped_recordings": 0}
    trained_on = {"a": "b+c", "b": "a+c", "c": "a+b", "all": "a+b+c"}
    corpora = dict.fromkeys("abc", info)
    Folds("loco", "d", list("abc"), LABELS, folds, trained_on=trained_on, corpora=corpora).write(
        tmp_path / "data/folds.json"
    )

    def answer(tag, wrong, sure=0.9, without=()):
        """All answers right but those of utterances that begin with one of `wrong`."""
        exp = tmp_path / "exp" / tag
        write_json(exp / "run.json", {"tag": tag, "protocol": "loco", "labels": LABELS, "seeds": [1]})
        for fold, part in ((fold, part) for fold in folds if fold not in without for part in ("dev", "test")):
            utts = getattr(folds[fold], part)
            ref = np.array([LABELS.index(utt.rpartition("-")[2]) for utt in utts])
            hyp = np.array([r ^ any(utt.startswith(w) for w in wrong) for utt, r in zip(utts, ref, strict=True)])
            chances = np.where(np.arange(2) == hyp[:, None], sure, 1 - sure)
            predictions = Predictions.from_probabilities(LABELS, utts, [utt2spk[u] for u in utts], ref, chances)
            write_predictions(exp / f"fold{fold}/seed1/predictions_{part}.tsv", predictions)
        return exp

    return tmp_path, answer


def test_scores_differences_and_calibration(lab):
    root, answer = lab
    # Of `a` two of sixteen answers are wrong; on dev every fourth one, but at a confidence of 0.9.
    ours = answer("ours", ["a-3-sad", "a-4-sad", "b-1-happy", "c-1", "c-2-sad", "b-2-happy", "a-1-happy"])
    theirs = answer("theirs", ["a-1", "a-2", "a-3", "a-4", "b", "c-1-sad"])
    table = left_out.table(
        [ours, theirs], Corpus.read(root / "data"), ["voice", "svm"], resamples=200, permutations=300
    )
    assert [row[:4] for row in table.rows] == [["a", "b+c", 16, 8], ["b", "a+c", 16, 8], ["c", "a+b", 16, 8]]
    assert [score.value for score in table.scores("chance")] == [0.5] * 3
    assert [score.value for score in table.scores("ua")] == [13 / 16, 14 / 16, 13 / 16]
    assert [score.value for score in table.scores("ua_svm")] == [0.5, 0.0, 15 / 16]
    difference = table.scores("d_svm")
    assert [score.value for score in difference] == [5 / 16, 14 / 16, -2 / 16]
    assert difference[1].ci[0] > 0.5 and difference[1].p_holm == pytest.approx(3 * 2 / 256)  # 2 of 2**8 swaps, 3 tests
    # Dev of the first row, speakers 1 and 2 of `b` and `c`: 3 + 2 of 8 wrong, the probabilities ought to be turned.
    error, temperature, at_it, other, at_other = table.rows[0][-5:]
    assert temperature == pytest.approx(20) and error == pytest.approx(0.9 - 13 / 16)
    assert at_it == pytest.approx(13 / 16 - 1 / (1 + (1 / 9) ** (1 / 20)), abs=1e-6)
    # Of `b` 14 of 16 are right, of `c` 13: at the best temperature the confidence is this share.
    best = [np.log(9) / np.log(right / (16 - right)) for right in (14, 13)]
    assert other == pytest.approx(np.sqrt(best[0] * best[1]), rel=1e-4)
    assert at_other == pytest.approx(abs(1 / (1 + 9 ** (-1 / other)) - 13 / 16), abs=1e-6)
    every = [np.log(9) / np.log(right / (16 - right)) for right in (13, 14, 13)]
    assert table.about["temperature"] == pytest.approx(np.exp(np.mean(np.log(every))), rel=1e-4)
    confusion = table.more[0]
    assert confusion.rows[1][0] == "sad" and [cell.value for cell in confusion.rows[1][2:4]] == [2 / 8, 6 / 8]
    assert "a, by the models of b+c" in confusion.title
    assert confusion.notes == ["Most often: happy, 56.25 %."]  # seven of eight happy ones, and two sad
    assert "| tested on | trained on |" in table.markdown()


def test_command(lab, capsys, monkeypatch):
    root, answer = lab
    monkeypatch.chdir(root)
    answer("ours", ["a-1"])
    main(["left_out", "--exp", "exp/ours", "--out", "exp/table", "--resamples", "100"])
    assert "| a " in capsys.readouterr().out
    found = json.loads((root / "exp/table.json").read_text())
    assert found["about"]["kind"] == "left_out"


def test_faults(lab):
    root, answer = lab
    ours, partial = answer("ours", []), answer("partial", [], without=("a",))
    corpus = Corpus.read(root / "data")
    with pytest.raises(UserError, match=r"partial: has no model of b\+c that tests a; run the same folds"):
        left_out.table([ours, partial], corpus, resamples=10)
    assert len(left_out.table([partial], corpus, resamples=10).rows) == 2
