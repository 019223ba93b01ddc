"""CREMA-D at small scale: eleven of the actors, all emotions and levels; the silent recording, Git LFS pointers."""

import hashlib
import json
import re
from collections import Counter

import pytest

ACTORS = ("1001", "1002", "1003", "1004", "1005", "1006", "1007", "1008", "1009", "1010", "1076")
CODES = ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 72862\n"


@pytest.fixture
def official(official):
    official.clips = [f"{actor}_DFA_{code}_XX" for actor in ACTORS for code in CODES]
    official.clips += ["1001_IEO_ANG_HI", "1001_IEO_SAD_LO", "1076_MTI_SAD_XX"]
    for clip in official.clips:
        official.put(f"crema-d-mirror/AudioWAV/{clip}.wav")
    official.put("crema-d-mirror/AudioWAV/._1001_DFA_ANG_XX.wav", "Mac OS X")
    lines = [f'{actor},51,"{"Female" if actor % 2 else "Male"}","Asian","Not Hispanic"' for actor in range(1001, 1092)]
    official.table = official.put(
        "crema-d-mirror/VideoDemographics.csv", "\n".join(['"ActorID","Age","Sex","Race","Ethnicity"', *lines])
    )
    return official


def test_names_tell_everything(official):
    data = official.prepare("--allow-partial", "true")["all"].maps
    assert len(data["utt2spk"]) == 69
    assert Counter(data["utt2emo"].values()) == {
        **dict.fromkeys(("disgust", "fearful", "happy", "neutral"), 11),
        **{"angry": 12, "sad": 13},
    }
    utt = "1001-1001_IEO_ANG_HI"
    assert [data[name][utt] for name in ("utt2spk", "text", "utt2level", "utt2gender")] == [
        "1001",
        "It's eleven o'clock",
        "high",
        "female",
    ]
    assert data["wav.scp"][utt].endswith("/crema-d-mirror/AudioWAV/1001_IEO_ANG_HI.wav")


def test_folds_by_actors(official):
    official.prepare("--allow-partial", "true")
    folds = official.folds()
    assert folds.protocol == "crema_d-5fold" and list(folds.folds) == ["1", "2", "3", "4", "5"]
    testers = [{utt[:4] for utt in fold.test} for fold in folds.folds.values()]
    assert testers == [{"1001", "1006", "1076"}, *({f"100{n}", f"{1005 + n}"} for n in (2, 3, 4, 5))]
    assert {utt[:4] for utt in folds.folds["5"].dev} == {"1001", "1006"}
    official.table.unlink()
    before = {name: (fold.train, fold.dev, fold.test) for name, fold in folds.folds.items()}
    assert "utt2gender" not in official.prepare("--allow-partial", "true")["all"].maps
    assert {name: (fold.train, fold.dev, fold.test) for name, fold in official.folds().folds.items()} == before


def test_the_split_of_emobox(official, tmp_path):
    folder = tmp_path / "EmoBox" / "data" / "cremad" / "fold_1"
    folder.mkdir(parents=True)
    for part, clips in (("train", official.clips[3:]), ("test", official.clips[:3])):
        lines = [json.dumps({"key": c, "wav": f"downloads/cremad/AudioWAV/{c}.wav", "emo": c[9:12]}) for c in clips]
        (folder / f"cremad_{part}_fold_1.jsonl").write_text("\n".join(lines) + "\n")
    official.prepare("--allow-partial", "true", "--emobox-dir", str(tmp_path / "EmoBox"))
    folds = official.folds()
    assert (folds.protocol, folds.speaker_disjoint) == ("cremad-emobox-1fold", False)
    assert "shares 1 speakers between training and test" in folds.description
    assert folds.folds["1"].test == [f"1001-1001_DFA_{code}_XX" for code in CODES[:3]]
    assert len(folds.folds["1"].dev) == 6  # the tenth of each emotion
    (official.data / "folds.json").unlink()
    (folder / "cremad_test_fold_1.jsonl").write_text('{"wav": "x/1001_WSI_SAD_XX.wav"}\n')
    message = official.fails("--allow-partial", "true", "--emobox-dir", str(tmp_path / "EmoBox"))
    assert "cremad_test_fold_1.jsonl: line 1: the corpus has no recording 1001_WSI_SAD_XX" in message
    assert "has no data/cremad/fold_1" in official.fails("--allow-partial", "true", "--emobox-dir", str(folder))


def test_wrong_corpora(official):
    message = official.fails()
    assert "not the complete corpus: 69 utterances instead of 7442, 11 speakers instead of 91" in message
    assert "https://github.com/CheyneyComputerScience/CREMA-D" in message
    folder = official.corpus / "crema-d-mirror" / "AudioWAV"
    odd = official.put(folder / "1001_XYZ_ANG_XX.wav")
    assert "unknown sentence XYZ in the name" in official.fails()
    odd.rename(folder / "readme.wav")
    assert "not a CREMA-D file name" in official.fails()
    (folder / "readme.wav").unlink()
    official.put(folder / "1002_DFA_ANG_XX.wav", POINTER.format(hashlib.sha256(b"").hexdigest()))
    message = official.fails("--allow-partial", "true")
    assert "1002_DFA_ANG_XX.wav: only a Git LFS pointer, not audio; run `git lfs pull`" in message
    official.put(official.table, '"ActorID","Sex"\n1001,"Male"\n')
    assert "actor 1002 is missing" in official.fails()
    folder.rename(folder.with_name("AudioMP3"))
    assert "expected AudioWAV, found crema-d-mirror; give the folder of the official layout" in official.fails()


@pytest.mark.slow
def test_stages_0_and_1_leave_silent_and_endless_recordings_out(official):
    for clip in official.clips:
        official.sound(f"crema-d-mirror/AudioWAV/{clip}.wav", 0.1)
    silent = official.corpus / "crema-d-mirror" / "AudioWAV" / "1076_MTI_SAD_XX.wav"
    silent.write_bytes(silent.read_bytes()[:44] + bytes(silent.stat().st_size - 44))
    official.sound(f"crema-d-mirror/AudioWAV/{official.clips[0]}.wav", 10.5)
    folder, shown = official.run("--stop-stage", "1", "--allow-partial", "true")
    assert "protocol crema_d-5fold" in shown
    skipped = (folder / "dump/audio/all/skipped.tsv").read_text()
    assert re.search("^.*1076_MTI_SAD_XX\t.*all samples are zero", skipped, re.MULTILINE)
    assert f"{official.clips[0]}.wav\tlonger than --max-duration 10 s" in skipped
    assert len((folder / "dump/audio/all/utt2num_samples").read_text().splitlines()) == 67
