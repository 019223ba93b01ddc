import pytest

from m4ser.asr.texts import read_hypotheses, read_references, transcripts
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
