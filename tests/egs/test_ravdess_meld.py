"""The recipe for pairs of recordings and lines through run.sh: toy dumps of both as their own recipes leave them."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from m4ser.data.datadir import DataDir, Utterance
from m4ser.data.features import FeatureWriter
from m4ser.data.folds import Fold, Folds, choose_dev_speakers, speaker_folds
from m4ser.data.scp import read_scp, write_scp
from m4ser.utils.files import write_json

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
FEATS, ASR = "feats/whisper-tiny.en_pool8", "asr/faster_whisper_whisper-tiny.en-ct2"
VOICES = ("angry", "calm", "disgust", "fearful", "happy", "neutral", "sad", "surprised")
LINES = ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise")


def finish(folder, *steps):
    for step in steps:
        (folder / step / ".done").write_text("1")


def voices(folder):
    """Four actors who say each emotion once; the features tell the emotion."""
    flac = folder / "dump/audio/all/one.flac"
    utts = [Utterance(f"A{a}-{e}", flac, f"A{a}", e, "Kids are talking") for a in range(4) for e in VOICES]
    data = DataDir.write(folder / "data/all", utts)
    data.maps["utt2num_samples"] = dict.fromkeys(data.utts, "1600")
    data.save_into(folder / "dump/audio/all")
    soundfile.write(flac, np.random.default_rng(0).normal(0, 0.1, 1600), 16000)
    groups = [[f"A{a}"] for a in range(4)]
    folds = speaker_folds(data.maps["utt2spk"], groups, choose_dev_speakers(groups, 1))
    Folds("voices-4fold", "", labels=list(VOICES), folds=folds).write(folder / "data/folds.json")
    with FeatureWriter(folder / "dump" / FEATS / "all") as writer:
        for utt, label in data.maps["utt2emo"].items():
            noise = np.random.default_rng(len(utt)).normal(size=(6, 16))
            writer.write(utt, (noise + 2 * np.eye(16)[VOICES.index(label)]).astype(np.float32))
    write_scp(folder / "dump" / FEATS / "all/utt2num_frames", writer.num_frames)
    info = {"encoder": "offline:whisper-tiny.en", "layers": [0, 1], "dim": 8, "frame_rate": 6.25, "pool": 8}
    write_json(folder / "dump" / FEATS / "all/info.json", info)
    finish(folder / "dump", "audio", FEATS)


def words(folder, noise, heard):
    """Three lines of each emotion in each part, prepared with this noise; of every text this word was heard wrong."""
    data, dump = folder / "data" / noise, folder / "dump" / noise
    flac = folder / "one.flac"
    flac.parent.mkdir(exist_ok=True)
    flac.touch()
    parts = {}
    for part in ("train", "dev", "test"):
        utts = [
            Utterance(f"Ross-{part}_{e}{k}", flac, "Ross", e, f"so {e} {part} {k}", set=part)
            for e in LINES
            for k in range(3)
        ]
        written = DataDir.write(data / part, utts)
        written.save(dump / "audio" / part)
        parts[part] = written.utts
        texts = {utt: text.replace("so", heard) for utt, text in written.maps["text"].items()}
        write_scp(dump / ASR / part / "text", texts)
        write_scp(dump / ASR / part / "word_confidence", {utt: "0.5000 1.0000 1.0000 0.9000" for utt in texts})
    folds = Folds("lines-63", "", sets=sorted(parts), labels=list(LINES), folds={"1": Fold(**parts)})
    folds.speaker_disjoint = False
    folds.write(data / "folds.json")
    finish(dump, "audio", ASR)


@pytest.fixture
def pairs(checkout):
    """Function that runs the recipe next to the toy `ravdess` and `meld_tts`."""
    voices(checkout / "egs/ravdess")
    words(checkout / "egs/meld_tts", "clean", "sew")
    words(checkout / "egs/meld_tts", "babble0", "sow")
    folder = checkout / "egs/ravdess_meld"
    shutil.copytree(ROOT / "egs/ravdess_meld", folder, ignore=shutil.ignore_patterns("data", "dump", "exp"))
    python = Path(sys.executable).parent
    (checkout / "tools/activate_python.sh").write_text(f'export PATH="{python}:$PATH"\n')
    env = {key: value for key, value in os.environ.items() if not key.startswith("M4SER_")}

    def run(*words, script="./run.sh", ok=True):
        command = [script, *map(str, words)]
        result = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=900)
        assert (result.returncode == 0) == ok, result.stdout + result.stderr
        return result.stdout + result.stderr if ok else result.stderr

    run.folder = folder
    return run


def test_from_both_dumps_to_a_table(pairs):
    short = ("--train-config", "conf/train_concat.yaml", "--train-args", "--max_epoch 1 --keep_nbest_models 1")
    clean = ("--words", "../meld_tts/data/clean", "--lines-per-clip", "2", "--nj", "2")
    shown = pairs(*clean, *short, "--tag", "x", "--folds", "1 3")
    assert "note: 28 recordings are paired with 63 lines" in shown
    folds = json.loads((pairs.folder / "data/folds.json").read_text())
    assert folds["protocol"] == "pairs-2-voices-4fold-lines-63"
    assert folds["paired"]["words"] == {
        "data": "../meld_tts/data/clean",
        "dump": "../meld_tts/dump/clean",
        "protocol": "lines-63",
    }
    assert {name: len(fold["test"]) for name, fold in folds["folds"].items()} == dict.fromkeys("1234", 14)
    data = DataDir.read(pairs.folder / "data/all")
    pair = folds["folds"]["3"]["test"][0]
    line = data.maps["utt2line"][pair]
    assert pair == f"A2-angry+{line}" and line.startswith("Ross-test_anger") and data.maps["utt2spk"][pair] == "A2"
    feats = read_scp(pairs.folder / "dump" / FEATS / "all/feats.scp")
    assert feats[pair] == read_scp(pairs.folder.parent / "ravdess/dump" / FEATS / "all/feats.scp")["A2-angry"]
    assert feats[pair].startswith(str(pairs.folder.parent / "ravdess/dump"))  # nothing is copied
    dump = pairs.folder / "dump"
    assert read_scp(dump / ASR / "all/text")[pair] == data.maps["text"][pair].replace("so", "sew")
    assert read_scp(dump / ASR / "all/word_confidence")[pair] == "0.5000 1.0000 1.0000 0.9000"
    edits = json.loads(read_scp(dump / "text" / ASR[4:] / "all/edits")[pair])
    assert edits["words"][0] == "sew" and edits["changes"][0][1] == "so"
    metrics = json.loads((pairs.folder / "exp/x/metrics.json").read_text())
    assert metrics["pooled"]["utterances"] == 28 and metrics["asr_word_errors"]["wer"] == 0.25
    again = pairs(*clean, *short, "--tag", "x", "--folds", "1 3")
    assert all(f"stage {stage}: done already" in again for stage in range(6))


def test_noise_changes_the_words_heard_and_nothing_else(pairs):
    for noise in ("clean", "babble0"):
        place = ("--data", f"data/{noise}", "--dump", f"dump/{noise}", "--lines-per-clip", "3")
        pairs("--words", f"../meld_tts/data/{noise}", *place, "--stop-stage", "2")
    texts = [read_scp(pairs.folder / "dump" / noise / ASR / "all/text") for noise in ("clean", "babble0")]
    assert texts[0].keys() == texts[1].keys() and all(text.startswith("sow") for text in texts[1].values())
    folds = [json.loads((pairs.folder / "data" / noise / "folds.json").read_text()) for noise in ("clean", "babble0")]
    assert folds[0]["folds"] == folds[1]["folds"]


def test_faults(pairs):
    message = pairs("--words", "../meld_tts/data/white5", ok=False).splitlines()[-1]
    assert (
        message.startswith("error: ") and "folds.json: no such file; run stages 0 to 2 of that recipe first" in message
    )
    message = pairs("--words", "../meld_tts/data/clean", "--lines-per-clip", "4", ok=False).splitlines()[-1]
    assert "meld_tts/data/clean: train, anger: there are 3 lines for 4 of a clip; prepare more lines, or ask" in message


@pytest.mark.timeout(900)
def test_a_row_for_each_noise(pairs):
    for noise, heard in (("clean", "sew"), ("babble0", "sow")):
        words(pairs.folder.parent / "meld_tts", f"9988/{noise}", heard)
    short = "--train-args '--max_epoch 1 --keep_nbest_models 1' --nj 2"
    options = ("--configs", "speech late", "--baseline", "late", "--folds", "1", "--lines-per-clip", "1")
    pairs("--conditions", "reference babble0", *options, "--run-args", short, script="./run_study.sh")
    table = (pairs.folder / "exp/study.md").read_text()
    assert "reference text" in table and "babble 0 dB" in table and "late" in table
    assert "asr_word_errors" in (pairs.folder / "exp/reference/late/metrics.json").read_text()
    metrics = json.loads((pairs.folder / "exp/babble0/late/metrics.json").read_text())
    assert metrics["asr_word_errors"]["wer"] == 0.25
    assert sorted(path.name for path in (pairs.folder / "data").iterdir()) == ["babble0", "clean"]
    message = pairs("--conditions", "pink3", script="./run_study.sh", ok=False)
    assert "--conditions: pink3 is none of reference, clean, white10, babble5 ..." in message
