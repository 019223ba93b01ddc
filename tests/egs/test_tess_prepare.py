"""TESS at small scale: both actresses, twelve words, all emotions; a file of another name, everything twice."""

import shutil
from collections import Counter

import pytest
import soundfile

CODES = {"angry": "angry", "disgust": "disgust", "fear": "fearful", "happy": "happy", "neutral": "neutral"}
CODES |= {"ps": "surprised", "sad": "sad"}
FOLDERS = {"ps": "pleasant_surprised", "fear": "Fear"}
WORDS = ("back", "bar", "base", "bath", "bean", "beg", "bite", "boat", "bone", "book", "bought", "burn")


@pytest.fixture
def official(official):
    for speaker in ("OAF", "YAF"):
        for code in CODES:
            for word in WORDS:
                name = "OA" if (speaker, code, word) == ("OAF", "neutral", "bite") else speaker
                official.put(f"{speaker}_{FOLDERS.get(code, code)}/{name}_{word}_{code}.wav")
    return official


def test_names_tell_everything(official):
    data = official.prepare("--allow-partial", "true")["all"].maps
    assert Counter(data["utt2emo"].values()) == dict.fromkeys(CODES.values(), 24)
    assert Counter(data["utt2spk"].values()) == {"OAF": 84, "YAF": 84}
    assert data["wav.scp"]["OAF-bite_neutral"].endswith("/OAF_neutral/OA_bite_neutral.wav")
    assert data["text"]["YAF-back_ps"] == "Say the word back"


def test_dev_has_the_training_speaker_but_other_words(official):
    official.prepare("--allow-partial", "true")
    folds = official.folds()
    assert (folds.protocol, folds.speaker_disjoint, folds.dev_speaker_disjoint) == ("tess-2fold", True, False)
    fold = folds.folds["1"]
    assert {utt[:3] for utt in fold.test} == {"OAF"} and {utt[:3] for utt in fold.train + fold.dev} == {"YAF"}
    assert fold.dev == [f"YAF-book_{code}" for code in sorted(CODES)]
    assert (len(fold.train), len(fold.test)) == (77, 84)
    assert {utt[:3] for utt in folds.folds["2"].test} == {"YAF"}


def test_the_split_of_emobox_has_the_proper_name_of_every_file(official, tmp_path):
    folder = tmp_path / "EmoBox/data/tess/fold_1"
    folder.mkdir(parents=True)
    names = [f"{speaker}_{word}_{code}" for speaker in ("OAF", "YAF") for word in WORDS for code in CODES]
    for part, chosen in (("train", names[3:]), ("test", names[:3])):
        lines = [f'{{"wav": "downloads/tess/{name}.wav"}}' for name in chosen]
        (folder / f"tess_{part}_fold_1.jsonl").write_text("\n".join(lines))
    official.prepare("--allow-partial", "true", "--emobox-dir", str(tmp_path / "EmoBox"))
    fold = official.folds().folds["1"]
    assert fold.test == ["OAF-back_angry", "OAF-back_disgust", "OAF-back_fear"]
    assert "OAF-bite_neutral" in fold.train + fold.dev


def test_other_layouts(official):
    official.prepare("--allow-partial", "true")
    ids = official.sets()["all"].utts
    shutil.copytree(official.corpus, official.corpus / "TESS Toronto emotional speech set data")  # in a popular copy
    assert official.prepare("--allow-partial", "true")["all"].utts == ids
    flat = official.corpus.with_name("flat")
    (flat / "dataverse_files").mkdir(parents=True)
    for path in official.corpus.glob("*_*/*.wav"):
        path.rename(flat / "dataverse_files" / path.name)
    official.corpus = flat
    assert official.prepare("--allow-partial", "true")["all"].utts == ids


def test_wrong_corpora(official):
    assert "168 utterances instead of 2800, 24 angry instead of 400" in official.fails()
    official.put("OAF_angry/OAF_back_calm.wav")
    assert "OAF_back_calm.wav: not a TESS file name (OAF_back_angry.wav)" in official.fails()
    official.corpus = official.put("empty/readme").parent
    assert "expected OAF_angry/OAF_back_angry.wav, found readme; give the folder" in official.fails()


@pytest.mark.slow
def test_stages_0_and_1(official):
    for path in official.corpus.rglob("*.wav"):
        official.sound(path, 0.1, rate=24414)
    folder, shown = official.run("--stop-stage", "1", "--allow-partial", "true")
    assert "protocol tess-2fold" in shown
    assert len((folder / "dump/audio/all/utt2num_samples").read_text().splitlines()) == 168
    assert soundfile.info(folder / "dump/audio/all/flac/OAF-bite_neutral.flac").samplerate == 16000
