import pytest

from m4ser.asr.normalise import normaliser
from m4ser.asr.texts import (
    confidences_of_normalised,
    read_hypotheses,
    read_references,
    read_word_confidences,
    transcripts,
)
from m4ser.data.scp import write_scp
from m4ser.utils.errors import UserError


@pytest.fixture
def audio(tmp_path):
    """Two sets as stage 1 leaves them, audio files and all transcripts of one missing."""
    for name, texts in {"train": {"a": "Yes.", "b": ""}, "test": {"c": ""}}.items():
        folder = tmp_path / "audio" / name
        write_scp(folder / "wav.scp", {utt: f"/nowhere/{utt}.flac" for utt in texts})
        write_scp(folder / "utt2spk", dict.fromkeys(texts, "s"))
        write_scp(folder / "text", texts)
    return tmp_path / "audio"


def test_references(audio):
    sets = read_references(audio)
    assert list(sets) == ["test", "train"]
    assert transcripts(sets["train"]) == {"a": "Yes."} and transcripts(sets["test"]) == {}
    (audio / "test/text").unlink()
    assert transcripts(read_references(audio, ["test"])["test"]) == {}


def test_references_before_stage_1(audio, tmp_path):
    with pytest.raises(UserError, match=r"nowhere: no data directories in it; run stage 1"):
        read_references(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"dev/utt2spk: no such file; run stage 1"):
        read_references(audio, ["train", "dev"])


def test_hypotheses_are_of_exactly_these_utterances(audio, tmp_path):
    data = read_references(audio)["train"]
    with pytest.raises(UserError, match=r"text: no such file; run stage 2"):
        read_hypotheses(tmp_path / "asr", data)
    for texts, fault in (({"a": "x"}, "lacks 1 .* e.g. 'b'"), ({"a": "x", "b": "", "c": "y"}, "has 1 .* e.g. 'c'")):
        write_scp(tmp_path / "asr/text", texts)
        with pytest.raises(UserError, match=fault):
            read_hypotheses(tmp_path / "asr", data)
    write_scp(tmp_path / "asr/text", {"a": "x", "b": ""})
    assert read_hypotheses(tmp_path / "asr", data) == {"a": "x", "b": ""}


def test_word_confidences_fit_the_words(tmp_path):
    texts = {"a": "Yes, sir.", "b": ""}
    assert read_word_confidences(tmp_path, texts) == {}
    write_scp(tmp_path / "word_confidence", {"a": "0.5 0.25", "b": ""})
    assert read_word_confidences(tmp_path, texts) == {"a": [0.5, 0.25], "b": []}
    for line in ("0.5", "0.5 1.25", "0.5 nan", "0.5 x"):
        write_scp(tmp_path / "word_confidence", {"a": line})
        with pytest.raises(UserError, match="word_confidence: a has not one number from 0 to 1 for each of its words"):
            read_word_confidences(tmp_path, texts)


@pytest.mark.parametrize(
    ("text", "confidences", "words", "expected"),
    [
        ("Well, I don't know...", [0.1, 0.2, 0.3, 0.4], "well i do not know", [0.1, 0.2, 0.3, 0.3, 0.4]),
        ("twenty three dogs", [0.2, 0.4, 0.9], "23 dogs", [0.3, 0.9]),
        ("um yes", [0.2, 0.4], "yes", [0.4]),
        ("- yes", [0.2, 0.4], "yes", [0.4]),
        ("", [], "", []),
    ],
)
def test_confidences_follow_words_through_normalisation(text, confidences, words, expected):
    normalise = normaliser("english")
    assert normalise(text) == words
    found = confidences_of_normalised(text, confidences, words.split(), normalise)
    assert found == pytest.approx(expected)
