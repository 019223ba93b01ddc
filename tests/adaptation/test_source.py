"""What is asked of the model that is adapted."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from m4ser.adaptation.classifier import Layer
from m4ser.adaptation.examples import Example
from m4ser.adaptation.source import Choice, Source, open_source, outputs
from m4ser.hub.archive import sha256_of, unpack
from m4ser.inference.results import Failure
from m4ser.utils.errors import UserError


def recognizer(normalised=""):
    """Gives the length of the text, and fails without one."""

    def outputs(items):
        for item in items:
            yield (item.name, np.array([len(item.text)])) if item.text else Failure(item.name, "is silent")

    return SimpleNamespace(normalised=normalised, speakers=None, outputs=outputs)


def examples(*texts, speaker="eva"):
    return [Example(Path(f"{i}.wav"), "sad", speaker, text, f"t.csv: line {i + 2}") for i, text in enumerate(texts)]


def test_rows_in_the_order_of_the_examples_and_faults_with_their_line():
    assert outputs(recognizer(), examples("so", "very")).tolist() == [[2], [4]]
    with pytest.raises(UserError, match=r"^t\.csv: line 3: 1\.wav: is silent$"):
        outputs(recognizer(), examples("so", ""))


@pytest.mark.parametrize(("normalised", "who"), [("", None), ("corpus", "corpus"), ("speaker", {"0.wav": "eva"})])
def test_who_speaks_is_said_to_models_that_normalise(normalised, who):
    network = recognizer(normalised)
    outputs(network, examples("so"))
    assert network.speakers == who


def test_models_that_normalise_by_speaker_need_the_column():
    with pytest.raises(UserError, match="line 2: has no speaker, and the model normalises features by speaker; fill"):
        outputs(recognizer("speaker"), examples("so", speaker=""))
    assert outputs(recognizer("corpus"), examples("so", speaker="")).tolist() == [[2]]


def test_vectors_have_to_fit_the_layer():
    stored = SimpleNamespace(folder="exp/x")
    source = Source(stored, Layer(np.ones((3, 1)), np.ones(3)), recognizer(), 1.0)
    assert source.vectors(examples("so")).tolist() == [[2]]
    source = Source(stored, Layer(np.ones((3, 2)), np.ones(3)), recognizer(), 1.0)
    with pytest.raises(UserError, match="exp/x: its last layer does not fit what it reads"):
        source.vectors(examples("so"))


@pytest.mark.parametrize(
    ("rows", "biases", "message"),
    [(4, 4, "does not fit its 3 labels"), (3, 4, "cannot be computed|does not fit|not an ONNX graph")],
)
def test_a_forged_layer_costs_one_line(graph_of, linear_archive, tmp_path, rows, biases, message):
    stored = unpack(linear_archive, tmp_path / "model")
    graph = graph_of(np.ones((rows, 80)), np.ones(biases))
    (stored.folder / "model.onnx").write_bytes(graph.SerializeToString())
    about = json.loads((stored.folder / "m4ser.json").read_text())
    file = stored.folder / "model.onnx"
    about["files"]["model.onnx"] = {"size": file.stat().st_size, "sha256": sha256_of(file)}
    (stored.folder / "m4ser.json").write_text(json.dumps(about))
    with pytest.raises(UserError, match=message), open_source(Choice(stored.folder)):
        pass
