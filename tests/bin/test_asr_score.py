import json
import shutil

import pytest

from m4ser.bin.asr_score import main
from m4ser.data.scp import write_scp
from m4ser.utils.files import write_json


@pytest.fixture
def corpus(tmp_path):
    """One set of three utterances, two of them recognised with errors."""
    audio, asr = tmp_path / "audio/all", tmp_path / "asr/all"
    write_scp(audio / "wav.scp", {utt: f"/nowhere/{utt}.flac" for utt in ("s1-a", "s1-b", "s2-a")})
    write_scp(audio / "text", {"s1-a": "I am here.", "s1-b": "Go home now!", "s2-a": "No."})
    write_scp(audio / "utt2spk", {"s1-a": "s1", "s1-b": "s1", "s2-a": "s2"})
    write_scp(audio / "utt2emo", {"s1-a": "sad", "s1-b": "angry", "s2-a": "angry"})
    write_scp(asr / "text", {"s1-a": "I'm here.", "s1-b": "Go on now!", "s2-a": ""})
    write_json(
        asr / "decode.json", {"asr": "x", "real_time_factor": 0.2, "looping_hypotheses": 4, "loop_rule": "the rule"}
    )
    return tmp_path


def run(corpus, *words):
    main(["--data-dir", str(corpus / "audio"), "--asr-dir", str(corpus / "asr"), *words])
    return json.loads((corpus / "asr/all/wer.json").read_text(encoding="utf-8"))


def test_report(corpus, capsys):
    found = run(corpus)
    assert found["normalised"] == {"sub": 1, "del": 1, "ins": 0, "words": 7, "wer": 2 / 7}
    assert found["raw"] == {"sub": 2, "del": 2, "ins": 0, "words": 7, "wer": 4 / 7}
    assert found["by_emotion"]["sad"]["normalised"]["wer"] == 0
    assert found["by_speaker"]["s2"]["normalised"]["wer"] == 1
    assert found["empty_hypotheses"] == 1
    assert found["looping_hypotheses"] == 4 and found["loop_rule"] == "the rule"
    assert found["asr"] == "x" and found["real_time_factor"] == 0.2
    assert "all: WER 28.6 % (sub 14.3, del 14.3, ins 0.0) with the english normaliser" in capsys.readouterr().out


def test_normaliser_none_counts_what_is_written(corpus):
    found = run(corpus, "--normaliser", "none")
    assert found["normalised"] == found["raw"]
    assert found["normaliser"] == "none"


def test_what_nobody_has_written_down_is_no_error(corpus, capsys):
    write_scp(corpus / "audio/all/text", {"s1-a": "I am here.", "s1-b": "", "s2-a": "No."})
    found = run(corpus)
    assert found["normalised"] == {"sub": 0, "del": 1, "ins": 0, "words": 4, "wer": 0.25}
    assert (found["utterances"], found["without_reference"]) == (2, 1)
    assert "; 1 without reference do not count" in capsys.readouterr().out


def test_corpus_without_transcripts_has_no_wer(corpus, capsys):
    write_scp(corpus / "audio/all/text", {"s1-a": "", "s1-b": "", "s2-a": ""})
    assert run(corpus)["normalised"] is None
    assert "there are no reference transcripts" in capsys.readouterr().out
    (corpus / "audio/all/text").unlink()
    assert run(corpus)["normalised"] is None


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda text: text.unlink(), "no such file; run stage 2"),
        (lambda text: text.write_text("s1-a I'm here.\n"), "lacks 2 utterance(s)"),
        (lambda text: text.write_text("s1-a x\ns1-b x\ns2-a x\ns2-b x\n"), "has 1 utterance(s) that"),
        (lambda text: text.write_text("s1-a a\ns1-b b\ns1-c c\ns2-a d\n"), "has 1 utterance(s) that"),
        (lambda text: text.write_bytes(b"s1-a x\r\ns1-b y\r\n"), "line 1 ends in CRLF"),
        (lambda text: text.write_bytes(b"\xef\xbb\xbfs1-a x\n"), "byte order mark"),
        (lambda text: text.write_text("s1-b y\ns1-a x\n"), "sort the file"),
    ],
)
def test_bad_text_is_one_line_of_error(corpus, change, why):
    change(corpus / "asr/all/text")
    with pytest.raises(SystemExit) as error:
        run(corpus)
    assert str(error.value).startswith(f"error: {corpus / 'asr/all/text'}: ")
    assert why in str(error.value)
    assert not (corpus / "asr/all/wer.json").exists()


def test_unknown_normaliser(corpus):
    with pytest.raises(SystemExit, match="--normaliser german: unknown"):
        run(corpus, "--normaliser", "german")


def test_before_stage_1(corpus):
    shutil.rmtree(corpus / "audio")
    with pytest.raises(SystemExit, match=r"audio: no data directories in it; run stage 1"):
        run(corpus)


def test_nothing_is_written_before_every_set_is_good(corpus):
    shutil.copytree(corpus / "audio/all", corpus / "audio/later")
    with pytest.raises(SystemExit, match=r"asr/later/text: no such file; run stage 2"):
        run(corpus)
    assert not (corpus / "asr/all/wer.json").exists()
