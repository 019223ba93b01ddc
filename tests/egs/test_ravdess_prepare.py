"""RAVDESS in its official layout, all names of the speech part; song and video next to it; the real files if given."""

import os
import shutil
from collections import Counter
from pathlib import Path

import pytest
import soundfile

EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
COUNTS = {emotion: 96 if emotion == "neutral" else 192 for emotion in EMOTIONS}
TESTERS = ((1, 11, 20, 21), (4, 10, 12, 14), (8, 9, 19, 23), (3, 5, 7, 24), (2, 15, 16, 18), (6, 13, 17, 22))


def names():
    """File names of the 1440 recordings, by actor."""
    for actor in range(1, 25):
        for emotion in range(1, 9):
            for intensity in (1, 2) if emotion > 1 else (1,):
                for statement in (1, 2):
                    for repetition in (1, 2):
                        codes = (3, 1, emotion, intensity, statement, repetition, actor)
                        yield actor, "-".join(f"{code:02d}" for code in codes)


@pytest.fixture
def official(official):
    for actor, name in names():
        official.put(f"Actor_{actor:02d}/{name}.wav")
    return official


def check(official, data):
    assert Counter(data["utt2emo"].values()) == COUNTS
    assert set(Counter(data["utt2spk"].values()).values()) == {60}
    folds = official.folds()
    assert folds.protocol == "ravdess-emobox-6fold"
    for number, testers in enumerate(TESTERS, 1):
        fold = folds.folds[str(number)]
        assert {utt[:7] for utt in fold.test} == {f"Actor{actor:02d}" for actor in testers}
        assert (len(fold.train), len(fold.dev), len(fold.test)) == (1080, 120, 240)
        assert {data["utt2gender"][utt] for utt in fold.dev} == {"male", "female"}


@pytest.mark.slow
def test_the_whole_corpus(official):
    official.put("Actor_01/03-02-06-01-02-01-01.wav")  # song
    official.put("Actor_01/01-01-06-01-02-01-01.mp4")  # video
    official.put("Actor_01/._03-01-06-01-02-01-01.wav")
    official.put("audio_speech_actors_01-24/Actor_01/03-01-06-01-02-01-01.wav")  # everything twice in a popular copy
    data = official.prepare()["all"].maps
    check(official, data)
    utt = "Actor12-03-01-06-02-02-01-12"
    lists = ("utt2emo", "utt2intensity", "utt2gender", "text")
    assert [data[name][utt] for name in lists] == ["fearful", "strong", "female", "Dogs are sitting by the door"]


@pytest.mark.skipif(
    not os.environ.get("M4SER_CORPORA"), reason="M4SER_CORPORA: no folder with the real corpus is named"
)
def test_the_real_files(official):
    official.corpus = Path(os.environ["M4SER_CORPORA"]) / "ravdess"
    check(official, official.prepare()["all"].maps)


@pytest.mark.slow
def test_one_folder_deeper(official):
    official.corpus.rename(official.corpus.with_name("inner"))
    official.corpus.mkdir()
    official.corpus.with_name("inner").rename(official.corpus / "audio_speech_actors_01-24")
    assert len(official.prepare()["all"].utts) == 1440


@pytest.mark.slow
def test_wrong_corpora(official):
    folder = official.corpus / "Actor_05"
    for name in ("03-01-09-01-01-01-05", "03-01-01-03-01-01-05", "03-01-01-01-03-01-05"):
        odd = official.put(folder / f"{name}.wav")
        assert "unknown " in official.fails()
        odd.unlink()
    odd = official.put(folder / "03-01-01-01-01-01-06.wav")
    assert "the actor in the name does not fit the folder" in official.fails()
    odd.rename(folder / "noise.wav")
    assert "not a RAVDESS file name" in official.fails()
    (folder / "noise.wav").unlink()
    odd = official.put(folder / "03-01-01-01-01-01-05.flac")
    assert "the same recording is also " in official.fails()
    odd.unlink()
    for path in folder.glob("03-01-05-*"):
        path.unlink()
    message = official.fails()
    assert "not the complete corpus: 1432 utterances instead of 1440, 184 angry instead of 192" in message
    assert "https://zenodo.org/records/1188976" in message
    assert len(official.prepare("--allow-partial", "true")["all"].utts) == 1432


@pytest.mark.slow
def test_stages_0_and_1(official):
    shutil.rmtree(official.corpus)
    for actor in (1, 2, 4, 8):
        for code in ("01-01", "05-02"):
            stereo = (actor, code) == (2, "05-02")  # five recordings of the corpus are
            official.sound(
                f"Actor_{actor:02d}/03-01-{code}-01-01-{actor:02d}.wav", 0.2, rate=48000, channels=1 + stereo
            )
    folder, shown = official.run("--stop-stage", "1", "--allow-partial", "true")
    assert "warning: fold 4 is left out" in shown and "protocol ravdess-emobox-6fold" in shown
    info = soundfile.info(folder / "dump/audio/all/flac/Actor02-03-01-05-02-01-01-02.flac")
    assert (info.samplerate, info.channels, info.frames) == (16000, 1, 3200)
    assert len((folder / "dump/audio/all/utt2num_samples").read_text().splitlines()) == 8
