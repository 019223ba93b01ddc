"""ONNX graphs compute what the model does, for any batch size and lengths."""

from argparse import Namespace

import numpy as np
import onnx
import pytest
import soundfile
import torch

from m4ser import EmotionRecognizer
from m4ser.bin import export_onnx
from m4ser.models.checkpoint import load_run
from m4ser.models.model import SERModel
from m4ser.models.onnx_graph import Graph, export, largest_difference
from m4ser.utils.errors import UserError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def exported(toy_run, tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    graph = export(toy_run / "fold1/seed1", path)
    assert graph.inputs == ["speech", "speech_lengths", "text", "text_lengths"]
    assert graph.difference < 1e-4
    return path


def test_predictions_are_the_same(toy_run, exported, tmp_path):
    texts = {}
    for k in range(5):
        samples = np.random.default_rng(k).standard_normal(6000 + 4000 * k) * 0.1
        soundfile.write(tmp_path / f"{k}.wav", samples, 16000)
        texts[str(k)] = "i am so very happy today " * k
    one = EmotionRecognizer.from_pretrained(toy_run, device="cpu")(tmp_path, text=texts)
    other = EmotionRecognizer.from_pretrained(toy_run, onnx=exported, batch_size=3)(tmp_path, text=texts)
    for a, b in zip(one, other, strict=True):
        assert a.label == b.label
        assert a.probabilities == pytest.approx(b.probabilities, abs=1e-4)


def test_head_and_eight_bits(toy_run, exported, tmp_path, capsys):
    run = str(toy_run / "fold1/seed1")
    export_onnx.main([run, "--out", str(tmp_path / "head.onnx"), "--head", "--int8"])
    assert "inputs speech_states, speech_lengths, text_states, text_lengths" in capsys.readouterr().out
    operators = {node.op_type for node in onnx.load(tmp_path / "head.onnx").graph.node}
    assert "MatMulInteger" in operators
    model, _ = load_run(run)
    difference = largest_difference(Graph(model, head=True).eval(), tmp_path / "head.onnx")
    assert 0 < difference < 0.5
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).standard_normal(9000) * 0.1, 16000)
    found = EmotionRecognizer.from_pretrained(toy_run, onnx=tmp_path / "head.onnx")(tmp_path / "a.wav", text="i am")
    expected = EmotionRecognizer.from_pretrained(toy_run, device="cpu")(tmp_path / "a.wav", text="i am")
    assert found.probabilities == pytest.approx(expected.probabilities, abs=0.1)


def test_a_model_whose_steps_depend_on_numbers_is_one_line(toy_run, tmp_path, monkeypatch):
    honest = SERModel.logits
    monkeypatch.setattr(
        SERModel, "logits", lambda self, reps: honest(self, reps) * (2 if reps.utterance.sum() > 0 else 3)
    )
    with pytest.raises(UserError, match="PyTorch makes no graph of this model") as error:
        export(toy_run / "fold1/seed1", tmp_path / "x.onnx")
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_baselines_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "m4ser.models.onnx_graph.load_run", lambda run: (torch.nn.Linear(1, 1), Namespace(task="linear"))
    )
    with pytest.raises(UserError, match="not the baseline linear"):
        export(tmp_path, tmp_path / "x.onnx")


def test_graphs_of_other_models_are_refused(toy_run, exported, tmp_path):
    with pytest.raises(UserError, match="no such file; make it with m4ser export-onnx"):
        EmotionRecognizer.from_pretrained(toy_run, onnx=tmp_path / "none.onnx")
    (tmp_path / "noise.onnx").write_bytes(b"noise")
    with pytest.raises(UserError, match="is not an ONNX graph that can be used"):
        EmotionRecognizer.from_pretrained(toy_run, onnx=tmp_path / "noise.onnx")
    made = onnx.load(exported)
    onnx.helper.set_model_props(made, {"m4ser_labels": '["a", "b"]'})
    onnx.save(made, tmp_path / "other.onnx")
    with pytest.raises(UserError, match="was not exported from this model"):
        EmotionRecognizer.from_pretrained(toy_run, onnx=tmp_path / "other.onnx")
