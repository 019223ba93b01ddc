"""Collecting the runs of an experiment: complete, partial, damaged, of another protocol."""

import numpy as np
import pytest

from m4ser.data.corpus import Corpus
from m4ser.data.folds import Folds
from m4ser.data.scp import read_scp, write_scp
from m4ser.scoring.runs import collect, majority
from m4ser.utils.errors import UserError
from m4ser.utils.files import read_json, write_json


def test_complete(scoring_lab):
    found = collect(scoring_lab.system("one", 0.7), Corpus.read(scoring_lab.data))
    assert not found.partial and found.seeds == ["1", "2"] and found.folds == ["1", "2", "3"]
    assert found.hyp.shape == (2, 72) and (found.hyp >= 0).all() and len(set(found.items)) == 72
    assert found.probabilities.argmax(-1).tolist() == found.hyp.tolist()
    assert found.confusions().shape == (2, 3, 3) and found.confusions().sum() == 144
    matrices, unit = found.cluster_confusions()
    assert unit == "speaker" and matrices.shape == (2, 12, 3, 3)
    assert (matrices.sum(1) == found.confusions()).all()


def test_a_missing_run_is_named_and_not_counted_as_wrong(scoring_lab, capsys):
    exp = scoring_lab.system("one", 1.0)
    (exp / "fold2" / "seed1" / "predictions_test.tsv").unlink()
    found = collect(exp, Corpus.read(scoring_lab.data))
    assert found.partial and found.missing == [("1", "2")]
    (note,) = capsys.readouterr().err.splitlines()
    assert note.startswith("note: ") and "fold2/seed1: no predictions_test.tsv" in note
    one, two = found.confusions()
    assert one.sum() == 48 and two.sum() == 72 and np.trace(one) == 48


def test_a_fold_or_seed_without_any_run_is_missing(scoring_lab):
    exp = scoring_lab.system("one", 0.7)
    for file in [*exp.glob("fold3/*/*.tsv"), *exp.glob("*/seed2/*.tsv")]:
        file.unlink(missing_ok=True)
    found = collect(exp, Corpus.read(scoring_lab.data))
    assert found.seeds == ["1"] and found.folds == ["1", "2"] and len(found.items) == 48
    assert found.missing == [("1", "3"), ("2", "1"), ("2", "2"), ("2", "3")]


def test_chosen_folds_and_seeds(scoring_lab, capsys):
    exp = scoring_lab.system("one", 0.7)
    found = collect(exp, Corpus.read(scoring_lab.data), seeds=["2"], folds=["1", "3"])
    assert found.seeds == ["2"] and len(found.items) == 48
    assert found.partial and found.missing == [("2", "2")]  # fewer folds than the protocol has
    assert capsys.readouterr().err == f"note: {exp}: seed 1 is there but not asked for and not used\n"
    everything = collect(exp, Corpus.read(scoring_lab.data), folds=["all"])
    assert everything.folds == ["1", "2", "3"] and not everything.partial
    with pytest.raises(UserError, match="there is no fold 7"):
        collect(exp, Corpus.read(scoring_lab.data), folds=["7"])


def test_dev_utterances_may_be_in_several_folds(scoring_lab):
    data = scoring_lab.data
    folds = Folds.read(data / "folds.json")
    folds.folds["2"].dev = folds.folds["3"].dev
    folds.folds["2"].train = [utt for utt in folds.folds["2"].train if utt not in folds.folds["2"].dev]
    folds.write(data / "folds.json")
    exp = scoring_lab.system("one", 0.7)
    for seed in ("seed1", "seed2"):
        content = (exp / "fold3" / seed / "predictions_dev.tsv").read_text()
        (exp / "fold2" / seed / "predictions_dev.tsv").write_text(content)
    assert len(collect(exp, Corpus.read(data), "dev").items) == 36


def test_an_utterance_tested_twice_is_refused(scoring_lab):
    folds = Folds.read(scoring_lab.data / "folds.json")
    folds.folds["3"] = folds.folds["1"]
    folds.write(scoring_lab.data / "folds.json")
    with pytest.raises(UserError, match="is tested in folds 1 and 3"):
        collect(scoring_lab.system("one", 0.7), Corpus.read(scoring_lab.data))


def test_nothing_predicted(scoring_lab):
    corpus = Corpus.read(scoring_lab.data)
    with pytest.raises(UserError, match="no such folder; run stage 4"):
        collect(scoring_lab.root / "nowhere", corpus)
    (scoring_lab.root / "empty").mkdir()
    with pytest.raises(UserError, match="has no fold"):
        collect(scoring_lab.root / "empty", corpus)
    with pytest.raises(UserError, match="no predictions for the seeds and folds asked for"):
        collect(scoring_lab.system("one", 0.7), corpus, seeds=["9"])


def test_other_protocol_or_labels(scoring_lab):
    corpus = Corpus.read(scoring_lab.data)
    with pytest.raises(UserError, match=r"made with protocol 'other', but .* has 'toy-3fold'"):
        collect(scoring_lab.system("one", 0.7, protocol="other"), corpus)
    with pytest.raises(UserError, match=r"made with labels 'angry happy', but .* has 'angry happy sad'"):
        collect(scoring_lab.system("two", 0.7, labels=["angry", "happy"]), corpus)


def test_changed_references(scoring_lab):
    exp, emotions = scoring_lab.system("one", 0.7), scoring_lab.data / "all" / "utt2emo"
    write_scp(emotions, read_scp(emotions) | {"s00-0": "sad"})
    with pytest.raises(UserError, match=r"s00-0 has the reference 'angry', but utt2emo .* says 'sad'"):
        collect(exp, Corpus.read(scoring_lab.data))


def test_changed_speaker(scoring_lab):
    exp = scoring_lab.system("one", 0.7)
    file = exp / "fold1" / "seed1" / "predictions_test.tsv"
    file.write_text(file.read_text().replace("s00-0\ts00", "s00-0\ts01"))
    with pytest.raises(UserError, match=r"s00-0 has the speaker 's01', but utt2spk .* says 's00'"):
        collect(exp, Corpus.read(scoring_lab.data))


def test_without_run_json_seeds_are_those_found(scoring_lab):
    exp = scoring_lab.system("one", 0.7, seeds=(2, 10))
    (exp / "run.json").unlink()
    found = collect(exp, Corpus.read(scoring_lab.data))
    assert found.seeds == ["2", "10"] and found.tag == "one"


def test_skipped_recordings_need_no_prediction(scoring_lab):
    exp, audio = scoring_lab.system("one", 0.7), scoring_lab.root / "audio"
    for file in exp.glob("*/*/predictions_test.tsv"):
        file.write_text("".join(line for line in file.open() if not line.startswith("s05-3")))
    with pytest.raises(UserError, match="no prediction for s05-3"):
        collect(exp, Corpus.read(scoring_lab.data, audio))
    (audio / "all").mkdir(parents=True)
    (audio / "all" / "skipped.tsv").write_text("utt\tfile\treason\ns05-3\t/x.wav\tall samples are zero\n")
    found = collect(exp, Corpus.read(scoring_lab.data, audio))
    assert len(found.items) == 71 and not found.partial


def test_majority_comes_from_the_training_part(scoring_lab):
    emotions = scoring_lab.data / "all" / "utt2emo"
    # speakers 4 to 11, who train fold 1, are mostly sad; s00 to s03, its test speakers, always angry
    changed = {u: "angry" if u < "s04" else e if u.endswith("0") else "sad" for u, e in read_scp(emotions).items()}
    write_scp(emotions, changed)
    exp = scoring_lab.system("one", 0.7)
    for file in exp.glob("*/*/*.tsv"):
        lines = [line.split("\t") for line in file.read_text().splitlines()]
        file.write_text("\n".join("\t".join([*x[:2], changed.get(x[0], "ref"), *x[3:]]) for x in lines) + "\n")
    corpus = Corpus.read(scoring_lab.data)
    found = collect(exp, corpus)
    assert majority(found, corpus).hyp[0][found.fold == "1"].tolist() == [2] * 24


def test_damaged_run_json(scoring_lab):
    exp = scoring_lab.system("one", 0.7)
    write_json(exp / "run.json", {k: v for k, v in read_json(exp / "run.json").items() if k == "tag"})
    assert collect(exp, Corpus.read(scoring_lab.data)).seeds == ["1", "2"]  # all optional keys absent
    (exp / "run.json").write_text("{")
    with pytest.raises(UserError, match=r"run\.json: damaged, is not JSON; delete it and run stage 4"):
        collect(exp, Corpus.read(scoring_lab.data))
