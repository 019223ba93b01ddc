"""ESD at small scale: two sentences per emotion and speaker, in both official layouts and all encodings of its text."""

from collections import Counter

import pytest

EMOTIONS = ("Neutral", "Angry", "Happy", "Sad", "Surprise")
CHINESE = dict(zip(EMOTIONS, ("中立", "生气", "快乐", "伤心", "惊喜"), strict=True))
ENCODINGS = {1: "gb2312", 3: "utf-16", 6: "utf-16-le", 12: "utf-16", 15: "utf-8-sig", 16: "cp1252"}


@pytest.fixture
def official(official):
    for number in range(1, 21):
        speaker, lines = f"{number:04d}", []
        for block, emotion in enumerate(EMOTIONS):
            for index, part in ((1, "evaluation"), (350, "train")):
                name = f"{speaker}_{350 * block + index:06d}"
                folder = f"{part}/" if number % 2 else ""
                official.put(f"Emotion Speech Dataset/{speaker}/{emotion}/{folder}{name}.wav")
                if number <= 10:
                    lines.append(f"{name}\t打远一看，它们的确很美。\t{CHINESE[emotion]}")
                else:
                    lines.append(f"{name}\tI’ve seen Tom, he is Happy now.\t{emotion}")
        if number == 12:
            lines[2] = "0012_000351\tNo label, no tab Angry"  # lines that are not like the others
            lines[3] = "0012_000700 \t Nothing else"
            lines[4] = "a remark"
        text = "\r\n".join(lines) + "\n"
        official.put(f"Emotion Speech Dataset/{speaker}/{speaker}.txt", text.encode(ENCODINGS.get(number, "utf-8")))
    official.put("Emotion Speech Dataset/ReadMe.txt", "29 hours")
    return official


def test_english(official, capsys):
    data = official.prepare("--allow-partial", "true")["all"].maps
    assert Counter(data["utt2emo"].values()) == dict.fromkeys(("neutral", "angry", "happy", "sad", "surprised"), 20)
    assert set(data["utt2lang"].values()) == {"en"}
    by_gender = {data["utt2gender"][utt]: set() for utt in data["utt2spk"]}
    for utt, speaker in data["utt2spk"].items():
        by_gender[data["utt2gender"][utt]].add(speaker)
    assert by_gender["female"] == {"0015", "0016", "0017", "0018", "0019"}
    # The folder tells the emotion, not a word of the text.
    assert data["text"]["0015-0015_000001"] == "I’ve seen Tom, he is Happy now."
    assert data["utt2emo"]["0015-0015_000351"] == "angry"
    assert Counter(data["text"].values()) == {
        "I’ve seen Tom, he is Happy now.": 97,
        "No label, no tab": 1,
        "Nothing else": 1,
        "": 1,
    }
    assert "note: 1 recordings have no transcript" in capsys.readouterr().err


def test_languages_and_folds(official):
    official.prepare("--allow-partial", "true")
    folds = official.folds()
    assert folds.protocol == "esd-en-5fold"
    assert [sorted({utt[:4] for utt in fold.test}) for fold in folds.folds.values()] == [
        ["0011", "0015"], ["0012", "0016"], ["0013", "0017"], ["0014", "0018"], ["0019", "0020"],
    ]  # fmt: skip
    assert {utt[:4] for utt in folds.folds["5"].dev} == {"0011", "0015"}
    data = official.prepare("--allow-partial", "true", "--language", "zh")["all"].maps
    assert set(data["text"].values()) == {"打远一看，它们的确很美。"}
    assert (official.folds().protocol, set(data["utt2lang"].values())) == ("esd-zh-5fold", {"zh"})
    assert len(official.prepare("--allow-partial", "true", "--language", "all")["all"].utts) == 200
    folds = official.folds()
    assert folds.protocol == "esd-emobox-5fold"
    assert {utt[:4] for utt in folds.folds["1"].test} == {"0005", "0011", "0016", "0018"}


def test_wrong_corpora(official):
    message = official.fails()
    assert "100 utterances instead of 17500, 20 angry instead of 3500" in message
    root = official.corpus / "Emotion Speech Dataset"
    official.put(root / "0011" / "Angry" / "0012_000351.wav")
    assert "not like 0011/Angry/0011_000351.wav; move or remove the file" in official.fails()
    (root / "0011" / "Angry" / "0012_000351.wav").unlink()
    (root / "0011" / "0011.txt").unlink()
    assert "0011.txt: no such file; copy the corpus with its transcripts" in official.fails()
    for folder in root.glob("00*"):
        folder.rename(folder.with_name(f"speaker{folder.name}"))
    message = official.fails()
    assert "expected 00[0-2][0-9], found Emotion Speech Dataset; give the folder" in message
    assert "github.com/HLTSingapore/Emotional-Speech-Data" in message


def test_the_official_split_shares_speakers(official):
    official.put("Emotion Speech Dataset/0011/Sad/test/0011_001071.wav")
    official.prepare("--allow-partial", "true", "--split", "official")
    folds = official.folds()
    assert (folds.protocol, folds.speaker_disjoint) == ("esd-en-official", False)
    fold = folds.folds["1"]
    assert fold.test == ["0011-0011_001071"]
    assert {int(utt[-6:]) % 350 for utt in fold.dev} == {1} and {int(utt[-6:]) % 350 for utt in fold.train} == {0}
    assert "shares 1 of 1 test speakers with train or dev" in folds.description


@pytest.mark.slow
def test_stages_0_and_1(official):
    for path in official.corpus.rglob("*.wav"):
        official.sound(path, 0.1)
    folder, shown = official.run("--stop-stage", "1", "--allow-partial", "true", "--language", "zh")
    assert "protocol esd-zh-5fold" in shown
    assert len((folder / "dump/audio/all/utt2num_samples").read_text().splitlines()) == 100
    assert (folder / "dump/audio/all/utt2lang").read_text().split()[1] == "zh"
    assert "打远一看" in (folder / "dump/audio/all/text").read_text()
