"""MSP-Podcast at small scale: every class, segments without label, unknown speakers, a speaker in two sets."""

import pytest

HEADER = "FileName,EmoClass,EmoAct,EmoVal,EmoDom,SpkrID,Gender,Split_Set"
ROWS = [
    *(f"MSP-PODCAST_0001_{n:04d}.wav,{code},2.2,4.2,3.6,127,Female,Train" for n, code in enumerate("ASHUFDCNXO")),
    "MSP-PODCAST_0002_0001.wav,N,2.2,4.2,3.6,Unknown,Unknown,Train",
    "MSP-PODCAST_0002_0002.wav,A,2.2,4.2,3.6,9,Male,Train",
    "MSP-PODCAST_0003_0001.wav,H,2.2,4.2,3.6,30,Male,Development",
    "MSP-PODCAST_0004_0001.wav,C,2.2,4.2,3.6,9,Male,Test1",
    "MSP-PODCAST_0005_0001.wav,S,2.2,4.2,3.6,Unknown,,Test2",
    "MSP-PODCAST_0006_0001.wav,S,2.2,4.2,3.6,31,Male,Test2",
]


@pytest.fixture
def official(official):
    official.put("Labels/labels_consensus.csv", "\n".join([HEADER, *ROWS, ""]))
    for row in ROWS:
        name = row.split(".")[0]
        official.sound(f"Audios/{name}.wav")
        if "_0003_" not in name:
            official.put(f"Transcripts/{name}.txt", f"so this is\nsegment {name[-4:]}\n")
    return official


def test_eight_classes(official, capsys):
    sets = official.prepare()
    assert {name: len(data.utts) for name, data in sets.items()} == {"train": 10, "dev": 1, "test": 1}
    train = sets["train"].maps
    assert train["utt2emo"]["spk0127-MSP-PODCAST_0001_0005"] == "disgust"
    assert train["text"]["spk0127-MSP-PODCAST_0001_0005"] == "so this is segment 0005"
    assert train["utt2spk"]["podcast0002train-MSP-PODCAST_0002_0001"] == "podcast0002train"
    labels = (official.data / "labels.txt").read_text().split()
    assert labels == ["angry", "contempt", "disgust", "fear", "happy", "neutral", "sad", "surprise"]
    # A speaker of the test set does not train, although the release says so.
    folds = official.folds()
    assert (folds.protocol, folds.speaker_disjoint) == ("msp-podcast-8-official-test1", True)
    assert folds.folds["1"].test == ["spk0009-MSP-PODCAST_0004_0001"]
    assert "spk0009-MSP-PODCAST_0002_0002" not in folds.folds["1"].train
    assert len(folds.folds["1"].train) == 9
    assert capsys.readouterr().err.splitlines() == [
        "note: 1 utterances have an unknown speaker",
        "note: 1 utterances have no transcript; they are kept",
        "note: 1 utterances are not used to train: their speakers are in dev or test",
    ]


def test_four_classes_and_the_other_test_set(official):
    sets = official.prepare("--classes", "4", "--test", "Test2")
    assert list(sets["test"].maps["utt2spk"].values()) == ["podcast0005test", "spk0031"]
    assert sets["test"].maps["utt2gender"]["podcast0005test-MSP-PODCAST_0005_0001"] == "Unknown"
    assert len(sets["train"].utts) == 6
    assert official.folds().protocol == "msp-podcast-4-official-test2"


def test_names_of_earlier_releases(official):
    content = "\n".join([HEADER, *ROWS, ""]).replace("Development", "Validation")
    (official.corpus / "Labels" / "labels_consensus.csv").rename(official.corpus / "Labels" / "labels_concensus.csv")
    official.put("Labels/labels_concensus.csv", content)
    (official.corpus / "Audios").rename(official.corpus / "Audio")
    assert len(official.prepare()["dev"].utts) == 1


def test_incomplete_corpora(official):
    for path in official.corpus.glob("Audios/*_0001_*"):
        path.unlink()
    assert "8 of 12 annotated utterances have no recording, e.g. " in official.fails()
    official.put("Labels/labels_consensus.csv", "\n".join([HEADER, ROWS[0].replace(",A,", ",Angry,")]))
    assert "MSP-PODCAST_0001_0000.wav has the unknown EmoClass 'Angry'; take the original file" in official.fails()
    (official.corpus / "Labels" / "labels_consensus.csv").unlink()
    message = official.fails()
    assert "expected labels_con[sc]ensus.csv, found Audios, Labels, Transcripts; give" in message
    assert "https://lab-msp.com/" in message


@pytest.mark.slow
def test_stages_0_and_1(official):
    folder, _ = official.run("--stop-stage", "1")
    assert len((folder / "dump/audio/train/wav.scp").read_text().splitlines()) == 10
