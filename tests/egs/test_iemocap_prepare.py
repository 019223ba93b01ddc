"""IEMOCAP at small scale: two turns of each speaker in an improvised and in a scripted dialogue of each session."""

from collections import Counter

import pytest
import soundfile

CODES = ("neu", "hap", "exc", "ang", "sad", "fru")
WORDS = {"001": "[LAUGHTER] Well, (xxx) fine. [BREATHING]", "002": "Hello--", "003": "[LAUGHTER]"}


@pytest.fixture
def official(official):
    root = "archive/IEMOCAP_full_release/"  # one folder deeper than asked for
    for number in range(1, 6):
        session = f"{root}Session{number}"
        # The name of a dialogue says who wears markers (always the woman here); both of them speak in it.
        for dialogue in (f"Ses0{number}F_impro05a", f"Ses0{number}F_script02_2"):
            emotion, transcript = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]", ""], []
            for index, (speaker, turn) in enumerate((s, t) for s in "FM" for t in ("001", "002", "003")):
                name = f"{dialogue}_{speaker}{turn}"
                code = CODES[(index + number) % len(CODES)]
                emotion += [f"[{index}.2901 - {index}.9000]\t{name}\t{code}\t[2.5000, 2.5000, 2.5000]"]
                emotion += ["C-E2:\tNeutral;\t()", "A-E3:\tval 3; act 2; dom  2;\t(it’s)", ""]
                transcript += [f"{name} [00{index}.2901-00{index}.9000]: {WORDS[turn]}"]
                official.sound(f"{session}/sentences/wav/{dialogue}/{name}.wav", 0.2)
            emotion += [f"[9.0000 - 9.5000]\t{dialogue}_F004\txxx\t[2.5000, 2.5000, 2.5000]", ""]
            transcript += [f"{dialogue}_FXX0 [009.0000-009.5000]: (not a turn)", "F: a line without times"]
            official.put(f"{session}/dialog/EmoEvaluation/{dialogue}.txt", "\n".join(emotion).encode("cp1252"))
            official.put(f"{session}/dialog/EmoEvaluation/._{dialogue}.txt", b"\0\5\x16\7Mac OS X")
            official.put(f"{session}/dialog/EmoEvaluation/Categorical/{dialogue}_e2_cat.txt", "not the consensus")
            official.put(f"{session}/dialog/transcriptions/{dialogue}.txt", "\r\n".join(transcript))
            official.put(f"{session}/sentences/wav/{dialogue}/._{dialogue}_F001.wav", b"\0\5\x16\7Mac OS X")
    return official


def test_four_classes(official, capsys):
    data = official.prepare("--allow-partial", "true")["all"].maps
    assert len(data["utt2emo"]) == 50  # 60 less the frustrated
    assert Counter(data["utt2emo"].values()) == {"happy": 20, "angry": 10, "neutral": 10, "sad": 10}
    assert Counter(data["utt2category"].values()) == dict.fromkeys(("neu", "hap", "exc", "ang", "sad"), 10)
    assert Counter(data["utt2domain"].values()) == {"impro": 25, "script": 25}
    assert (official.data / "labels.txt").read_text() == "angry\nhappy\nneutral\nsad\n"
    # The man's turn in a dialogue in which the woman wears the markers is the man's.
    utt = "Ses04M-Ses04F_impro05a_M002"
    assert data["utt2spk"][utt] == "Ses04M"
    assert all(spk[-1] == utt.rpartition("_")[2][0] for utt, spk in data["utt2spk"].items())
    assert data["wav.scp"][utt].endswith("/Session4/sentences/wav/Ses04F_impro05a/Ses04F_impro05a_M002.wav")
    # Markup is no text, but nothing is lost.
    utt = "Ses01F-Ses01F_impro05a_F001"
    assert (data["text"][utt], data["utt2rawtext"][utt]) == ("Well, fine.", WORDS["001"])
    assert data["text"]["Ses01F-Ses01F_script02_2_F003"] == ""
    shown = capsys.readouterr()
    assert "utterances have no word in their transcript; they are kept" in shown.err
    assert "50 utterances instead of 5531" in shown.err


def test_leave_one_session_out(official):
    official.prepare("--allow-partial", "true")
    folds = official.folds()
    assert folds.protocol == "iemocap-4-leave-one-session-out"
    parts = {name: [{utt[:6] for utt in part} for part in (f.train, f.dev, f.test)] for name, f in folds.folds.items()}
    assert list(parts) == ["1", "2", "3", "4", "5"]
    # Of each training session but one both speakers train; of the next one after the test session one is dev.
    assert parts["5"] == [
        {f"Ses0{session}{letter}" for session in (2, 3, 4) for letter in "FM"} | {"Ses01M"},
        {"Ses01F"},
        {"Ses05F", "Ses05M"},
    ]
    assert [min(dev) for _, dev, _ in parts.values()] == ["Ses02F", "Ses03M", "Ses04F", "Ses05M", "Ses01F"]


def test_a_whole_session_as_dev(official):
    official.prepare("--allow-partial", "true", "--dev", "session")
    folds = official.folds()
    assert folds.protocol == "iemocap-4-leave-one-session-out-dev-session"
    fold = folds.folds["5"]
    assert [sorted({utt[:6] for utt in part}) for part in (fold.test, fold.dev)] == [
        ["Ses05F", "Ses05M"],
        ["Ses01F", "Ses01M"],
    ]
    assert len({utt[:6] for utt in fold.train}) == 6


def test_other_classes_and_folds(official):
    data = official.prepare("--allow-partial", "true", "--classes", "6", "--folds", "speaker")["all"].maps
    assert len(data["utt2emo"]) == 60
    assert Counter(data["utt2emo"].values())["excited"] == Counter(data["utt2emo"].values())["frustrated"] == 10
    folds = official.folds()
    assert (folds.protocol, len(folds.folds)) == ("iemocap-6-leave-one-speaker-out", 10)
    fold = folds.folds["4"]
    assert [{utt[:6] for utt in part} for part in (fold.test, fold.dev)] == [{"Ses02M"}, {"Ses03M"}]
    assert len({utt[:6] for utt in fold.train}) == 8
    data = official.prepare("--allow-partial", "true", "--classes", "4-no-exc")["all"].maps
    assert Counter(data["utt2emo"].values()) == dict.fromkeys(("angry", "happy", "neutral", "sad"), 10)
    assert official.folds().protocol == "iemocap-4-no-exc-leave-one-session-out"


def test_incomplete_corpora(official):
    message = official.fails()
    assert "not the complete corpus: 50 utterances instead of 5531, 10 Ses01 instead of 1085" in message
    assert "https://sail.usc.edu/iemocap/" in message and "--allow-partial true" in message
    for path in official.corpus.rglob("Ses03F_impro05a_*.wav"):
        path.unlink()
    message = official.fails()
    assert "5 of 50 annotated utterances have no recording, e.g. " in message
    assert len(official.prepare("--allow-partial", "true")["all"].utts) == 45


def test_another_folder(official):
    official.corpus = official.corpus / "archive" / "IEMOCAP_full_release" / "Session1" / "sentences"
    message = official.fails()
    assert "expected Session[1-5], found wav; give the folder of the official layout (to be had from https:" in message


@pytest.mark.slow
def test_stages_0_and_1(official):
    folder, shown = official.run("--stop-stage", "1", "--allow-partial", "true")
    assert "protocol iemocap-4-leave-one-session-out" in shown
    flac = folder / "dump/audio/all/flac/Ses05M-Ses05F_script02_2_M001.flac"
    assert soundfile.info(flac).frames == 3200
    assert len((folder / "dump/audio/all/utt2num_samples").read_text().splitlines()) == 50
