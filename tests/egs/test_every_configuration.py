"""Every configuration trains through the real run.sh: real commands, a toy corpus, tiny models."""

import json
import shutil
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
CONFIGURATIONS = sorted(path.stem for path in (ROOT / "egs/ravdess/conf").glob("train_*.yaml"))
SHORT_OTHERS = {  # options that other tasks than ours know
    "train_espnet_cls": "--max_epoch 2 --keep_nbest_models 1 --batch_size 8 --encoder_conf num_blocks=1",
    "train_espnet_asr": "--max_epoch 2 --keep_nbest_models 1 --batch_size 8 --encoder_conf num_blocks=1",
    "train_egemaps_svm": "--max_iter 500",
    "train_egemaps_logistic": "--max_iter 500",
}


@pytest.fixture(scope="module")
def toy(toy_recipe):
    """A recipe whose stages 0 to 3 are done."""
    toy = toy_recipe()
    toy.run("--stop-stage", 3)
    return toy


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_every_configuration_trains(toy, configuration):
    options = ("--tag", configuration, "--train-args", SHORT_OTHERS.get(configuration, toy.short))
    shutil.copy(ROOT / f"egs/ravdess/conf/{configuration}.yaml", toy.recipe / "conf")  # it may have some of its own
    output = toy.run("--train-config", f"conf/{configuration}.yaml", *options, "--stage", 0, "--stop-stage", 4)
    assert "stage 3: done already" in output
    info = json.loads((toy.recipe / f"exp/{configuration}/fold1/seed1/train_info.json").read_text())
    assert info["trained_parameters"] > 0


def test_encoders_from_scratch_need_no_pretrained_model(toy):
    shutil.copy(ROOT / "egs/mini/conf/train_conformer_scratch.yaml", toy.recipe / "conf")
    own = ("--train-config", "conf/train_conformer_scratch.yaml", "--speech-encoder", "", "--text-encoder", "")
    output = toy.run(*own, "--train-args", "--max_epoch 2 --text_encoder_conf tokens=60", "--tag", "scratch")
    assert "features of" not in output
    assert "sentencepiece models of 60 tokens" in output
    assert "| pooled |" in output
    assert json.loads((toy.recipe / "exp/scratch/run.json").read_text())["speech_encoder"] == "conformer"
