"""Every configuration trains through the real scripts: real commands, a toy corpus, tiny models."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from m4ser.training.configuration import read_config, systems

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
SHORT = """common: {max_epoch: 1, keep_nbest_models: [1], batch_size: 8}
speech_text: {text_encoder_conf: {trained_layers: 1}}
espnet: {encoder_conf: {num_blocks: 1}}
egemaps_svm: {max_iter: 500}
egemaps_logistic: {max_iter: 500}
"""


@pytest.mark.timeout(900)
def test_a_new_recipe_compares_all_systems(tmp_path, tiny_whisper, tiny_bert):
    """setup.sh, a corpus in the layout that the new recipe reads, then compare.sh without a list of systems."""
    root = tmp_path / "my répo"
    shutil.copytree(ROOT / "egs/TEMPLATE", root / "egs/TEMPLATE")
    (root / "tools").mkdir()
    (root / "tools/activate_python.sh").write_text(f'export PATH="{Path(sys.executable).parent}:$PATH"\n')
    subprocess.run([root / "egs/TEMPLATE/setup.sh", "egs/x"], cwd=root, check=True, timeout=60)
    recipe, rng = root / "egs/x", np.random.default_rng(1)
    for speaker in "abcde":
        (root / "corpus" / speaker).mkdir(parents=True)
        for number, emotion in enumerate(("angry", "happy", "neutral", "sad") * 2):
            tone = np.sin(2 * np.pi * (120 + 60 * number) * np.arange(9600 + 400 * number) / 16000)
            file = root / f"corpus/{speaker}/{number:03d}_{emotion}.wav"
            soundfile.write(file, 0.3 * tone + 0.01 * rng.normal(size=tone.shape), 16000)
            file.with_suffix(".txt").write_text(f"we are {emotion} today\n")
    (root / "egs/TEMPLATE/db.local.sh").write_text('X="$M4SER_ROOT/corpus"\n')
    (recipe / "conf").mkdir()
    (recipe / "conf/recipe.yaml").write_text(SHORT)
    env = {key: value for key, value in os.environ.items() if not key.startswith("M4SER_")}
    tiny = f"--speech-encoder {tiny_whisper} --text-encoder {tiny_bert} --asr reference --asr-conf wer=0.3 --nj 1"
    command = ["../TEMPLATE/compare.sh", "--seeds", "1", "--folds", "1", "--at-once", "2", "--run-args", tiny]
    result = subprocess.run(command, cwd=recipe, env=env, capture_output=True, text=True, timeout=900)
    assert result.returncode == 0, result.stderr

    conf = recipe / "conf"
    encoders = {name: read_config(conf / f"train_{name}.yaml").get("speech_encoder") for name in systems(recipe)}
    compared = [name for name, encoder in encoders.items() if encoder in (None, "precomputed")]
    assert len(compared) == 25
    table = (recipe / "exp/comparison.md").read_text()
    for name in compared:
        assert f"\n| {name} |" in table
        info = json.loads((recipe / f"exp/{name}/fold1/seed1/train_info.json").read_text())
        assert info["trained_parameters"] > 0, name
        merged = read_config(recipe / f"exp/{name}/train_config.yaml")
        assert merged == read_config(conf / f"train_{name}.yaml")
        assert merged.get("max_epoch", 1) == 1, name


@pytest.fixture(scope="module")
def toy(toy_recipe):
    """A recipe whose stages 0 to 3 are done, with what RAVDESS has of its own."""
    toy = toy_recipe()
    shutil.copytree(ROOT / "egs/ravdess/conf", toy.recipe / "conf", dirs_exist_ok=True)
    toy.run("--stop-stage", 3)
    return toy


@pytest.mark.parametrize("system", ["whisper_lora", "whisper_finetune"])
def test_systems_of_one_recipe_train(toy, system):
    words = ("--train-config", f"conf/train_{system}.yaml", "--tag", system)
    output = toy.run(*words, "--train-args", toy.short, "--stage", 0, "--stop-stage", 4)
    assert "stage 3: done already" in output
    info = json.loads((toy.recipe / f"exp/{system}/fold1/seed1/train_info.json").read_text())
    assert info["trained_parameters"] > 0


def test_encoders_from_scratch_need_no_pretrained_model(toy):
    shutil.copy(ROOT / "egs/mini/conf/train_conformer_scratch.yaml", toy.recipe / "conf")
    own = ("--train-config", "conf/train_conformer_scratch.yaml", "--speech-encoder", "", "--text-encoder", "")
    output = toy.run(*own, "--train-args", "--max_epoch 2 --text_encoder_conf tokens=60", "--tag", "scratch")
    assert "features of" not in output
    assert "sentencepiece models of 60 tokens" in output
    assert "| pooled " in output
    assert json.loads((toy.recipe / "exp/scratch/run.json").read_text())["speech_encoder"] == "conformer"
