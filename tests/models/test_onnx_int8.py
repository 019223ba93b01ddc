"""Weights as 8-bit integers: what is stored, and that operators get back what was rounded."""

import numpy as np
import onnx
import pytest

from m4ser.models.onnx_int8 import quantise_weights, rounded


def test_rounded_by_hand():
    """Blocks of two along the first axis, the last one shorter; the largest of each becomes 127."""
    values = np.array([[1.27, 0.0], [-0.64, 0.0], [2.54, -0.127]], np.float32)
    integers, scales = rounded(values, 0, 2)
    assert integers.tolist() == [[127, 0], [-64, 0], [127, -127]]
    assert scales[0, 0] == pytest.approx(0.01) and scales[1].tolist() == pytest.approx([0.02, 0.001])
    assert scales[0, 1] > 0 and integers.dtype == np.int8
    integers, scales = rounded(values, 1, 2)
    assert integers.tolist() == [[127, 0], [-127, 0], [127, -6]]
    assert scales[:, 0].tolist() == pytest.approx([0.01, 0.64 / 127, 0.02])


@pytest.fixture
def model():
    """A table that is looked up, one that is cut, a convolution, both kinds of matrix products, and a bias."""
    random = np.random.default_rng(0)
    arrays = {
        "words": random.standard_normal((50, 40)),
        "positions": random.standard_normal((60, 40)),
        "filters": random.standard_normal((40, 40, 3)),
        "product": random.standard_normal((40, 70)),
        "gemm": random.standard_normal((30, 70)),
        "bias": random.standard_normal(2000),
        "tiny": random.standard_normal((30, 2)),
    }
    numbers = {"zero": [0], "four": [4], "shape": [4, 70]}
    make, value = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    nodes = [
        make("Gather", ["words", "ids"], ["looked"]),
        make("Slice", ["positions", "zero", "four"], ["cut"]),
        make("Add", ["looked", "cut"], ["x"]),
        make("Transpose", ["x"], ["t"], perm=[0, 2, 1]),
        make("Conv", ["t", "filters"], ["c"], pads=[1, 1]),
        make("Transpose", ["c"], ["y"], perm=[0, 2, 1]),
        make("MatMul", ["y", "product"], ["z"]),
        make("Reshape", ["z", "shape"], ["flat"]),
        make("Gemm", ["flat", "gemm"], ["g"], transB=1),
        make("MatMul", ["g", "tiny"], ["out"]),
        make("ReduceSum", ["bias"], ["sum"]),
    ]
    graph = onnx.helper.make_graph(
        nodes,
        "g",
        [value("ids", 7, [1, 4])],
        [value("out", 1, [4, 2]), value("sum", 1, [1])],
        [onnx.numpy_helper.from_array(each.astype(np.float32), name) for name, each in arrays.items()]
        + [onnx.numpy_helper.from_array(np.array(each), name) for name, each in numbers.items()],
    )
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10), arrays


def run(model):
    import onnxruntime

    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.disable_quant_qdq", "1")  # nothing is fused: sums as in float
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"ids": np.array([[3, 49, 0, 3]])})


@pytest.mark.parametrize("convolutions", [False, True])
def test_it_computes_with_the_rounded_weights(model, convolutions):
    model, arrays = model
    copy = onnx.ModelProto.FromString(model.SerializeToString())
    quantise_weights(copy, convolutions=convolutions)
    stored = {each.name: onnx.numpy_helper.to_array(each) for each in copy.graph.initializer}
    kinds = {name: array.dtype.name for name, array in stored.items() if array.size >= 1024}
    filters = {"filters_int8": "int8"} if convolutions else {"filters_half": "float16"}
    tables = {"words_int8": "int8", "positions_int8": "int8", "product_int8": "int8", "gemm_int8": "int8"}
    assert kinds == {**tables, **filters, "bias": "float32"}
    assert stored["product_scale"].shape == (2, 70) and stored["gemm_scale"].shape == (30, 3)
    assert stored["tiny"].dtype == np.float32

    for initializer in model.graph.initializer:  # the same by hand
        name = initializer.name
        if name in ("words", "positions", "product", "gemm", "filters"):
            initializer.CopyFrom(onnx.numpy_helper.from_array(by_hand(name, arrays[name], convolutions), name))
    for found, expected in zip(run(copy), run(model), strict=True):
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-4)


def by_hand(name, values, convolutions):
    values = values.astype(np.float32)
    if name == "filters" and not convolutions:
        return values.astype(np.float16).astype(np.float32)
    if name in ("words", "positions", "filters"):  # rows
        rows = values.reshape(len(values), -1)
        scales = np.abs(rows).max(1, keepdims=True) / 127
        return (np.rint(rows / scales) * scales).reshape(values.shape).astype(np.float32)
    matrix = values if name == "gemm" else values.T  # (outputs, inputs)
    result = np.empty_like(matrix)
    for start in range(0, matrix.shape[1], 32):
        block = matrix[:, start : start + 32]
        scales = np.abs(block).max(1, keepdims=True) / 127
        result[:, start : start + 32] = np.rint(block / scales) * scales
    return result if name == "gemm" else result.T.copy()


def test_shared_weights_of_two_kinds_stay(model):
    model, _ = model
    model.graph.node.append(onnx.helper.make_node("Relu", ["product"], ["more"]))
    quantise_weights(model)
    assert "product" in {each.name for each in model.graph.initializer}
