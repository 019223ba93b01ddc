"""Stages 1 and 2 killed at random moments: at most one chunk is lost each time, and the results are the same.

The suite has a few kills; ``M4SER_TEST_KILLS=20`` makes it as many.
"""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from m4ser.data.datadir import DataDir, Utterance

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("M4SER_TEST_KILLS", "5"))
UTTERANCES = 24
BATCH = {"formatting": 1, "extraction": 1, "decoding": 3}

# Runs the three steps in a child as run.sh does, as often as it takes, and kills it at the given moments: so many
# recordings after its begin, and so much later. Libraries are imported once. A line of begun.txt: the attempt, the
# step, the recording.
PROGRAM = """
import json, os, signal, sys, time
from pathlib import Path

import faster_whisper, torch, transformers
from m4ser.asr import decoding
from m4ser.bin import asr_decode, extract_feats, format_audio
from m4ser.data import formatting
from m4ser.models.encoders import extraction, frozen
from m4ser.stages import markers

whisper, save_every, kills = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
begun = Path("begun.txt")
begun.touch()

def noted(module, attempt):
    name, load = module.__name__.rpartition(".")[2], module.load_16k
    def load_16k(path, *rest):
        with begun.open("a") as file:
            file.write(f"{attempt} {name} {Path(path).stem}\\n")
        return load(path, *rest)
    module.load_16k = load_16k

def stages(attempt):
    for module in (formatting, extraction, decoding):
        noted(module, attempt)
    split = ["--nj", "2", "--save-every", save_every, "--keep-parts"]
    step(1, "dump/audio", format_audio, split)
    step(1, "dump/feats/x", extract_feats, ["--speech-encoder", whisper, "--pool", "2", *split])
    step(2, "dump/asr/x", asr_decode, ["--asr-conf", "batch_size=3", *split])

def step(number, folder, command, words):
    Path(folder).mkdir(parents=True, exist_ok=True)
    this = markers.Step(number, folder, leftovers=markers.Leftovers.REMOVE)
    if not markers.is_done(this) and markers.begin(this):
        command.main(["--out", folder, *words])
        markers.finish(folder)

for attempt, kill in enumerate([*kills, None]):
    before = begun.read_text().count("\\n")
    child = os.fork()
    if child == 0:
        stages(attempt)
        os._exit(0)
    if kill is None:
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    while begun.read_text().count("\\n") < before + kill[0]:
        assert os.waitpid(child, os.WNOHANG) == (0, 0), "ended before it was killed"
        time.sleep(0.002)
    time.sleep(kill[1])
    os.kill(child, signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
"""


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    """Recordings of 0.2 to 0.8 s and their data directory; the current folder."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    utterances = []
    for number in range(UTTERANCES):
        name = f"s{number % 3}-{number:02d}"
        time = np.arange(3200 + 320 * (7 * number % UTTERANCES)) / 16000
        soundfile.write(
            f"{name}.wav", 0.3 * np.sin(900 * time * (1 + time)) + 0.01 * rng.normal(size=time.shape), 16000
        )
        utterances.append(Utterance(name, Path(f"{name}.wav"), name[:2], "sad", "oh no"))
    DataDir.write("data/all", utterances)
    return tmp_path


def run(whisper, save_every, kills):
    """Run the steps; the recordings begun by each attempt and step."""
    words = [sys.executable, "-c", PROGRAM, str(whisper), str(save_every), json.dumps(kills)]
    subprocess.run(words, check=True, timeout=280, stdout=subprocess.DEVNULL)
    attempts = [{name: [] for name in BATCH} for _ in range(len(kills) + 1)]
    for line in Path("begun.txt").read_text().splitlines():
        attempt, name, utterance = line.split()
        attempts[int(attempt)][name].append(utterance)
    return attempts


def dump():
    """All files and folders of the dump by name, hidden ones, too; JSON without the header and the times."""
    contents = {}
    for path in sorted(Path("dump").rglob("*")):
        if path.is_dir():
            contents[path] = None
        elif path.suffix == ".json" or path.name == ".done":
            content = json.loads(path.read_text())
            unlike = ("made_by", "job_seconds", "cpu_seconds", "real_time_factor", "cpu_real_time_factor")
            contents[path] = {key: value for key, value in content.items() if key not in unlike}
        else:
            contents[path] = path.read_bytes()
    return contents


def test_killed_at_random_moments(corpus, tiny_whisper):
    (undisturbed,) = run(tiny_whisper, 30, [])
    assert {name: len(utts) for name, utts in undisturbed.items()} == dict.fromkeys(BATCH, UTTERANCES)
    whole = dump()
    Path("dump").rename("whole")
    Path("begun.txt").unlink()

    rng = random.Random(1)
    pace = 3 * UTTERANCES // KILLS  # kills from the first recording to the last
    kills = [(rng.randint(pace // 2, pace), 0.05 * rng.random()) for _ in range(KILLS)]
    attempts = run(tiny_whisper, 0, kills)
    for number, begun in enumerate(attempts):
        for name, utterances in begun.items():
            later = {utt for attempt in attempts[number + 1 :] for utt in attempt[name]}
            lost = [utt for utt in utterances if utt in later]
            assert len(lost) <= BATCH[name], f"attempt {number}, {name}: made again: {lost}"
    assert dump().keys() == whole.keys()
    for path, content in dump().items():
        assert content == whole[path], path
