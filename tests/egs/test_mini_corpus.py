"""The corpus that is kept in the repository: small, table and recordings agree, honest split, made by its program."""

import csv
import importlib.util
import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import soundfile

MINI = Path(__file__).resolve().parents[2] / "egs/mini"
CORPUS = MINI / "corpus"


@pytest.fixture(scope="module")
def rows():
    with open(CORPUS / "metadata.tsv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


@pytest.fixture(scope="module")
def generate():
    spec = importlib.util.spec_from_file_location("mini_generate", MINI / "local/generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def by_split(rows, column):
    return {split: {row[column] for row in rows if row["split"] == split} for split in ("train", "dev", "test")}


def test_table_and_recordings_agree(rows):
    assert {row["file"] for row in rows} == {path.relative_to(CORPUS).as_posix() for path in CORPUS.glob("*/*")}
    for row in rows:
        assert row["file"] == f"{row['speaker']}/{row['utt_id']}.opus"
        info = soundfile.info(CORPUS / row["file"])
        assert (info.samplerate, info.channels) == (16000, 1)
        assert 1 < info.duration < 6


def test_small(rows):
    assert len(rows) >= 320
    assert sum(path.stat().st_size for path in CORPUS.rglob("*") if path.is_file()) < 3e6


def test_parts_share_neither_speakers_nor_sentences_but_words(rows):
    for column in ("speaker", "transcript"):
        train, dev, test = by_split(rows, column).values()
        assert not (train & dev or train & test or dev & test)
    words = {
        split: {word.lower() for text in texts for word in text.split()}
        for split, texts in by_split(rows, "transcript").items()
    }
    assert words["dev"] | words["test"] <= words["train"]
    assert {len(row["transcript"].split()) for row in rows} <= set(range(4, 10))


def test_balanced_for_every_speaker(rows):
    counts = Counter((row["speaker"], row["emotion"]) for row in rows)
    for speaker in {row["speaker"] for row in rows}:
        assert len({counts[speaker, emotion] for emotion in ("angry", "happy", "neutral", "sad")}) == 1
    genders = {row["speaker"]: (row["split"], row["gender"]) for row in rows}
    assert Counter(genders.values()) == {
        (split, gender): number
        for split, number in (("train", 4), ("dev", 2), ("test", 2))
        for gender in ("female", "male")
    }


def test_words_tell_the_emotion_often_but_not_always(rows):
    for split in ("train", "dev", "test"):
        cues = Counter(row["cue"] for row in rows if row["split"] == split and row["emotion"] != "neutral")
        assert 0.6 < cues["yes"] / cues.total() < 0.85
        assert 0 < cues["misleading"] / cues.total() < 0.1


def test_program_plans_the_table(rows, generate):
    assert [asdict(item) for item in generate.plan()] == rows


def test_program_makes_the_recordings(generate):
    version = json.loads((CORPUS / "made_by.json").read_text(encoding="utf-8"))["espeak-ng"]
    if generate.espeak_version() is None:
        pytest.skip("espeak-ng is not installed")
    item = generate.plan()[0]
    samples = generate.render(item)
    np.testing.assert_array_equal(samples, generate.render(item))
    if generate.espeak_version() != version:
        pytest.skip(f"espeak-ng is {generate.espeak_version()}, the corpus was made with {version}")
    stored, _ = soundfile.read(CORPUS / item.file)
    assert len(stored) == len(samples)
    assert np.corrcoef(stored, samples)[0, 1] > 0.85  # Opus is lossy


def test_without_espeak(generate, monkeypatch, tmp_path):
    monkeypatch.setattr(generate, "espeak_version", lambda: None)
    with pytest.raises(SystemExit, match="install the system package espeak-ng"):
        generate.main(["--corpus-dir", str(tmp_path)])
    assert not list(tmp_path.rglob("*.opus"))
