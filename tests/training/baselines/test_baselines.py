"""What ESPnet's own tasks and the linear classifier have in common: the recipe's commands train and predict."""

import json
import subprocess
import sys

import pytest
import torch

from m4ser.bin import infer, train
from m4ser.models.checkpoint import load_run
from m4ser.models.systems import SYSTEMS
from m4ser.training.predictions import read_predictions
from m4ser.utils.errors import UserError


@pytest.mark.slow
@pytest.mark.parametrize("name", ["espnet_cls", "espnet_asr", "linear"])
def test_trains_selects_and_predicts(recipe, name, configurations):
    options = recipe(configurations[name])
    train.main([*options, "--plan"])
    train.main([*options, "--job", "1"])
    info = json.loads((recipe.run / "train_info.json").read_text())
    assert info["parameters"] > 0 and info["seconds"] > 0
    plan = json.loads((recipe.run.parents[1] / "run.json").read_text())
    assert plan["fusion"] == name and plan["text_source"] == plan["text_encoder"] == "none"
    infer.main(["--data", "data", "--exp", "exp/toy", "--job", "1"])
    found = read_predictions(recipe.run / "predictions_test.tsv", ["happy", "sad"])
    assert (found.ref == found.hyp).mean() >= 0.75  # the features tell

    model, _ = load_run(recipe.run)
    data = torch.randn(3, 9, 16), torch.tensor([9, 4, 1])
    reference = model.logits(model.represent(*data))
    assert reference.shape == (3, 2)
    padded = torch.nn.functional.pad(data[0], (0, 0, 0, 5), value=7.0), data[1]
    torch.testing.assert_close(model.logits(model.represent(*padded)), reference, atol=1e-5, rtol=1e-5)
    for row, length in enumerate(data[1]):
        alone = model.represent(data[0][row : row + 1, :length], data[1][row : row + 1])
        torch.testing.assert_close(model.logits(alone)[0], reference[row], atol=1e-5, rtol=1e-5)


def test_mistakes_end_as_one_line(recipe, configurations):
    with pytest.raises(UserError, match="unknown task 'svm'; known are ser, espnet_cls, espnet_asr, linear"):
        train.main([*recipe({"task": "svm"}), "--plan"])
    with pytest.raises(UserError, match="use --text-source asr or ref"):
        train.main([*recipe(configurations["espnet_asr"]), "--text-source", "none", "--plan"])
    with pytest.raises(UserError, match="speech_encoder_conf: unknown key 'layer'"):
        train.main([*recipe({**configurations["espnet_cls"], "speech_encoder_conf": {"layer": 1}}), "--job", "1"])


@pytest.mark.slow
def test_importing_espnets_tasks_fetches_nothing():
    """NLTK's downloads and ESPnet's phonemizers are not imported, and g2p_en is itself again afterwards."""
    code = (
        "import sys\n"
        "from m4ser.models.systems import SYSTEMS, system_class\n"
        "[system_class(name) for name in SYSTEMS]\n"
        "assert 'nltk' not in sys.modules and 'g2p_en' not in sys.modules\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "nltk" not in result.stdout + result.stderr
    assert set(SYSTEMS) == {"ser", "espnet_cls", "espnet_asr", "linear"}
