"""What the program of the adaptation's curve reads of recipes and runs."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from m4ser.data.datadir import DataDir, Utterance
from m4ser.data.features import FeatureWriter
from m4ser.utils.errors import UserError


@pytest.fixture(scope="module")
def program(load_program):
    return load_program("default_model/local/adaptation.py")


@pytest.fixture
def recipe(tmp_path):
    """A prepared recipe `near`: two speakers, three emotions, of which one has no common class."""
    folder = tmp_path / "near"
    utts = [Utterance(f"{s}-{e}", folder / "x.wav", s, e, "") for s in "ab" for e in ("joy", "bored", "sadness")]
    DataDir.write(folder / "data/all", utts)
    for tag, frames in (("tiny_pool8", [[1.0, 2.0], [3.0, 2.0]]), ("opensmile", [[7.0, 8.0]])):
        with FeatureWriter(folder / "dump/feats" / tag / "all") as writer:
            for utt in utts:
                writer.write(utt.utt_id, np.array(frames, dtype=np.float32))
    return folder


def test_voices_of_a_recipe(program, recipe, tmp_path, monkeypatch):
    class Model:
        labels = ("angry", "happy", "neutral", "sad")
        classifier = torch.nn.Linear(2, 4)

        def represent(self, speech, speech_lengths):
            return SimpleNamespace(utterance=speech.sum(1))

    for seed in (1, 2):
        (tmp_path / f"exp/foldnear/seed{seed}").mkdir(parents=True)
        (tmp_path / f"exp/foldnear/seed{seed}/model.pth").touch()
    monkeypatch.setattr(program, "load_run", lambda run: (Model(), None))
    voices = program.voices(recipe, tmp_path / "exp", "tiny_pool8", "opensmile", False)
    assert voices.labels == ["happy", "sad"] and voices.known[0] == "angry" and len(voices.models) == 2
    assert sorted(voices.ref.tolist()) == [0, 0, 1, 1] and set(voices.speakers) == {"a", "b"}
    assert voices.models[0][0].tolist() == [[4.0, 4.0]] * 4
    assert voices.features["Whisper"].tolist() == [[2.0, 2.0, 1.0, 0.0]] * 4
    assert voices.features["openSMILE"].tolist() == [[7.0, 8.0]] * 4
    every = program.voices(recipe, tmp_path / "exp", "tiny_pool8", "opensmile", True)
    assert every.labels[2:] == ["bored"] and sorted(every.ref.tolist()) == [0, 0, 1, 1, 2, 2]
    with pytest.raises(UserError, match="exp/foldfar: no trained model"):
        program.runs(tmp_path / "exp", "far")
