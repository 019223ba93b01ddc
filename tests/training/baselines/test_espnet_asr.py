"""ESPnet's recogniser as a classifier: the emotion is the first token."""

import argparse

import pytest
import torch
import yaml

from m4ser.bin import train
from m4ser.models.checkpoint import load_run
from m4ser.models.systems import system_class


@pytest.mark.slow
def test_first_token_is_the_emotion(recipe, configurations):
    train.main([*recipe({**configurations["espnet_asr"], "max_epoch": 1}), "--job", "1"])
    config = yaml.safe_load((recipe.run / "config.yaml").read_text())
    tokens = config["token_list"]
    assert tokens[:4] == ["<blank>", "<unk>", "<happy>", "<sad>"] and tokens[-1] == "<sos/eos>"
    assert tokens[4:-1] == ["am", "happy", "i", "sad", "so", "today"]  # of the references, not of what was recognised
    task, args = system_class("espnet_asr"), argparse.Namespace(**config)
    arrays = task.build_preprocess_fn(args, True)(
        "u", {"emotion": "sad", "text": '{"words": ["i", "was"], "tags": "DKDDC", "changes": [[4, "am xyz"]]}'}
    )
    assert [tokens[i] for i in arrays["tokens"]] == ["<sad>", "i", "am", "<unk>"]
    model, _ = load_run(recipe.run)
    reps = model.represent(torch.randn(1, 9, 16), torch.tensor([9]))
    start = torch.full((1, 1), len(tokens) - 1)
    scores, _ = model.inner.decoder(reps.speech, torch.tensor([9]), start, torch.tensor([1]))
    torch.testing.assert_close(model.logits(reps), scores[:, 0, 2:4])
