"""Dumps of other recipes joined: words with the recogniser's confidences, both sides of pairs."""

import pytest

from m4ser.asr.texts import read_hypotheses, read_word_confidences
from m4ser.data.datadir import DataDir, Utterance
from m4ser.data.folds import Folds
from m4ser.data.scp import read_scp, write_scp
from m4ser.stages.joining import join, markers
from m4ser.utils.errors import UserError
from m4ser.utils.files import write_json

INFO = {"encoder": "e", "layers": [0], "dim": 8, "frame_rate": 6.25}
ASR = "asr/r"


@pytest.fixture
def pairs(tmp_path, monkeypatch):
    """Two pairs of one clip, and the dumps of its recipe (`v`) and that of the lines (`w`), which has two sets."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.flac").touch()
    data = DataDir.write(
        "data/all",
        [
            Utterance(
                f"s-c+{line}", tmp_path / "a.flac", "s", "joy", "so nice", extra={"utt2clip": "s-c", "utt2line": line}
            )
            for line in ("x-1", "y-2")
        ],
    )
    sides = {name: {"data": f"{name}/data/babble0", "dump": f"{name}/dump", "protocol": "p"} for name in "vw"}
    Folds("p", "", labels=["joy"], paired={"voices": sides["v"], "words": sides["w"]}).write("data/folds.json")
    for step in ("v/dump/audio", "v/dump/feats/e"):
        write_scp(tmp_path / step / "all/utt2num_samples", {"s-c": "1600", "s-other": "9"})
        (tmp_path / step / ".done").touch()
    feats = tmp_path / "v/dump/feats/e/all"
    write_scp(feats / "feats.scp", {"s-c": "/f.ark:5"})
    write_scp(feats / "utt2num_frames", {"s-c": "6"})
    write_json(feats / "info.json", INFO)
    for name, utt, text, confidences in (("train", "x-1", "so", "0.5000"), ("test", "y-2", "", "")):
        write_scp(tmp_path / "w/dump" / ASR / name / "text", {utt: text})
        write_scp(tmp_path / "w/dump" / ASR / name / "word_confidence", {utt: confidences})
    (tmp_path / "w/dump" / ASR / ".done").touch()
    return data


def joined(tmp_path, kind):
    return join(tmp_path / "data", tmp_path / "dump", tmp_path / "dump" / kind)


def test_voices_and_words_of_pairs(tmp_path, pairs):
    data, dump = tmp_path / "data", tmp_path / "dump"
    assert joined(tmp_path, "audio") == [f"{dump}/audio/all: 2 utterances of v/dump/audio"]
    audio = DataDir.read(dump / "audio/all")
    assert audio.maps["utt2num_samples"] == {"s-c+x-1": "1600", "s-c+y-2": "1600"}
    assert audio.maps["utt2line"] == {"s-c+x-1": "x-1", "s-c+y-2": "y-2"}
    joined(tmp_path, "feats/e")
    assert read_scp(dump / "feats/e/all/feats.scp") == {"s-c+x-1": "/f.ark:5", "s-c+y-2": "/f.ark:5"}
    joined(tmp_path, ASR)
    texts = read_hypotheses(dump / ASR / "all", pairs)
    assert texts == {"s-c+x-1": "so", "s-c+y-2": ""}
    assert read_word_confidences(dump / ASR / "all", texts) == {"s-c+x-1": [0.5], "s-c+y-2": []}
    assert [str(path) for path in markers(data, dump, dump / "feats/e")] == ["v/dump/feats/e/.done"]
    assert [str(path) for path in markers(data, dump, dump / ASR)] == ["w/dump/asr/r/.done"]


def test_no_confidences_where_some_have_none(tmp_path, pairs):
    joined(tmp_path, "audio")
    joined(tmp_path, ASR)
    (tmp_path / "w/dump" / ASR / "test/word_confidence").unlink()
    joined(tmp_path, ASR)
    assert not (tmp_path / "dump" / ASR / "all/word_confidence").exists()


def test_what_other_recipes_have_to_do_first(tmp_path, pairs):
    joined(tmp_path, "audio")
    (tmp_path / "w/dump" / ASR / "train/text").write_text("z-3 so\n")
    with pytest.raises(
        UserError, match=r"^w/dump/asr/r: text lacks 1 utterance\(s\), e\.g\. x-1; run its recipe again"
    ):
        joined(tmp_path, ASR)
    (tmp_path / "w/dump" / ASR / ".done").unlink()
    with pytest.raises(
        UserError, match=r"^w/dump/asr/r: is not there or not finished; run w/run\.sh --stop-stage 2 with"
    ):
        joined(tmp_path, ASR)
