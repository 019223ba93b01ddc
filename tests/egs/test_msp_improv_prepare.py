"""MSP-IMPROV at small scale: three sessions, all kinds of recordings, several raters."""

from collections import Counter

import pytest
import soundfile


@pytest.fixture
def official(official):
    lines = []
    for session in (1, 2, 3):
        for speaker in (f"F0{session}", f"M0{session}"):
            for scenario, code in zip("PRSTSS", "NASHOX", strict=True):
                name = f"IMPROV-S01A-{speaker}-{scenario}-FM{len(lines):02d}"
                lines += [
                    f"UTD-{name}.avi; {code}; A:3.000000; V:3.500000; D:NaN ; N:4.000000;",
                    "s; Neutral; Neutral,Other (calm; quiet); A:3.000000; V:3.000000; D:3.000000; N:4.000000;",
                    "",
                ]
                folder = f"session{session}/S01A/{scenario}"
                official.sound(f"Audio/{folder}/MSP-{name}.wav", rate=48000)
                official.put(f"Audio/{folder}/._MSP-{name}.wav", b"\0\5\x16\7Mac OS X")
                if scenario == "T":
                    text = b"It\x92s true."
                    official.put(f"All_human_transcriptions/session{session}/MSP-{name}.txt", text)
    official.put("Evalution.txt", "\r\n".join(lines))
    return official


def test_data(official, capsys):
    data = official.prepare("--allow-partial", "true")["all"].maps
    assert Counter(data["utt2emo"].values()) == dict.fromkeys(("angry", "happy", "neutral", "sad"), 6)
    assert Counter(data["utt2domain"].values()) == dict.fromkeys(
        ("natural", "other-improvised", "target-improvised", "target-read"), 6
    )
    assert sorted(set(data["utt2spk"].values())) == ["F01", "F02", "F03", "M01", "M02", "M03"]
    assert Counter(data["text"].values()) == {"It’s true.": 6, "": 18}
    shown = capsys.readouterr().err
    assert "note: 18 utterances have no transcript; they are kept" in shown
    assert "24 utterances instead of 7798, 6 speakers instead of 12" in shown


def test_leave_one_session_out(official):
    official.prepare("--allow-partial", "true")
    folds = official.folds()
    assert folds.protocol == "msp-improv-leave-one-session-out"
    fold = folds.folds["3"]
    assert [{utt[:3] for utt in part} for part in (fold.train, fold.dev, fold.test)] == [
        {"F02", "M02"},
        {"F01", "M01"},
        {"F03", "M03"},
    ]


def test_incomplete_corpora(official):
    assert "not the complete corpus: 24 utterances instead of 7798, 6 speakers instead of 12" in official.fails()
    for path in official.corpus.glob("Audio/session2/S01A/P/*"):
        path.unlink()
    assert "2 of 24 annotated utterances have no recording" in official.fails()
    (official.corpus / "Evalution.txt").unlink()
    assert "expected Evalution.txt or Evaluation.txt, found All_human_transcriptions, Audio; give" in official.fails()


@pytest.mark.slow
def test_stages_0_and_1(official):
    folder, _ = official.run("--stop-stage", "1", "--allow-partial", "true")
    files = sorted((folder / "dump/audio/all/flac").iterdir())
    assert len(files) == 24
    assert soundfile.info(files[0]).samplerate == 16000
