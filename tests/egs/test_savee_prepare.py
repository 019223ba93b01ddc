"""SAVEE at small scale: two sentences per emotion and speaker, in folders and flat, with and without transcripts."""

from collections import Counter

import pytest
import soundfile

CODES = {"a": "angry", "d": "disgust", "f": "fearful", "h": "happy", "n": "neutral", "sa": "sad", "su": "surprised"}
SPEAKERS = ("DC", "JE", "JK", "KL")


@pytest.fixture
def official(official):
    for speaker in SPEAKERS:
        for code in CODES:
            for number in ("01", "15"):
                official.put(f"Data/AudioData/{speaker}/{code}{number}.wav")
    official.put("Data/AudioData/Info.txt", "DC, JE, JK and KL are four male speakers")
    return official


def test_names_tell_everything(official):
    data = official.prepare("--allow-partial", "true")["all"].maps
    assert Counter(data["utt2emo"].values()) == dict.fromkeys(CODES.values(), 8)
    assert data["utt2emo"]["KL-sa15"] == "sad"
    assert data["wav.scp"]["KL-sa15"].endswith("/Data/AudioData/KL/sa15.wav")
    assert set(data["text"].values()) == {""}


def test_flat_copy_and_transcripts(official):
    for path in (official.corpus / "Data").rglob("*.wav"):
        path.rename(official.put(f"ALL/{path.parent.name}_{path.name}"))
    official.put("transcripts.txt", "a01 Who authorized it?\r\nDC_a01\tWho did?\r\n\r\n")
    data = official.prepare("--allow-partial", "true")["all"].maps
    assert [data["text"][utt] for utt in ("DC-a01", "JE-a01", "JE-d01")] == ["Who did?", "Who authorized it?", ""]
    official.put("transcripts.txt", "a01 Who authorized it?\na02\n")
    (official.data / "folds.json").unlink()
    assert "transcripts.txt: line 2 is not like `a01 The sentence`" in official.fails("--allow-partial", "true")


def test_each_speaker_tests(official):
    official.prepare("--allow-partial", "true")
    folds = official.folds()
    assert (folds.protocol, list(folds.folds)) == ("savee-4fold", list(SPEAKERS))
    fold = folds.folds["KL"]
    assert [{utt[:2] for utt in part} for part in (fold.test, fold.dev, fold.train)] == [{"KL"}, {"DC"}, {"JE", "JK"}]


def test_wrong_corpora(official):
    message = official.fails()
    assert "56 utterances instead of 480, 8 angry instead of 60" in message
    assert "kahlan.eps.surrey.ac.uk/savee" in message
    assert "this corpus cannot be fetched by a program; get it from" in official.fails("--download", "true")
    official.put("Data/AudioData/DC/x01.wav")
    assert "x01.wav: not a SAVEE file name" in official.fails()


@pytest.mark.slow
def test_stages_0_to_3(official):
    for path in official.corpus.rglob("*.wav"):
        official.sound(path, 0.1, rate=44100)
    folder, shown = official.run("--stop-stage", "3", "--allow-partial", "true")
    assert "protocol savee-4fold" in shown and "stage 3: not needed with --text-source none" in shown
    assert len((folder / "dump/audio/all/utt2num_samples").read_text().splitlines()) == 56
    assert soundfile.info(folder / "dump/audio/all/flac/KL-sa15.flac").samplerate == 16000
