import errno
import os
from pathlib import Path

import pytest

from m4ser.data.datadir import DataDir, Utterance
from m4ser.data.folds import Folds, choose_dev_speakers, speaker_folds
from m4ser.data.origin import read_origins
from m4ser.recipes import recipe

LABELS = ["happy", "sad"]
EXPECTED = {"utterances": 8, "speakers": 4, "labels": {"happy": 4, "sad": 4}, "sets": {"all": 8}}


def utterances(corpus_dir, args=None):
    for path in sorted(corpus_dir.glob("*.wav")):
        speaker, emotion = path.stem.split("_")
        yield Utterance(f"{speaker}-{emotion}", Path(path.name), speaker, emotion, text="Oh no")


def folds(found):
    utt2spk = {utt.utt_id: utt.speaker for utt in found}
    groups = [[speaker] for speaker in ("a", "b", "c", "d")]
    return Folds("toy", "leave one out", folds=speaker_folds(utt2spk, groups, choose_dev_speakers(groups, 1)))


@pytest.fixture
def corpus(tmp_path):
    folder = tmp_path / "ein Körpus"
    folder.mkdir()
    for speaker in "abcd":
        for emotion in LABELS:
            (folder / f"{speaker}_{emotion}.wav").write_bytes(b"audio")
    return folder


def run(corpus, out, *options, **kwargs):
    arguments = {"utterances": utterances, "folds": folds, "labels": LABELS, "expected": EXPECTED, **kwargs}
    recipe.run(**arguments, cmd=["--corpus-dir", str(corpus), "--out", str(out), *options])


def fails(capsys, *args, **kwargs):
    """Run, expect failure, return the one line that says why."""
    with pytest.raises(SystemExit) as stop:
        run(*args, **kwargs)
    message = str(stop.value)
    assert message.startswith("error: ")
    assert "\n" not in message
    return message


def test_whose_the_corpus_is(tmp_path, corpus):
    origin = {"name": "Toy corpus", "licence": "cc0-1.0", "languages": ["en"], "address": "https://toy"}
    run(corpus, tmp_path / "data", origin=origin)
    assert read_origins(tmp_path / "data") == {"toy-corpus": origin}
    run(corpus, tmp_path / "data")
    assert read_origins(tmp_path / "data") == {}


def test_writes_data_labels_and_folds(tmp_path, corpus, capsys):
    out = tmp_path / "data"
    run(corpus, out)
    data = DataDir.read(out / "all")
    data.validate(LABELS)
    assert data.maps["wav.scp"]["a-sad"] == str(corpus / "a_sad.wav")
    assert (out / "labels.txt").read_text() == "happy\nsad\n"
    stored = Folds.read(out / "folds.json", data.maps["utt2spk"])
    assert (stored.sets, stored.labels, list(stored.folds)) == (["all"], LABELS, ["1", "2", "3", "4"])
    shown = capsys.readouterr().out
    assert [line.split() for line in shown.splitlines()[:5]] == [
        ["all"], ["happy", "4"], ["sad", "4"], ["utterances", "8"], ["speakers", "4"],
    ]  # fmt: skip
    assert shown.splitlines()[-1].split() == ["4", "4", "2", "2", "2/1/1", "100.0", "%"]


def test_again_gives_the_same(tmp_path, corpus):
    def content():
        files = sorted(file for file in tmp_path.rglob("data/**/*") if file.is_file())
        return {file: file.read_text().replace("UTC", "") for file in files if file.name != "folds.json"}

    run(corpus, tmp_path / "data")
    first = content()
    run(corpus, tmp_path / "data")
    assert content() == first


def test_missing_corpus(tmp_path, capsys):
    message = fails(capsys, tmp_path / "nowhere", tmp_path / "data", obtain="https://example.org")
    assert "nowhere: no such corpus folder" in message
    assert "https://example.org" in message
    (tmp_path / "empty").mkdir()
    assert "no utterances found" in fails(capsys, tmp_path / "empty", tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_incomplete_corpus(tmp_path, corpus, capsys):
    (corpus / "d_sad.wav").unlink()
    message = fails(capsys, corpus, tmp_path / "data", obtain="https://example.org")
    assert "7 utterances instead of 8, 3 sad instead of 4, 7 all instead of 8" in message
    assert "https://example.org" in message
    assert "--allow-partial true" in message
    assert not (tmp_path / "data").exists()
    run(corpus, tmp_path / "data", "--allow-partial", "true")
    assert len(DataDir.read(tmp_path / "data" / "all").utts) == 7
    assert "warning:" in capsys.readouterr().err


def test_folds_without_speakers_are_left_out_of_a_partial_corpus(tmp_path, corpus, capsys):
    for path in corpus.glob("b_*"):
        path.unlink()
    run(corpus, tmp_path / "data", "--allow-partial", "true")
    assert list(Folds.read(tmp_path / "data" / "folds.json").folds) == ["3", "4"]  # b tests in 2 and is dev in 1
    assert "fold 2 is left out" in capsys.readouterr().err


def test_unknown_label_and_missing_audio_write_nothing(tmp_path, corpus, capsys):
    assert "unknown emotion 'sad'" in fails(capsys, corpus, tmp_path / "data", labels=["happy", "blue"], expected={})

    def invented(corpus_dir, args):
        yield Utterance("a-x", Path("gone.wav"), "a", "sad")

    message = fails(capsys, corpus, tmp_path / "data", utterances=invented, expected={})
    assert "gone.wav" in message
    assert not (tmp_path / "data").exists()


def test_shared_speakers_write_nothing(tmp_path, corpus, capsys):
    def leaky(found):
        made = folds(found)
        made.folds["1"].train.append(made.folds["1"].test.pop())
        return made

    assert "train and test share 1 speaker(s): a" in fails(capsys, corpus, tmp_path / "data", folds=leaky)
    assert not (tmp_path / "data").exists()


def test_official_sets(tmp_path, corpus):
    def split(corpus_dir, args):
        for utt in utterances(corpus_dir):
            utt.set = {"c": "dev", "d": "test"}.get(utt.speaker, "train")
            yield utt

    run(corpus, tmp_path / "data", utterances=split, expected={"sets": {"train": 4, "dev": 2, "test": 2}})
    assert Folds.read(tmp_path / "data" / "folds.json").sets == ["dev", "test", "train"]
    assert DataDir.read(tmp_path / "data" / "dev").utts == ["c-happy", "c-sad"]


def test_protocols_and_own_options(tmp_path, corpus):
    def lower(corpus_dir, args):
        for utt in utterances(corpus_dir):
            if args.protocol == "one" and utt.emotion != args.only:
                continue
            yield utt

    protocols = {"two": recipe.Protocol(LABELS, folds, EXPECTED), "one": recipe.Protocol(["sad"], folds)}
    for options, labels in (((), "happy\nsad\n"), (("--protocol", "one", "--only", "sad"), "sad\n")):
        run(
            corpus,
            tmp_path / "data",
            *options,
            utterances=lower,
            protocols=protocols,
            add_arguments=lambda parser: parser.add_argument("--only"),
        )
        assert (tmp_path / "data" / "labels.txt").read_text() == labels


def test_full_disk(tmp_path, corpus, capsys, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    assert "no space left" in fails(capsys, corpus, tmp_path / "data")
    assert [path for path in tmp_path.rglob("data/*") if path.name != "data"] == []


def test_killed_before_the_end_leaves_no_folds(tmp_path, corpus, monkeypatch):
    run(corpus, tmp_path / "data")
    with monkeypatch.context() as patch:
        patch.setattr(DataDir, "save", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(SystemExit, match="interrupted"):
            run(corpus, tmp_path / "data")
    assert not (tmp_path / "data" / "folds.json").exists()
    run(corpus, tmp_path / "data")
    assert (tmp_path / "data" / "folds.json").exists()
