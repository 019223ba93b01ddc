"""Graphs whose last layer is taken off, read and exchanged, compared with numpy and checked by onnx."""

import json

import numpy as np
import onnx
import pytest

from m4ser.adaptation.classifier import Layer
from m4ser.adaptation.graph_end import GraphEnd
from m4ser.hub.graph_file import read_graph_file
from m4ser.models.onnx_session import open_session

RANDOM = np.random.default_rng(1)
WEIGHT, BIAS = RANDOM.standard_normal((16, 80)), RANDOM.standard_normal(16)
MEL = RANDOM.standard_normal((2, 80, 7)).astype(np.float32)
FEED = {"log_mel": MEL, "log_mel_lengths": np.array([7, 7])}


def run(content, tmp_path):
    path = tmp_path / "x.onnx"
    path.write_bytes(content)
    return open_session(path).run(None, FEED)


@pytest.fixture(params=[False, True], ids=["float", "int8"])
def end(request, graph_of):
    return GraphEnd(graph_of(WEIGHT, BIAS, request.param).SerializeToString())


def test_vectors_are_what_the_layer_reads(end, tmp_path):
    (vectors,) = run(end.without_layer(), tmp_path)
    assert vectors == pytest.approx(MEL.mean(2), abs=1e-5)


def test_layer_is_read(end, tmp_path):
    layer = end.layer(tmp_path)
    step = np.abs(WEIGHT).max() / 127  # of 8 bits
    assert layer.weight == pytest.approx(WEIGHT, abs=step / 2 + 1e-6) and layer.bias == pytest.approx(BIAS, abs=1e-6)
    assert list(tmp_path.iterdir()) == []


def test_another_layer_with_more_labels(end, tmp_path):
    layer = Layer(RANDOM.standard_normal((20, 80)), RANDOM.standard_normal(20))
    content = end.with_layer(layer, {"m4ser_labels": ["a", "b"], "m4ser_graph": {"x": 1}})
    (logits,) = run(content, tmp_path)
    assert logits == pytest.approx(layer.logits(MEL.mean(2)), abs=1e-4)
    model = onnx.load(tmp_path / "x.onnx")
    onnx.checker.check_model(model, full_check=True)
    notes = {prop.key: prop.value for prop in model.metadata_props}
    assert json.loads(notes["m4ser_labels"]) == ["a", "b"] and json.loads(notes["m4ser_graph"]) == {"x": 1}
    assert notes["other"] == "stays" and len(model.metadata_props) == 3
    assert [output.name for output in model.graph.output] == ["logits"]
    # Of the layer before nothing is left, and the rest is as it was.
    assert {each.name for each in model.graph.initializer} == {
        *("time", "last", "small", "adapted.weight", "adapted.bias")
    }
    assert read_graph_file(tmp_path / "x.onnx").labels == ["a", "b"]


def test_an_exchanged_layer_can_be_exchanged_again(end, tmp_path):
    first = Layer(RANDOM.standard_normal((3, 80)), RANDOM.standard_normal(3))
    again = GraphEnd(end.with_layer(first, {}))
    assert again.layer(tmp_path).weight == pytest.approx(first.weight, abs=1e-6)
    second = Layer(RANDOM.standard_normal((2, 80)), RANDOM.standard_normal(2))
    (logits,) = run(again.with_layer(second, {}), tmp_path)
    assert logits == pytest.approx(second.logits(MEL.mean(2)), abs=1e-4)


def test_a_weight_that_others_read_stays(graph_of, tmp_path):
    model = graph_of(WEIGHT, BIAS)
    model.graph.node.insert(0, onnx.helper.make_node("Identity", ["weight"], ["copy"]))
    layer = Layer(RANDOM.standard_normal((2, 80)), RANDOM.standard_normal(2))
    (logits,) = run(GraphEnd(model.SerializeToString()).with_layer(layer, {}), tmp_path)
    assert logits == pytest.approx(layer.logits(MEL.mean(2)), abs=1e-4)
    assert "weight" in {each.name for each in onnx.load(tmp_path / "x.onnx").graph.initializer}


def last(**fields):
    def change(model):
        del model.graph.node[-1]
        operator, inputs = fields.pop("operator", "Gemm"), fields.pop("inputs", ["vector", "weight", "bias"])
        model.graph.node.append(onnx.helper.make_node(operator, inputs, ["logits"], **fields))

    return change


@pytest.mark.parametrize(
    "change",
    [
        last(operator="MatMul", inputs=["vector", "weight"]),
        last(transB=0),
        last(transB=1, alpha=0.5),
        last(transB=1, beta=2.0),
        last(transB=1, inputs=["vector", "weight"]),
        lambda model: model.graph.node.pop(),
    ],
)
def test_other_ends_are_refused(graph_of, change):
    model = graph_of(WEIGHT, BIAS)
    change(model)
    with pytest.raises(ValueError, match="does not end in one linear layer"):
        GraphEnd(model.SerializeToString())


@pytest.mark.parametrize("content", [b"", b"not a graph at all"])
def test_what_is_no_graph_is_refused(content):
    with pytest.raises(ValueError, match="is not an ONNX graph"):
        GraphEnd(content)
