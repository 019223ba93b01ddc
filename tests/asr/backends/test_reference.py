import csv
import random
from pathlib import Path

import pytest

from m4ser.asr.backends import build_backend
from m4ser.asr.wer import report, word_errors
from m4ser.utils.errors import UserError


def transcripts(count=800):
    """Two sentences that differ in two words, as in RAVDESS: the hardest vocabulary to hit a rate with."""
    sentences = "Kids are talking by the door.", "Dogs are sitting by the door."
    return {f"s{i % 24:02d}-{i:04d}": sentences[i % 2] for i in range(count)}


def many_words(count=500):
    rng = random.Random(0)
    vocabulary = [f"{a}{b}o{c}e" for a in "bdfklmnprst" for b in "aiu" for c in "bdfgkmnprs"]
    return {f"u{i:04d}": " ".join(rng.choices(vocabulary, k=rng.randint(0, 20))) for i in range(count)}


def sentences():
    """Those of the mini corpus: 640 sentences with the word frequencies of English."""
    with open(Path(__file__).parents[3] / "egs/mini/corpus/metadata.tsv", encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return {row["utt_id"]: row["transcript"] for row in rows}


def hypotheses(references, utts=None, **settings):
    utts = list(utts or references)
    backend = build_backend("reference", references=references, **settings)
    return dict(zip(utts, (h.text for h in backend.transcribe_batch([], utts)), strict=True))


def test_gold_text_as_it_is_written():
    laughter = "ha " * 11 + "ha"
    assert hypotheses({"u1": "I'm  here.", "u2": "", "u3": laughter}) == {"u1": "I'm here.", "u2": "", "u3": laughter}


@pytest.mark.parametrize("references", [transcripts(), many_words()], ids=["two sentences", "many words"])
@pytest.mark.parametrize("wer", [0.1, 0.2, 0.4])
def test_wer_is_the_wanted_one(references, wer):
    normal = {utt: text.lower().replace(".", "") for utt, text in references.items()}
    found = word_errors(normal.values(), hypotheses(references, wer=wer).values())
    assert found["wer"] == pytest.approx(wer, abs=0.005)
    assert found["sub"] > found["del"] > found["ins"] > 0


@pytest.mark.parametrize("wer", [0.1, 0.2, 0.4])
def test_wer_of_real_sentences_is_the_wanted_one(wer):
    references = sentences()
    found = report(references, hypotheses(references, wer=wer))["normalised"]
    assert found["words"] > 4000
    assert found["wer"] == pytest.approx(wer, abs=0.005)


def test_result_depends_on_the_utterance_not_on_the_share():
    references = transcripts(60)
    whole = hypotheses(references, wer=0.3)
    assert hypotheses(references, sorted(references)[7:9][::-1], wer=0.3).items() <= whole.items()
    assert hypotheses(references, wer=0.3) == whole
    assert hypotheses(references, wer=0.3, seed=2) != whole


@pytest.mark.parametrize("wer", [-0.1, 0.9])
def test_rate_out_of_range(wer):
    with pytest.raises(UserError, match=r"must be 0 to 0\.8, a fraction of one"):
        build_backend("reference", references={"u": "x"}, wer=wer)


@pytest.mark.parametrize("references", [None, {}, {"u1": ""}])
def test_no_transcripts(references):
    with pytest.raises(UserError, match="there are no reference transcripts"):
        build_backend("reference", references=references)


def test_utterance_without_transcript():
    with pytest.raises(UserError, match="'u2' has no reference transcript"):
        hypotheses({"u1": "x"}, ["u2"])
