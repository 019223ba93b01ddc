from pathlib import Path

import pytest

from m4ser.data.datadir import DataDir, Utterance, class_counts, find_sets, read_sets, spk2utt
from m4ser.data.scp import write_scp
from m4ser.utils.errors import UserError

LABELS = ["happy", "sad"]


@pytest.fixture
def corpus(tmp_path):
    """Three utterances of two speakers; the audio files exist but are not looked into. Odd names on purpose."""
    root = tmp_path / "Körpus mit Leerzeichen"
    root.mkdir()
    for name in ("x1", "x2", "y1"):
        (root / f"{name} é.wav").write_bytes(b"audio")
    return root


@pytest.fixture
def utterances():
    rows = [
        ("y-1", "y1", "y", "sad", ""),
        ("x-2", "x2", "x", "happy", "so\n  nice"),
        ("x-1", "x1", "x", "sad", "oh no"),
    ]
    return [
        Utterance(utt, Path(f"{wav} é.wav"), spk, emo, text, extra={"utt2domain": "test"})
        for utt, wav, spk, emo, text in rows
    ]


@pytest.fixture
def data(tmp_path, corpus, utterances):
    return DataDir.write(tmp_path / "data" / "all", utterances, corpus)


def test_round_trip(tmp_path, data, corpus):
    read = DataDir.read(data.path)
    assert read.maps == data.maps
    assert read.utts == ["x-1", "x-2", "y-1"]
    assert read.maps["text"] == {"x-1": "oh no", "x-2": "so nice", "y-1": ""}
    assert read.maps["spk2utt"] == {"x": "x-1 x-2", "y": "y-1"}
    assert read.maps["wav.scp"]["x-1"] == str(corpus / "x1 é.wav")
    assert read.maps["utt2domain"]["y-1"] == "test"
    assert read.audio("x-1") == (str(corpus / "x1 é.wav"), None, None)
    read.validate(LABELS)


def test_segments_share_recordings(tmp_path, corpus):
    utterances = [
        Utterance("x-b", Path("x1 é.wav"), "x", "sad", start=0.5, end=1.25),
        Utterance("x-a", Path("x1 é.wav"), "x", "happy", start=0, end=0.5),
        Utterance("y-a", Path("y1 é.wav"), "y", "sad", start=2, end=3),
    ]
    data = DataDir.write(tmp_path / "all", utterances, corpus)
    data.validate(LABELS)
    assert len(data.maps["wav.scp"]) == 2
    assert data.audio("x-b") == (str(corpus / "x1 é.wav"), 0.5, 1.25)
    assert len(data.subset(["x-b"]).maps["wav.scp"]) == 1
    utterances[0].end = None
    with pytest.raises(UserError, match=r"'x-b' has no start and end"):
        DataDir.from_utterances(tmp_path / "all", utterances, corpus)


def test_duplicate_utterance_id(tmp_path, utterances):
    with pytest.raises(UserError, match=r"utterance id 'x-1' occurs twice"):
        DataDir.write(tmp_path / "all", [*utterances, utterances[-1]])
    assert not (tmp_path / "all").exists()


@pytest.mark.parametrize("name", ["text", "utt2emo", "utt2domain", "wav.scp"])
def test_id_in_one_file_and_not_in_another(data, name):
    del data.maps[name]["x-2"]
    with pytest.raises(UserError, match=rf"{name}: 1 id\(s\) of utt2spk are missing, e.g. 'x-2'; add them"):
        data.validate(LABELS)
    data.maps[name] |= {"x-2": "happy", "z-1": "sad"}
    with pytest.raises(UserError, match=rf"{name}: 1 id\(s\) are not in utt2spk, e.g. 'z-1'; delete them"):
        data.validate(LABELS)


def test_unknown_label(data):
    data.maps["utt2emo"]["x-1"] = "hapy"
    with pytest.raises(UserError, match=r"utt2emo: 'x-1' has the unknown emotion 'hapy'.*\(happy sad\)"):
        data.validate(LABELS)
    data.validate()


def test_missing_list_and_folder(data):
    (data.path / "text").unlink()
    with pytest.raises(UserError, match=r"text: no such file"):
        DataDir.read(data.path).validate(LABELS)
    with pytest.raises(UserError, match=r"elsewhere: no such data directory; run the stage"):
        DataDir.read(data.path / "elsewhere")


def test_inconsistent_speakers(data):
    data.maps["spk2utt"]["x"] = "x-1"
    with pytest.raises(UserError, match=r"spk2utt: 'x' does not agree with utt2spk"):
        data.validate()
    data.maps["spk2utt"] = {"x": "x-1 x-2", "y": "y-1", "z": "x-1"}
    with pytest.raises(UserError, match=r"spk2utt: has speakers that are not in utt2spk"):
        data.validate()


def test_missing_audio_file(data, corpus):
    (corpus / "x2 é.wav").unlink()
    (corpus / "y1 é.wav").unlink()
    with pytest.raises(UserError, match=r"wav.scp: the audio file of 'x-2' does not exist: .*x2 é.wav \(and 1 more\)"):
        data.validate()
    data.validate(check_audio=False)


def test_pipes_are_refused(data):
    data.maps["wav.scp"]["x-1"] = "sox a.wav -t wav - |"
    with pytest.raises(UserError, match=r"wav.scp: 'x-1' is a command"):
        data.validate()


@pytest.mark.parametrize("utt", ["a/b", ".hidden", "x" * 201, "声" * 67])
def test_ids_must_be_possible_file_names(tmp_path, corpus, utt):
    data = DataDir.from_utterances(tmp_path, [Utterance(utt, Path("x1 é.wav"), "x", "sad")], corpus)
    with pytest.raises(UserError, match=r"utt2spk: .* cannot be a file name"):
        data.validate()


@pytest.mark.parametrize(
    "value", ["rec 1 0", "rec 0", "rec a 1", "rec -1 2", "rec nan 1", "rec 0 nan", "rec 0 inf", "rec 0 1e308"]
)
def test_malformed_segments(data, value):
    data.maps["segments"] = dict.fromkeys(data.utts, value)
    data.maps["wav.scp"] = {"rec": "x.wav"}
    with pytest.raises(UserError, match=r"segments: 'x-1' has .*must be RECORDING START END"):
        data.validate(check_audio=False)
    data.maps["segments"] = dict.fromkeys(data.utts, "other 0 1")
    with pytest.raises(UserError, match=r"segments: 'x-1' is part of 'other', which is not in wav.scp"):
        data.validate(check_audio=False)


def test_subset(data):
    part = data.subset(["y-1", "x-1"])
    assert part.utts == ["x-1", "y-1"]
    assert part.maps["spk2utt"] == {"x": "x-1", "y": "y-1"}
    part.validate(LABELS)
    with pytest.raises(UserError, match=r"1 wanted id\(s\) are missing, e.g. 'z'"):
        data.subset(["z"])


def test_combine(tmp_path, data):
    other = data.subset(["x-1"])
    rest = data.subset(["x-2", "y-1"])
    del rest.maps["utt2domain"]
    joined = DataDir.combine(tmp_path / "joined", [rest, other])
    assert joined.utts == data.utts
    assert joined.maps["spk2utt"] == data.maps["spk2utt"]
    assert "utt2domain" not in joined.maps
    joined.validate(LABELS)
    with pytest.raises(UserError, match=r"'x-1' is also in another part"):
        DataDir.combine(tmp_path / "joined", [data, other])


def test_save_into_keeps_other_files(tmp_path, data):
    (data.path / "flac").mkdir()
    write_scp(data.path / "utt2old", {"x-1": "1"})
    data.save_into(data.path)
    assert (data.path / "flac").is_dir()
    assert not (data.path / "utt2old").exists()
    assert DataDir.read(data.path).maps == data.maps


def test_find_sets(tmp_path, data):
    assert find_sets(tmp_path / "data") == ["all"]
    with pytest.raises(UserError, match=r"no data directories"):
        find_sets(tmp_path)


def test_counts():
    assert class_counts({"a": "sad", "b": "sad"}, LABELS) == {"happy": 0, "sad": 2}
    assert spk2utt({"b": "2", "a": "2", "c": "1"}) == {"1": "c", "2": "a b"}


def test_sets_of_a_folder_are_validated_with_its_labels(tmp_path):
    for name, emotion in (("train", "sad"), ("test", "hapy")):
        (tmp_path / f"{name}.wav").touch()
        DataDir.write(tmp_path / name, [Utterance("s-1", tmp_path / f"{name}.wav", "s", emotion)])
    assert sorted(read_sets(tmp_path)) == ["test", "train"]
    (tmp_path / "labels.txt").write_text("happy\nsad\n")
    assert list(read_sets(tmp_path, ["train"])) == ["train"]
    with pytest.raises(UserError, match=r"test/utt2emo: 's-1' has the unknown emotion 'hapy'"):
        read_sets(tmp_path)
    (tmp_path / "train.wav").unlink()
    with pytest.raises(UserError, match=r"train/wav.scp: the audio file of 's-1' does not exist"):
        read_sets(tmp_path, ["train"])
    assert list(read_sets(tmp_path, ["train"], check_audio=False)) == ["train"]
