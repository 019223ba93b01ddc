"""MELD at small scale with the defects of the real one; and its real CSV files where $M4SER_CORPORA has them."""

import csv
import os
import runpy
from pathlib import Path

import numpy as np
import pytest
import soundfile

CORPORA = os.environ.get("M4SER_CORPORA", "")
HEADER = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime"
LINES = {
    "train": [
        '1,"It’s, like, a caf\u00e9",Chandler,neutral,neutral,0,0,8,21,"00:16:16,059","00:16:21,731"',
        '2,You must\x92ve \x97 really?,The Interviewer,surprise,positive,0,1,8,21,"00:16:21,940","0:16:23,442"',
        '3,Oh no.,Mr. Treeger,anger,negative,0,2,8,21,"00:16:23,442","00:16:26,389"',
        '4,Slow clock.,Ross,neutral,neutral,125,3,4,18,"00:02:42,287","00:02:48,021"',
    ],
    "dev": [
        '1,"Oh, my!",Chandler,joy,positive,0,0,4,7,"00:20:57,256","00:21:00,049"',
        '2,Did they?,Phoebe,neutral,neutral,110,7,6,11,"00:07:11,764","00:07:13,890"',
    ],
    "test": [
        '1,Why?,Chandler,neutral,neutral,0,0,3,19,"00:14:38,127","00:14:40,378"',
        '2,What’s that smell?,Phoebe,disgust,negative,220,0,2,1,"00:01:44,270","00:05:39,338"',
        '3,Cold.,Fireman #1,sadness,negative,0,1,2,1,"00:01:44,270","00:01:46,338"',
    ],
}
FOLDERS = {"train": "train/train_splits", "dev": "dev/dev_splits_complete", "test": "output_repeated_splits_test"}


@pytest.fixture
def official(official, write_mp4):
    noise = np.random.default_rng(0).normal(0, 0.1, (3, 14400)).astype(np.float32)
    for part, lines in LINES.items():
        # The control characters of train are what became of Windows-1252; test is a file in Windows-1252.
        content = "\r\n".join([HEADER, *lines, ""])
        official.put(f"MELD.Raw/{part}_sent_emo.csv", content.encode("cp1252" if part == "test" else "utf-8"))
        for row in csv.DictReader([HEADER, *lines]):
            clip = f"MELD.Raw/{FOLDERS[part]}/dia{row['Dialogue_ID']}_utt{row['Utterance_ID']}.mp4"
            official.put(clip.replace("/dia", "/._dia"), b"\0\5\x16\7Mac OS X")
            if "dia125_utt3" in clip:
                official.put(clip, b"\0\0\0\x20ftypisom and nothing behind it")
            elif "dia220_utt0" in clip:
                write_mp4(official.put(clip), np.tile(noise[:1], 220), picture=False)  # 66 seconds
            elif "dia110_utt7" not in clip:
                write_mp4(
                    official.put(clip),
                    noise if part == "train" else noise[:1],
                    layout="3.0" if part == "train" else "mono",
                )
    official.put("MELD.Raw/output_repeated_splits_test/final_videos_testdia101_utt0.mp4", b"nobody labelled it")
    official.put("MELD.Raw/dev/dev_splits_complete/dia66_utt9.mp4", b"nobody labelled it")
    return official


def test_official_split(official, capsys):
    sets = official.prepare("--allow-partial", "true")
    assert {name: data.maps["utt2emo"] for name, data in sets.items()} == {
        "train": {
            "Chandler-train_dia0_utt0": "neutral",
            "Mr_Treeger-train_dia0_utt2": "anger",
            "The_Interviewer-train_dia0_utt1": "surprise",
        },
        "dev": {"Chandler-dev_dia0_utt0": "joy"},
        "test": {
            "Chandler-test_dia0_utt0": "neutral",
            "Fireman_1-test_dia0_utt1": "sadness",
            "Phoebe-test_dia220_utt0": "disgust",
        },
    }
    text = {utt: words for data in sets.values() for utt, words in data.maps["text"].items()}
    assert text["Chandler-train_dia0_utt0"] == "It’s, like, a café"
    assert text["The_Interviewer-train_dia0_utt1"] == "You must’ve — really?"
    assert text["Phoebe-test_dia220_utt0"] == "What’s that smell?"
    assert sets["train"].maps["utt2dialogue"]["Mr_Treeger-train_dia0_utt2"] == "train_dia0"
    assert (official.data / "labels.txt").read_text().split() == [
        *("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise")
    ]
    folds = official.folds()
    assert (folds.protocol, folds.speaker_disjoint) == ("meld-emotion-official", False)
    assert "share speakers" in folds.description
    assert [len(part) for part in (folds.folds["1"].train, folds.folds["1"].dev, folds.folds["1"].test)] == [3, 1, 3]
    notes = [line for line in capsys.readouterr().err.splitlines() if line.startswith("note: ")]
    assert notes == [
        "note: 1 utterance is left out: train_dia125_utt3, its clip cannot be decoded",
        "note: 1 utterance is left out: dev_dia110_utt7, its clip is not in the archive",
    ]


def test_sentiment(official):
    sets = official.prepare("--allow-partial", "true", "--task", "sentiment")
    assert set(sets["test"].maps["utt2emo"].values()) == {"neutral", "negative"}
    assert (official.data / "labels.txt").read_text() == "negative\nneutral\npositive\n"
    assert official.folds().protocol == "meld-sentiment-official"


def test_incomplete_corpora(official):
    message = official.fails()
    assert "not the complete corpus: 1 train anger instead of 1109, 0 train disgust instead of 271" in message
    (official.corpus / "MELD.Raw/train/train_splits/dia0_utt1.mp4").unlink()
    assert "1 of 7 annotated utterances have no recording, e.g. " in official.fails()
    (official.corpus / "MELD.Raw/dev_sent_emo.csv").unlink()
    message = official.fails()
    assert (
        "expected dev_sent_emo.csv, found MELD.Raw; give the folder of the official layout (to be had from" in message
    )


def test_damaged_tables(official):
    path = official.corpus / "MELD.Raw/dev_sent_emo.csv"
    content = path.read_bytes()
    path.write_bytes(content.rstrip()[:-30])  # a copy that was cut
    assert "dev_sent_emo.csv: line " in official.fails("--allow-partial", "true")
    path.write_bytes(content.replace(b"Dialogue_ID", b"Dialogue"))
    assert "dev_sent_emo.csv: line 1: no column dialogue_id; it has" in official.fails("--allow-partial", "true")


@pytest.mark.slow
def test_stages_0_and_1(official):
    folder, shown = official.run("--stop-stage", "1", "--allow-partial", "true")
    assert "protocol meld-emotion-official" in shown
    info = soundfile.info(folder / "dump/audio/train/flac/Chandler-train_dia0_utt0.flac")  # was 3 channels of 48 kHz
    assert (info.samplerate, info.channels) == (16000, 1)
    assert abs(info.frames - 4800) < 400
    # A clip that goes on for minutes after its sentence is reported, not used.
    assert "1 left out (1 x longer than --max-duration 60 s)" in shown
    assert "Phoebe-test_dia220_utt0" in (folder / "dump/audio/test/skipped.tsv").read_text()
    assert len((folder / "dump/audio/test/wav.scp").read_text().splitlines()) == 2


@pytest.mark.skipif(not CORPORA, reason="set M4SER_CORPORA to a folder with meld_csv/{train,dev,test}_sent_emo.csv")
def test_real_csv_files(official):
    """With empty files for clips: what the official annotation says, word for word and number for number."""
    counts = runpy.run_path(str(Path(__file__).parents[2] / "egs/meld/local/prepare.py"))["COUNTS"]["emotion"]
    official.corpus = official.data.parent / "real"
    for index, (part, lines) in enumerate({"train": 9989, "dev": 1109, "test": 2610}.items()):
        content = (Path(CORPORA) / "meld_csv" / f"{part}_sent_emo.csv").read_bytes()
        official.put(f"{part}_sent_emo.csv", content)
        rows = list(csv.DictReader(content.decode().split("\n")))
        assert len(rows) == lines
        have = {name: sum(row["Emotion"] == name for row in rows) for name in counts}
        assert have == {name: number[index] for name, number in counts.items()}
        folder = official.corpus / FOLDERS[part]
        folder.mkdir(parents=True)
        for row in rows:
            (folder / f"dia{row['Dialogue_ID']}_utt{row['Utterance_ID']}.mp4").touch()
    sets = official.prepare()  # all counts are as expected, per set and class
    assert {name: len(data.utts) for name, data in sets.items()} == {"train": 9988, "dev": 1108, "test": 2610}
    characters = {character for data in sets.values() for words in data.maps["text"].values() for character in words}
    assert {character for character in characters if ord(character) > 126} == set("‘’“”–—…éó")
