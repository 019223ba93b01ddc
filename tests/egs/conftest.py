"""A checkout in miniature: the real template, launchers and markers, with stand-ins for the commands of the stages."""

import importlib.util
import json
import os
import random
import runpy
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile

from m4ser.data.datadir import DataDir
from m4ser.data.folds import Folds

ROOT = Path(__file__).resolve().parents[2]

PYTHON = """#!/bin/sh
# The stages' commands are the stand-in, everything else is the real python.
case "$1 $2" in
    "-m m4ser.bin.stages" | "-m m4ser.launch"*) exec "{real}" "$@" ;;
    "-m m4ser.bin."*) exec "{real}" "{standin}" "$@" ;;
    *) exec "{real}" "$@" ;;
esac
"""

STANDIN = """
import json, os, sys, time
from pathlib import Path

module, args = sys.argv[2].rsplit(".", 1)[1], sys.argv[3:]
given = {a: b for a, b in zip(args, args[1:] + [""]) if a.startswith("--")}
with open(os.environ["CALLS"], "a") as file:
    file.write(" ".join([module, *args]) + chr(10))

def put(path, text=""):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)

if os.environ.get("FAIL") == module and given.get("--job", "1") == "1":
    sys.exit(f"error: some.file: cannot be used by {module}; repair it")
if os.environ.get("SLOW") == module and "--job" in given:
    put("slow.pid", str(os.getpid()))
    time.sleep(float(os.environ["SLOW_SECONDS"]))

if "--job" in given and module not in ("train", "infer"):
    sys.exit()  # the work is in the join
folds = list(json.loads(Path(given.get("--data", "data"), "folds.json").read_text())["folds"])
folds = given.get("--folds", "").split() or folds
cells = [f"fold{fold}/seed{seed}" for seed in given.get("--seeds", "1").split() for fold in folds]
if module == "format_audio":
    put(given["--out"] + "/all/wav.scp")
elif module == "extract_feats":
    put(given["--out"] + "/all/feats.scp")
elif module == "asr_decode":
    put(given["--out"] + "/all/text")
elif module == "asr_score":
    put(given["--asr-dir"] + "/all/wer.json", "{}")
elif module == "make_targets":
    put(given["--out"] + "/all/edits")
elif module == "train":
    if "--plan" in given:
        put(given["--exp"] + "/run.json", "{}")
    if "--job" not in given:
        sys.exit()
    path = Path(given["--exp"], cells[int(given["--job"]) - 1], "trained")
    put(path, path.read_text() + "again" if path.exists() else "once")
    put(path.with_name("model.pth"))
elif module == "infer":
    run = Path(given["--exp"], cells[int(given["--job"]) - 1])
    assert (run / "trained").exists()
    for part in given.get("--parts", "dev test").split():
        put(run / f"predictions_{part}.tsv")
elif module == "score":
    put(given["--exp"] + "/RESULTS.md", "| UA |")
    put(given["--exp"] + "/metrics.json", "{}")
    print("table of", given["--exp"], "made by", os.environ["M4SER_COMMAND"])
"""

PREPARE = '''
"""Writes the content of CORPUS/list as data."""
import argparse, json, sys
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--corpus-dir", type=Path)
parser.add_argument("--out", type=Path)
parser.add_argument("--note", default="")
args = parser.parse_args()
if not args.corpus_dir.is_dir():
    sys.exit(f"error: {args.corpus_dir}: no such corpus folder; correct --corpus-dir")
(args.out / "all").mkdir(parents=True, exist_ok=True)
for name in ("wav.scp", "text"):
    (args.out / "all" / name).write_text((args.corpus_dir / "list").read_text())
(args.out / "labels.txt").write_text("happy\\nsad\\n")
part = {"train": ["a"], "dev": ["b"], "test": ["c"]}
folds = {"protocol": "p", "description": "d", "sets": ["all"], "folds": {"1": part, "2": part}}
(args.out / "folds.json").write_text(json.dumps({"made_by": {"command": str(args.corpus_dir)}, **folds}))
print("prepared", args.note)
'''

RUN = """#!/usr/bin/env bash
set -euo pipefail
CDPATH='' cd -- "$(dirname -- "$0")"
exec ../TEMPLATE/ser.sh --nj 1 -- "$@"
"""


@dataclass
class Recipe:
    """The folder of the recipe and what one does with it."""

    root: Path
    path: Path
    calls_file: Path

    def environment(self, **extra):
        env = {key: value for key, value in os.environ.items() if not key.startswith("M4SER_")}
        return env | {"PYTHONPATH": str(ROOT), "CALLS": str(self.calls_file)} | extra

    def popen(self, *words, cwd=None, **extra):
        """Start run.sh."""
        command = [str(self.path / "run.sh") if cwd else "./run.sh", *map(str, words)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, cwd=cwd or self.path, env=self.environment(**extra), **pipes)

    def run(self, *words, cwd=None, **extra):
        """Result of run.sh."""
        process = self.popen(*words, cwd=cwd, **extra)
        stdout, stderr = process.communicate(timeout=120)
        return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)

    def ok(self, *words, **kwargs):
        """What run.sh printed, having ended well."""
        result = self.run(*words, **kwargs)
        assert result.returncode == 0, result.stderr
        return result.stdout + result.stderr

    def calls(self):
        """Names of the stages' commands that were called since the last look, each once, in order."""
        lines = self.calls_file.read_text().splitlines() if self.calls_file.exists() else []
        self.calls_file.unlink(missing_ok=True)
        return list(dict.fromkeys(line.split()[0] for line in lines))


@pytest.fixture
def checkout(tmp_path):
    """A folder with egs/TEMPLATE and tools; spaces and letters beyond ASCII in its path."""
    root = tmp_path / "my répo"
    shutil.copytree(ROOT / "egs" / "TEMPLATE", root / "egs" / "TEMPLATE")
    (root / "tools" / "bin").mkdir(parents=True)
    python = root / "tools" / "bin" / "python"
    python.write_text(PYTHON.format(real=sys.executable, standin=root / "tools" / "standin.py"))
    python.chmod(0o755)
    (root / "tools" / "standin.py").write_text(STANDIN)
    (root / "tools" / "activate_python.sh").write_text(f'export PATH="{root}/tools/bin:$PATH"\n')
    return root


@pytest.fixture
def recipe(checkout):
    """A recipe with the corpus folder `corpus`."""
    path = checkout / "egs" / "stub"
    for folder in ("local", "conf", "corpus"):
        (path / folder).mkdir(parents=True)
    (path / "local" / "prepare.py").write_text(PREPARE)
    (path / "conf" / "train_m4ser.yaml").write_text("fusion: concat\n")
    (path / "corpus" / "list").write_text("a x\nb y\nc z\n")
    (path / "run.sh").write_text(RUN)
    (path / "run.sh").chmod(0o755)
    return Recipe(checkout, path, checkout / "calls.log")


class Official:
    """One of our recipes and a small corpus in its official layout."""

    def __init__(self, name, folder, checkout, monkeypatch):
        self.name, self.checkout, self.monkeypatch = name, checkout, monkeypatch
        self.corpus, self.data = folder / "a còrpus", folder / "data"
        self.corpus.mkdir()

    def put(self, path, content=""):
        """Write a file of the corpus: text or bytes."""
        path = self.corpus / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def sound(self, path, seconds=0.3, rate=16000, channels=1):
        """Write noise as wav or flac."""
        path = self.put(path)
        noise = np.random.default_rng(0).normal(0, 0.1, (int(seconds * rate), channels))
        soundfile.write(path, noise, rate)

    def prepare(self, *options):
        """Run local/prepare.py in this process."""
        program = ROOT / "egs" / self.name / "local" / "prepare.py"
        words = [str(program), "--corpus-dir", str(self.corpus), "--out", str(self.data), *options]
        self.monkeypatch.setattr(sys, "argv", words)
        runpy.run_path(str(program), run_name="__main__")
        return self.sets()

    def fails(self, *options):
        """The one line that says why local/prepare.py fails."""
        with pytest.raises(SystemExit) as stop:
            self.prepare(*options)
        message = str(stop.value)
        assert message.startswith("error: ") and "\n" not in message
        assert not (self.data / "folds.json").exists()
        return message

    def sets(self):
        """Data directories that are there."""
        return {file.parent.name: DataDir.read(file.parent) for file in sorted(self.data.glob("*/wav.scp"))}

    def folds(self):
        """Folds, checked."""
        spk = {utt: s for data in self.sets().values() for utt, s in data.maps["utt2spk"].items()}
        return Folds.read(self.data / "folds.json", spk)

    def run(self, *words):
        """Run run.sh with the real commands in a copy of the recipe; the folder it ran in."""
        folder = self.checkout / "egs" / self.name
        shutil.copytree(
            ROOT / "egs" / self.name, folder, ignore=shutil.ignore_patterns("data", "dump", "exp"), dirs_exist_ok=True
        )
        python = Path(sys.executable).parent
        (self.checkout / "tools" / "activate_python.sh").write_text(f'export PATH="{python}:$PATH"\n')
        env = {key: value for key, value in os.environ.items() if not key.startswith("M4SER_")}
        command = ["./run.sh", "--corpus-dir", str(self.corpus), "--speech-encoder", "none", "--nj", "1", *words]
        result = subprocess.run(
            command, cwd=folder, env=env | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=120
        )
        assert result.returncode == 0, result.stderr
        return folder, result.stdout + result.stderr


@pytest.fixture
def official(request, tmp_path, checkout, monkeypatch):
    """The recipe of the test module's name: test_<recipe>_prepare.py."""
    name = request.module.__name__.rpartition(".")[2].removeprefix("test_").removesuffix("_prepare")
    return Official(name, tmp_path, checkout, monkeypatch)


class Toy:
    """A checkout with the recipe egs/csv, its corpus and the options of a short run."""

    short = "--max_epoch 2 --keep_nbest_models 1 --batch_size 8 --text_encoder_conf trained_layers=1"

    def __init__(self, root: Path, whisper: Path, bert: Path):
        self.root, self.recipe = root, root / "egs/csv"
        shutil.copytree(ROOT / "egs/TEMPLATE", root / "egs/TEMPLATE")
        shutil.copytree(ROOT / "egs/csv", self.recipe, ignore=shutil.ignore_patterns("data", "dump", "exp"))
        (root / "tools").mkdir()
        (root / "tools/activate_python.sh").write_text(f'export PATH="{Path(sys.executable).parent}:$PATH"\n')
        self._corpus(root / "corpus")
        self.options = [
            *("--csv", root / "corpus/list.csv", "--audio-dir", root / "corpus", "--nj", 2),
            *("--speech-encoder", whisper, "--text-encoder", bert, "--asr", "reference", "--asr-conf", "wer=0.3"),
            *("--train-args", self.short),
        ]

    @staticmethod
    def _corpus(folder: Path) -> None:
        rng, chosen = np.random.default_rng(1), random.Random(1)
        folder.mkdir()
        lines = ["file,emotion,speaker,text,split"]
        for speaker, split in (("a", "train"), ("b", "train"), ("c", "dev"), ("d", "test")):
            for k in range(8):
                emotion = ("happy", "sad")[k % 2]
                tone = np.sin(2 * np.pi * (300 if emotion == "happy" else 120) * np.arange(9600 + 400 * k) / 16000)
                soundfile.write(folder / f"{speaker}{k}.wav", 0.3 * tone + 0.01 * rng.normal(size=tone.shape), 16000)
                words = chosen.sample("i we am are so very really today now here".split(), 4)
                lines.append(f"{speaker}{k}.wav,{emotion},{speaker},{' '.join([*words, emotion])},{split}")
        (folder / "list.csv").write_text("\n".join(lines) + "\n")

    def start(self, *words) -> subprocess.Popen:
        """Start run.sh in a session of its own, so that a kill reaches all of its processes."""
        env = {key: value for key, value in os.environ.items() if not key.startswith("M4SER_")}
        command = ["./run.sh", *map(str, self.options), *map(str, words)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.Popen(command, cwd=self.recipe, env=env, start_new_session=True, **pipes)

    def run(self, *words) -> str:
        """Run to the end; what was printed."""
        process = self.start(*words)
        output = process.communicate(timeout=280)[0]
        assert process.returncode == 0, output
        return output

    def result(self, tag: str) -> tuple[dict, bytes]:
        """Metrics without their header, and the predictions they were made from."""
        metrics = json.loads((self.recipe / f"exp/{tag}/metrics.json").read_text())
        for key in ("made_by", "trained_with"):
            metrics.pop(key)
        return metrics, (self.recipe / f"exp/{tag}/fold1/seed1/predictions_test.tsv").read_bytes()


@pytest.fixture(scope="module")
def toy_recipe(tmp_path_factory, tiny_whisper, tiny_bert):
    """Function that makes a :class:`Toy`, its folder with spaces and letters beyond ASCII."""
    return lambda: Toy(tmp_path_factory.mktemp("toy") / "my répo", tiny_whisper, tiny_bert)


@pytest.fixture(scope="session")
def load_program():
    """A function from a program's place in ``egs/`` to its module."""

    def load(place):
        path = ROOT / "egs" / place
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load
