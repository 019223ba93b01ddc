"""The real run.sh with real commands on a toy corpus and tiny models: all configurations, and kills at every stage."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from m4ser.bin import report_html

ROOT = Path(__file__).resolve().parents[2]
CONFIGURATIONS = sorted(path.stem for path in (ROOT / "egs/ravdess/conf").glob("train_*.yaml"))
SHORT = "--max_epoch 2 --keep_nbest_models 1 --batch_size 8 --text_encoder_conf trained_layers=1"
SHORT_OTHERS = {  # options that other tasks than ours know
    "train_espnet_cls": "--max_epoch 2 --keep_nbest_models 1 --batch_size 8 --encoder_conf num_blocks=1",
    "train_espnet_asr": "--max_epoch 2 --keep_nbest_models 1 --batch_size 8 --encoder_conf num_blocks=1",
    "train_egemaps_svm": "--max_iter 500",
    "train_egemaps_logistic": "--max_iter 500",
}


class Toy:
    """A checkout with the recipe egs/csv, its corpus and the options of a short run."""

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
            *("--train-args", SHORT),
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
def toy(tmp_path_factory, tiny_whisper, tiny_bert):
    """A recipe that has run to its end once, with the configuration m4ser."""
    toy = Toy(tmp_path_factory.mktemp("whole") / "my répo", tiny_whisper, tiny_bert)
    toy.first_output = toy.run("--tag", "first")
    return toy


def test_runs_from_audio_to_a_table(toy):
    assert "| pooled |" in toy.first_output
    table = (toy.recipe / "exp/first/RESULTS.md").read_text()
    assert table.startswith("> Made by `./run.sh ")
    assert (toy.recipe / "exp/first/confusion.png").read_bytes().startswith(b"\x89PNG")
    wer = json.loads(next(toy.recipe.glob("dump/asr/*/all/wer.json")).read_text())
    assert 0.1 < wer["normalised"]["wer"] < 0.5
    again = toy.run("--tag", "first")
    assert [line.split("] ")[1] for line in again.splitlines() if "done already" in line] == [
        f"stage {number}: done already" for number in range(6)
    ]


def test_report_of_a_finished_run(toy):
    report_html.main([str(toy.recipe / "exp/first")])
    page = (toy.recipe / "exp/first/report.html").read_text(encoding="utf-8")
    history = json.loads((toy.recipe / "exp/first/fold1/seed1/history.json").read_text())
    assert list(history["epochs"]) == ["1", "2"]
    for name in ("training", "vectors", "per_speaker", "confusion"):
        assert (toy.recipe / f"exp/first/{name}.png").read_bytes().startswith(b"\x89PNG")
    # Eight test utterances: as vectors, and as three representations each.
    points = re.findall(r"<title>(d\S+), ([a-z-]+): (?:happy|sad)", page)
    assert len(points) == len(set(points)) == 8 + 24
    assert {kind for _, kind in points} == {"utterance", "speech-specific", "text-specific", "invariant"}


def test_killed_at_every_stage_ends_with_the_same_table(toy):
    shutil.copytree(toy.recipe / "exp/first", toy.root / "undisturbed")
    expected = toy.result("first")
    for folder in ("data", "dump", "exp"):
        shutil.rmtree(toy.recipe / folder)
    for stage in range(6):
        process = toy.start("--tag", "first")
        for line in process.stdout:
            if f"] stage {stage}: " in line and "done already" not in line:
                break
        else:
            pytest.fail(f"stage {stage} did not start")
        # Deep enough to have begun its work, not so deep that it could be over.
        time.sleep(0.4 if stage < 4 else 6.5)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
    toy.run("--tag", "first")
    assert toy.result("first") == expected


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_every_configuration_trains(toy, configuration):
    tag = configuration.removeprefix("train_")
    options = ("--train-args", SHORT_OTHERS.get(configuration, SHORT))
    shutil.copy(ROOT / f"egs/ravdess/conf/{configuration}.yaml", toy.recipe / "conf")  # it may have some of its own
    output = toy.run("--train-config", f"conf/{configuration}.yaml", *options, "--stage", 0, "--stop-stage", 4)
    assert "stage 3: done already" in output
    info = json.loads((toy.recipe / f"exp/{_only(toy, tag)}/fold1/seed1/train_info.json").read_text())
    assert info["trained_parameters"] > 0


def test_encoders_from_scratch_need_no_pretrained_model(toy):
    shutil.copy(ROOT / "egs/mini/conf/train_conformer_scratch.yaml", toy.recipe / "conf")
    own = ("--train-config", "conf/train_conformer_scratch.yaml", "--speech-encoder", "", "--text-encoder", "")
    output = toy.run(*own, "--train-args", "--max_epoch 2 --text_encoder_conf tokens=60", "--tag", "scratch")
    assert "features of" not in output
    assert "sentencepiece models of 60 tokens" in output
    assert "| pooled |" in output
    assert json.loads((toy.recipe / "exp/scratch/run.json").read_text())["speech_encoder"] == "conformer"


def _only(toy: Toy, prefix: str) -> str:
    """The experiment whose tag begins with a configuration's name; options other than the defaults are added to it."""
    (found,) = (p.name for p in (toy.recipe / "exp").iterdir() if p.name.startswith(f"{prefix}_tiny_whisper"))
    return found
