"""CMU-MOSEI at small scale: five videos, intervals with one, two and no emotion, times outside of the recording."""

import json

import h5py
import numpy as np
import pytest
import soundfile

# sentiment, happy, sad, anger, surprise, disgust, fear
SCORES = {
    "happy": [1.0, 0.66, 0, 0, 0.33, 0, 0],
    "fear": [-0.33, 0, 0.33, 0, 0, 0, 1.0],
    "tie": [0.0, 0.66, 0.66, 0, 0, 0, 0],
    "none": [-2.0, 0, 0, 0, 0, 0, 0],
}
VIDEOS = {
    "-3g5yACwYnA": [("happy", 0.0, 0.5), ("fear", 0.5, 1.2), ("tie", 1.2, 1.7)],
    "100178": [("none", -0.1, 0.4), ("happy", 0.4, 2.3)],  # begins before and ends after its recording
    "_dev_": [("fear", 0.2, 0.9)],
    "a.b": [("happy", 0.2, 0.9), ("fear", 7.0, 9.0)],  # the second one is outside
    "unused": [("happy", 0.0, 1.0)],
}


@pytest.fixture
def official(official):
    with h5py.File(official.put("CMU_MOSEI_Labels.csd"), "w") as file:
        for video, intervals in VIDEOS.items():
            group = file.create_group(f"All Labels/data/{video}")
            group["features"] = np.array([SCORES[scores] for scores, _, _ in intervals], np.float32)
            group["intervals"] = np.array([(start, end) for _, start, end in intervals], np.float32)
            official.sound(f"Raw/Audio/Full/WAV_16000/{video}.wav", 2.0)
            lines = [f"{video}___{n}___{a:.4f}___{b:.2f}___It’s {s} ___ so" for n, (s, a, b) in enumerate(intervals)]
            official.put(f"Raw/Transcript/Segmented/Combined/{video}.txt", "\n".join(lines[::-1]) + "\n")
        file["All Labels/metadata/dimension names"] = [json.dumps(["sentiment", "happy"])]
    folds = {"train": ["-3g5yACwYnA", "100178"], "valid": ["_dev_"], "test": ["a.b", "gone"]}
    lists = "\n".join(f"standard_{name}_fold={videos}\n" for name, videos in folds.items())
    official.put("cmu_mosei_std_folds.py", f"import nothing_that_exists\n{lists}")
    return official


def test_emotions(official, capsys):
    sets = official.prepare()
    train = sets["train"].maps
    assert train["utt2emo"] == {"v-3g5yACwYnA-0000": "happy", "v-3g5yACwYnA-0001": "fear", "v100178-0001": "happy"}
    assert train["text"]["v-3g5yACwYnA-0001"] == "It’s fear ___ so"
    assert train["utt2spk"]["v100178-0001"] == "v100178"
    assert train["segments"]["v100178-0001"].split()[1:] == ["0.400", "2.000"]
    assert (official.data / "labels.txt").read_text().split() == [
        "anger",
        "disgust",
        "fear",
        "happy",
        "sad",
        "surprise",
    ]
    assert sets["test"].utts == ["va.b-0000"]
    assert official.folds().protocol == "cmu-mosei-emotion-standard"
    assert sorted(capsys.readouterr().err.splitlines()) == [
        "note: 1 intervals are outside of their recording; they are left out",
        "note: 1 videos of the standard folds have no labels",
        "note: 2 intervals have no single label for emotion; they are left out",
    ]


def test_sentiments(official):
    sets = official.prepare("--task", "sentiment3")
    assert list(sets["train"].maps["utt2emo"].values()) == ["positive", "negative", "neutral", "negative", "positive"]
    assert sets["train"].maps["segments"]["v100178-0000"].split()[1:] == ["0.000", "0.400"]
    assert official.folds().protocol == "cmu-mosei-sentiment3-standard"
    sets = official.prepare("--task", "sentiment2")
    assert list(sets["train"].maps["utt2emo"].values()) == ["positive", "negative", "negative", "positive"]


def test_incomplete_corpora(official):
    (official.corpus / "Raw/Audio/Full/WAV_16000/100178.wav").unlink()
    assert "1 of 5 annotated utterances have no recording, e.g. " in official.fails()
    assert len(official.prepare("--allow-partial", "true")["train"].utts) == 2
    (official.data / "folds.json").unlink()
    (official.corpus / "cmu_mosei_std_folds.py").unlink()
    message = official.fails()
    assert "expected cmu_mosei_std_folds.py, found CMU_MOSEI_Labels.csd, Raw; give the folder" in message
    assert "https://github.com/CMU-MultiComp-Lab/CMU-MultimodalSDK" in message


def test_damaged_files(official):
    """A damaged recording is left to stage 1, which names or skips it; damaged labels and lists are named."""
    (official.corpus / "Raw/Audio/Full/WAV_16000/_dev_.wav").write_bytes(b"")
    assert official.prepare()["dev"].utts == ["v_dev_-0000"]
    (official.data / "folds.json").unlink()
    labels, lists = official.corpus / "CMU_MOSEI_Labels.csd", official.corpus / "cmu_mosei_std_folds.py"
    whole = labels.read_bytes()
    labels.write_bytes(whole[: len(whole) // 2])
    assert "CMU_MOSEI_Labels.csd: cannot be read (" in official.fails()
    labels.write_bytes(whole)
    lists.write_text(lists.read_text().replace("standard_valid_fold", "valid"))
    assert "cmu_mosei_std_folds.py has no standard_valid_fold; take the original file" in official.fails()


@pytest.mark.slow
def test_stages_0_and_1(official):
    folder, _ = official.run("--stop-stage", "1", "--prepare-args", "--task sentiment2")
    frames = {path.stem: soundfile.info(path).frames for path in (folder / "dump/audio/train/flac").iterdir()}
    assert frames == {
        "v-3g5yACwYnA-0000": 8000,
        "v-3g5yACwYnA-0001": 11200,
        "v100178-0000": 6400,
        "v100178-0001": 25600,
    }
