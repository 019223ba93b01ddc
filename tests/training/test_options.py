"""What training starts from."""

import argparse
from types import SimpleNamespace

import pytest

from m4ser.models.checkpoint import read_config
from m4ser.training.options import initial_weights
from m4ser.utils.errors import UserError


@pytest.mark.parametrize(
    ("labels", "parts"),
    [
        (["happy", "sad", "angry"], ["speech_encoder", "text_encoder", "fusion", "classifier"]),
        (["happy", "sad", "angry", "bored"], ["speech_encoder", "text_encoder", "fusion"]),
        (["angry", "happy", "sad"], ["speech_encoder", "text_encoder", "fusion"]),
    ],
)
def test_a_classifier_of_other_labels_is_not_taken(toy_run, labels, parts, capsys):
    """Its rows would be those of other emotions, or too few."""
    task = argparse.Namespace(**read_config(toy_run / "fold1/seed1"))
    run = SimpleNamespace(fold="1", seed=1, folder="exp/new/fold1/seed1")
    options = initial_weights(toy_run, task, run, labels)
    assert options == [f"{toy_run}/fold1/seed1/model.pth:{part}:{part}" for part in parts]
    assert f"starts with {', '.join(parts)} of" in capsys.readouterr().out


def test_one_run_starts_all_folds_and_seeds(toy_run):
    task = argparse.Namespace(**read_config(toy_run / "fold1/seed1"))
    run = SimpleNamespace(fold="7", seed=5, folder="exp/new/fold7/seed5")
    options = initial_weights(toy_run / "fold1/seed1", task, run, ["happy", "sad", "angry"])
    assert options[0] == f"{toy_run}/fold1/seed1/model.pth:speech_encoder:speech_encoder" and len(options) == 4
    with pytest.raises(UserError, match=r"fold7/seed5/model\.pth: no such model; --init-exp needs it trained"):
        initial_weights(toy_run, task, run, ["happy", "sad", "angry"])
