"""The recipe for tables: the same data as a recipe written for the corpus; faults are named by line."""

import csv
import os
import runpy
import sys
from pathlib import Path

import pytest

from m4ser.data.datadir import DataDir

ROOT = Path(__file__).resolve().parents[2]
SAME = ("wav.scp", "text", "utt2spk", "spk2utt", "utt2emo", "utt2gender")
ROWS = [
    (f"{speaker}/{number}.wav", emotion, speaker)
    for speaker in "abc"
    for number, emotion in enumerate(("sad", "happy"))
]


def table(official, rows=ROWS, header="file,emotion,speaker", extra=""):
    """Write the table and the audio files it names."""
    for file, *_ in rows:
        official.put(file)
    lines = [header, *(",".join(map(str, row)) for row in rows)]
    path = official.corpus.with_name("my corpus.csv")
    path.write_text("\n".join(lines) + f"\n{extra}", encoding="utf-8")
    return ("--csv", str(path))


def ravdess(monkeypatch, corpus, out, *options):
    """Data directory of egs/ravdess, and a table with the same content."""
    program = ROOT / "egs" / "ravdess" / "local" / "prepare.py"
    monkeypatch.setattr(sys, "argv", [str(program), "--corpus-dir", str(corpus), "--out", str(out), *options])
    runpy.run_path(str(program), run_name="__main__")
    maps = DataDir.read(out / "all").maps
    path = out.with_name("ravdess.csv")
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(["id", "File", "speaker", "Emotion", "text", "gender", "intensity"])
        for utt, audio in maps["wav.scp"].items():
            values = [maps[name][utt] for name in ("utt2spk", "utt2emo", "text", "utt2gender", "utt2intensity")]
            writer.writerow([utt, os.path.relpath(audio, corpus), *values])
    return maps, path


def test_the_same_data_as_the_recipe_of_the_corpus(official, monkeypatch, capsys):
    for actor in range(1, 25):
        for code in ("01-01", "03-02", "05-02", "08-01"):
            official.put(f"Actor_{actor:02d}/03-01-{code}-01-02-{actor:02d}.wav")
    folder = official.corpus.parent / "by recipe"
    maps, path = ravdess(monkeypatch, official.corpus, folder, "--allow-partial", "true")
    data = official.prepare("--csv", str(path))["all"].maps
    assert {name: data[name] for name in SAME} == {name: maps[name] for name in SAME}
    assert sorted(data) == sorted(SAME)
    folds = official.folds()
    assert (folds.protocol, folds.labels) == ("ravdess-5fold", ["angry", "happy", "neutral", "surprised"])
    assert "note: 1 columns of ravdess.csv are not used: intensity" in capsys.readouterr().err


CORPORA = os.environ.get("M4SER_CORPORA", "")


@pytest.mark.skipif(not CORPORA, reason="M4SER_CORPORA does not name a folder with the real corpus in ravdess/")
def test_the_same_data_on_the_real_files(official, monkeypatch):
    official.corpus = Path(CORPORA) / "ravdess"
    maps, path = ravdess(monkeypatch, official.corpus, official.data.with_name("by recipe"))
    data = official.prepare("--csv", str(path))["all"].maps
    assert len(data["utt2spk"]) == 1440
    assert {name: data[name] for name in SAME} == {name: maps[name] for name in SAME}


def test_the_needed_columns_are_enough(official):
    data = official.prepare(*table(official, [("x y/ä 1.wav", "hot anger", "Ann B."), *ROWS]))["all"].maps
    assert data["utt2emo"]["Ann_B.-x_y_ä_1"] == "hot_anger"
    assert data["wav.scp"]["a-a_0"] == str(official.corpus / "a" / "0.wav")
    assert data["utt2spk"]["Ann_B.-x_y_ä_1"] == "Ann_B." and data["text"]["a-a_0"] == ""
    folds = official.folds()
    assert (folds.protocol, list(folds.folds)) == ("my_corpus-4fold", ["1", "2", "3", "4"])
    assert (official.data / "labels.txt").read_text() == "happy\nhot_anger\nsad\n"


def test_choices(official):
    words = table(official, [("n.wav", "neutral", "a"), ("d.wav", "sad", "d"), *ROWS])
    official.prepare(*words, "--num-folds", "2", "--labels", "sad happy")
    assert (official.data / "labels.txt").read_text() == "sad\nhappy\n"
    assert (len(official.folds().folds), len(official.sets()["all"].utts)) == (2, 7)


def test_a_given_split(official):
    parts = {"a": "Train", "b": "validation", "c": "TEST"}
    rows = [(*row, parts[row[2]], "de", "") for row in ROWS]
    words = table(official, rows, "file,emotion,speaker,split,language,gender")
    maps = official.prepare(*words)["all"].maps
    assert set(maps["utt2lang"].values()) == {"de"} and set(maps["utt2gender"].values()) == {"unknown"}
    assert official.folds().folds["1"].dev == ["b-b_0", "b-b_1"]
    words = table(
        official, [(*row, ("train", "test")[index % 2]) for index, row in enumerate(ROWS)], "file,emotion,speaker,split"
    )
    (official.data / "folds.json").unlink()
    assert "3 of 3 test speakers are in train or dev too" in official.fails(*words)
    official.prepare(*words, "--shared-speakers", "true")
    assert not official.folds().speaker_disjoint


@pytest.mark.parametrize(
    ("header", "line", "message"),
    [
        ("", "gone.wav,sad,a", "line 8: no such audio file: {corpus}/gone.wav; correct the line or --audio-dir"),
        ("", "a/0.wav,sad,a", "line 8: a-a_0 is in line 2 too; delete one, or tell them apart in column id"),
        ("", "a/0.wav,Sad,d", "line 8: emotion Sad is written sad above; use one spelling"),
        ("", "a/0.wav,,d", "line 8: emotion is empty"),
        ("", "a/0.wav,sad,d,x", "line 8: 4 fields instead of 3"),
        (",id", "a/0.wav,sad,d,x y", "line 8: id 'x y' has a blank or / in it"),
        ("", f"{'x' * 5000}.wav,sad,a", "line 8: no such audio file: {corpus}/xxx"),
        ("", f"{'x/' * 5000}.wav,sad,a", "line 8: no such audio file: {corpus}/x/x"),
        (",id", f"a/0.wav,sad,d,{'ü' * 101}", "line 8: id " + 40 * "ü" + "... has more than 200 bytes"),
        (",split", "a/0.wav,sad,d,exam", "line 2: split is ''; it must be train, dev or test"),
    ],
)
def test_faults_are_told_by_line(official, header, line, message):
    rows = [(*row, "") for row in ROWS] if header else ROWS
    words = table(official, rows, f"file,emotion,speaker{header}", line + "\n")
    error = official.fails(*words)
    assert message.format(corpus=official.corpus) in error and "my corpus.csv: " in error


def test_other_faults(official):
    assert "which table? give --csv FILE" in official.fails()
    assert "has no emotion calm (--labels); it has happy, sad" in official.fails(
        *table(official), "--labels", "sad,calm"
    )
    assert "at least two of both are needed" in official.fails(*table(official), "--labels", "sad")
    assert "at least two of both are needed" in official.fails(*table(official), "--num-folds", "1")
    assert "has one speaker only" in official.fails(*table(official, ROWS[:2]))
    words = table(official, extra="gone.wav,sad,a\n")
    assert len(official.prepare(*words, "--allow-partial", "true")["all"].utts) == 6


@pytest.mark.slow
def test_by_run_sh(official):
    for file, *_ in ROWS:
        official.sound(file, 0.1)
    rows = [(*row, "\\".join(("a", "b")), f"id{index}") for index, row in enumerate(ROWS)]
    words = table(official, [(file.replace("/", "\\"), *row) for file, *row in rows], "file,emotion,speaker,text,id")
    folder, shown = official.run("--stop-stage", "1", f"--audio-dir={official.corpus}", *words)
    assert "protocol my_corpus-3fold" in shown
    assert len((folder / "dump/audio/all/utt2num_samples").read_text().splitlines()) == 6
    again = official.run("--stop-stage", "1", *words)[1]
    assert "stage 0: done already" in again and "stage 1: done already" in again
    with Path(words[1]).open("a") as file:
        file.write("\n")
    changed = official.run("--stop-stage", "0", *words)[1]
    assert "is made again" in changed and "my corpus.csv has changed" in changed
