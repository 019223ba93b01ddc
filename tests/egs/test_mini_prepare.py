"""The mini corpus through its own prepare.py."""

import shutil
from collections import Counter
from pathlib import Path

import pytest

CORPUS = Path(__file__).resolve().parents[2] / "egs/mini/corpus"


@pytest.fixture
def official(official):
    shutil.copytree(CORPUS, official.corpus, dirs_exist_ok=True)
    return official


def test_complete(official):
    data = official.prepare()["all"].maps
    assert Counter(data["utt2emo"].values()) == dict.fromkeys(("angry", "happy", "neutral", "sad"), 160)
    assert len(data["spk2utt"]) == 16
    utt = "f01-000"
    assert data["wav.scp"][utt] == str(official.corpus / "f01/f01-000.opus")
    assert data["text"][utt][0].isupper()
    folds = official.folds()
    assert folds.protocol == "mini-speakers-8-4-4"
    fold = folds.folds["1"]
    assert [len(part) for part in (fold.train, fold.dev, fold.test)] == [384, 112, 144]
    assert len({data["utt2spk"][utt] for utt in fold.train}) == 8


def test_wrong_corpora(official):
    table = official.corpus / "metadata.tsv"
    lines = table.read_text(encoding="utf-8").splitlines(keepends=True)
    table.write_text("".join(lines[:-1]), encoding="utf-8")
    assert "639 utterances instead of 640" in official.fails()
    table.write_text(lines[0] + lines[1].replace("\t", " ", 1), encoding="utf-8")
    assert "metadata.tsv: line 2 is damaged" in official.fails()
    table.write_text("".join(lines[1:]), encoding="utf-8")
    assert "metadata.tsv: must have the columns utt_id speaker" in official.fails()
    table.unlink()
    assert "metadata.tsv: no such file; give the folder of the mini corpus" in official.fails()
