import errno
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from m4ser.bin import format_audio
from m4ser.data import formatting, parts
from m4ser.data.datadir import DataDir, Utterance
from m4ser.data.scp import read_scp

UTTS = ["a-1", "a-2", "b-1", "b-2", "c-1"]


def tone(seconds, rate=16000):
    return 0.5 * np.sin(2 * np.pi * 300 * np.arange(int(seconds * rate)) / rate)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working folder with odd letters and data/all: five recordings of other rates and channel counts."""
    folder = tmp_path / "mein Ördner"
    folder.mkdir()
    monkeypatch.chdir(folder)
    rates = {"a-1": 48000, "a-2": 44100, "b-1": 8000, "b-2": 16000, "c-1": 22050}
    utterances = []
    for number, (utt, rate) in enumerate(rates.items()):
        sound = np.stack([tone(0.5, rate)] * (1 + number % 2), axis=1)
        soundfile.write(folder / f"{utt} é.wav", sound, rate)
        emotion = ("happy", "sad")[number % 2]
        utterances.append(Utterance(utt, Path(f"{utt} é.wav"), utt[0], emotion, "oh no", extra={"utt2domain": "x"}))
    DataDir.write("data/all", utterances)
    Path("data/labels.txt").write_text("happy\nsad\n")
    return folder


def run(*options):
    format_audio.main(list(options))


def fails(*options):
    """The one line that says why it fails."""
    with pytest.raises(SystemExit) as stop:
        run(*options)
    message = str(stop.value)
    assert message.startswith("error: ")
    assert "\n" not in message
    return message


def files():
    """Everything that was written, with its content."""
    return {str(file): file.read_bytes() for file in sorted(Path("dump").rglob("*")) if file.is_file()}


def test_everything_becomes_16k_mono_flac(here, capsys):
    run()
    data = DataDir.read("dump/audio/all")
    data.validate(["happy", "sad"])
    assert data.utts == UTTS
    for utt in UTTS:
        path = data.maps["wav.scp"][utt]
        assert path == str(here / f"dump/audio/all/flac/{utt}.flac")
        info = soundfile.info(path)
        assert (info.samplerate, info.channels, info.format, info.subtype) == (16000, 1, "FLAC", "PCM_16")
        assert info.frames == int(data.maps["utt2num_samples"][utt]) == 8000
        np.testing.assert_allclose(soundfile.read(path)[0][400:-400], tone(0.5)[400:-400], atol=0.01)
    source = DataDir.read("data/all").maps
    assert {name: data.maps[name] for name in source if name != "wav.scp"} == {
        name: entries for name, entries in source.items() if name != "wav.scp"
    }
    assert Path("dump/audio/all/skipped.tsv").read_text() == "utterance\tfile\treason\n"
    assert not Path("dump/audio/.parts").exists()
    assert "5 utterances" in capsys.readouterr().out


def test_split_jobs_give_the_same_in_any_order(here):
    run()
    whole = files()
    for job in (3, 1, 2):
        run("--nj", "3", "--job", str(job), "--out", "dump/audio")
    run("--nj", "3", "--merge")
    assert files() == whole


def test_more_jobs_than_utterances(here):
    run("--nj", "9")
    assert DataDir.read("dump/audio/all").utts == UTTS


def test_segments_are_cut_out(here):
    soundfile.write("long.wav", np.concatenate([tone(1), 0.5 * tone(1)]), 16000)
    cuts = {"a-1": (0, 1), "a-2": (1, 1.5)}
    DataDir.write(
        "data/all", [Utterance(u, Path("long.wav"), "a", "sad", start=s, end=e) for u, (s, e) in cuts.items()]
    )
    run()
    data = DataDir.read("dump/audio/all")
    assert "segments" not in data.maps
    assert data.maps["utt2num_samples"] == {"a-1": "16000", "a-2": "8000"}
    assert np.abs(soundfile.read(data.maps["wav.scp"]["a-2"])[0]).max() == pytest.approx(0.25, abs=0.01)


def test_several_sets(here):
    whole = DataDir.read("data/all")
    whole.subset(["a-1", "b-1"]).save("data/train")
    whole.subset(["c-1"]).save("data/test")
    run("--sets", "train test", "--nj", "2")
    assert DataDir.read("dump/audio/train").utts == ["a-1", "b-1"]
    assert DataDir.read("dump/audio/test").utts == ["c-1"]
    assert not Path("dump/audio/all").exists()


BAD = {
    "no such file": lambda path: path.unlink(),
    "the file is empty (0 bytes)": lambda path: path.write_bytes(b""),
    "is truncated": lambda path: path.write_bytes(path.read_bytes()[:1000]),
    "is not audio that can be decoded": lambda path: path.write_text("404 not found" * 99),
    "all samples are zero": lambda path: soundfile.write(path, np.zeros(8000), 16000),
    "NaN or infinite": lambda path: soundfile.write(path, np.full(8000, np.nan), 16000, subtype="FLOAT"),
    "so quiet": lambda path: soundfile.write(path, tone(0.5) * 1e-5, 16000, subtype="FLOAT"),
}


@pytest.mark.parametrize("reason", BAD)
def test_bad_audio_stops_or_is_skipped(here, capsys, reason):
    BAD[reason](here / "b-1 é.wav")
    message = fails()
    assert message.startswith(f"error: {here}/b-1 é.wav: ")
    assert reason in message
    assert "--skip-bad-audio true" in message
    assert not Path("dump/audio/all/wav.scp").exists()

    run("--skip-bad-audio", "true")
    data = DataDir.read("dump/audio/all")
    data.validate(["happy", "sad"])
    assert data.utts == ["a-1", "a-2", "b-2", "c-1"]
    assert not Path("dump/audio/all/flac/b-1.flac").exists()
    (row,) = Path("dump/audio/all/skipped.tsv").read_text().splitlines()[1:]
    utt, file, why = row.split("\t")
    assert (utt, file) == ("b-1", f"{here}/b-1 é.wav")
    assert reason in why
    assert "1 left out (1 x " in capsys.readouterr().err


def test_nothing_left(here):
    for path in here.glob("*.wav"):
        path.write_bytes(b"")
    assert "no utterance is left, e.g. " in fails("--skip-bad-audio", "true")
    assert not Path("dump/audio/all/wav.scp").exists()


def test_durations(here, capsys):
    soundfile.write("a-1 é.wav", tone(0.05), 16000)
    soundfile.write("c-1 é.wav", tone(2), 16000)
    run("--min-duration", "0.1", "--max-duration", "1")
    assert DataDir.read("dump/audio/all").utts == ["a-2", "b-1", "b-2"]
    skipped = Path("dump/audio/all/skipped.tsv").read_text()
    assert "a-1" in skipped and "shorter than --min-duration 0.1 s" in skipped
    assert "c-1" in skipped and "longer than --max-duration 1 s" in skipped
    assert "2 left out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("utt2emo", "a-1 happy\r\na-2 sad\r\n", "CRLF"),
        ("utt2emo", "\ufeffa-1 happy\n", "byte order mark"),
        ("utt2emo", "a-2 sad\na-1 sad\n", "must not come after"),
        ("utt2emo", "a-1 sad\na-1 sad\n", "is there twice"),
        ("utt2emo", "a-1 sad\n", "4 id(s) of utt2spk are missing, e.g. 'a-2'"),
        ("utt2emo", "a-1 hapy\na-2 sad\nb-1 sad\nb-2 sad\nc-1 sad\n", "unknown emotion 'hapy'"),
        ("text", "a-1 x\na-2 x\nb-1 x\nb-2 x\nc-1 x\nd-1 x\n", "1 id(s) are not in utt2spk, e.g. 'd-1'"),
    ],
)
def test_malformed_data_is_refused(here, name, content, message):
    Path("data/all", name).write_bytes(content.encode())
    said = fails()
    assert f"data/all/{name}: " in said
    assert message in said
    assert not Path("dump").exists()


def test_no_data(here):
    assert "elsewhere: no data directories in it" in fails("--data-dir", "elsewhere")
    assert "nothing: no such data directory" in fails("--sets", "nothing")
    assert "--job 3 --nj 2" in fails("--job", "3", "--nj", "2")


def test_join_without_a_part_names_the_job(here):
    run("--nj", "2", "--job", "1")
    assert "the part of job 2 is missing; run --job 2 --nj 2 first" in fails("--nj", "2", "--merge")
    assert not Path("dump/audio/all/wav.scp").exists()


def test_finished_part_is_not_made_again_unless_something_changed(here, capsys, monkeypatch):
    calls = []
    load = formatting.load_16k
    monkeypatch.setattr(formatting, "load_16k", lambda *source: calls.append(source) or load(*source))
    for _ in range(2):
        run("--nj", "2", "--job", "1")
        assert len(calls) == 3
    assert "already there" in capsys.readouterr().out
    run("--nj", "2", "--job", "1", "--min-duration", "0.1")
    assert len(calls) == 6
    assert "was made with other options or inputs" in fails("--nj", "2", "--merge")


def test_stopped_in_the_middle_and_run_again(here, monkeypatch):
    run()
    whole = files()
    write = formatting.write_flac
    written = []

    def stop(path, *rest, **more):
        written.append(path)
        if len(written) == 3:
            raise KeyboardInterrupt
        write(path, *rest, **more)

    with monkeypatch.context() as patch:
        patch.setattr(formatting, "write_flac", stop)
        with pytest.raises(SystemExit, match="interrupted"):
            run("--out", "dump/again")
    assert not Path("dump/again/all/wav.scp").exists()
    assert not list(Path("dump/again/.parts").iterdir())
    run("--out", "dump/again")
    again = {name.replace("/again/", "/audio/"): content for name, content in files().items() if "/again/" in name}
    for some in (whole, again):  # has the checksum of wav.scp, which names another folder
        del some["dump/audio/all/contents.json"]
    again["dump/audio/all/wav.scp"] = again["dump/audio/all/wav.scp"].replace(b"/again/", b"/audio/")
    assert again == whole


def test_leftovers_of_another_corpus_are_removed(here):
    run()
    DataDir.read("data/all").subset(["b-1"]).save("data/all")
    run()
    assert [path.name for path in Path("dump/audio/all/flac").iterdir()] == ["b-1.flac"]


def test_full_disk(here, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        assert "no space left on the disk" in fails()
    assert files() == {}
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)  # while the part's lists are written
        assert "no space left on the disk" in fails("--skip-bad-audio", "true")
    assert not list(Path("dump/audio").glob(f"{parts.FOLDER}/*"))
    assert not Path("dump/audio/all/wav.scp").exists()
    run()
    assert len(read_scp("dump/audio/all/wav.scp")) == 5
