"""8-bit weights for a graph that stays what it is elsewhere.

Weights of matrix products are stored as integers from -127 to 127 with one scale for each 32 inputs of an output,
tables with one scale for a row. The few weights of convolutions are stored in half precision. They become floats again
where the graph is opened or run (``DequantizeLinear``, ``Cast``: operators of ONNX itself, so that no other package is
needed). Whether sums are then computed with integers, too, is onnxruntime's choice: it does so where it is faster,
block by block, with as good results. docs/use.md says what is lost and what other ways would lose.
"""

from typing import Any, NamedTuple

import numpy as np

SMALLEST = 1024  # values; norms, biases and the like stay as they are
BLOCK = 32  # inputs with a scale of their own
OPSET = 21  # of ONNX, the first with blocks
TABLES = {("Slice", 0), ("Gather", 0), ("Add", 1)}  # operator and its input: what is looked up, cut or added by rows


class Use(NamedTuple):
    """How a weight is used: its kind, and for ``product`` the axis that is summed over."""

    kind: str  # product, table, convolution, other
    axis: int = 0


def quantise_weights(model: Any, block: int = BLOCK, convolutions: bool = False) -> None:
    """Change an ``onnx.ModelProto`` in place.

    Args:
        model: a graph with weights in single precision.
        block: inputs of an output that share a scale.
        convolutions: make integers of their weights, too, with a scale for each output.
    """
    import onnx

    graph = model.graph
    users: dict[str, list[tuple[Any, int]]] = {}
    for node in graph.node:
        for place, name in enumerate(node.input):
            users.setdefault(name, []).append((node, place))
    first: list[Any] = []  # nodes that read what is stored alone; others read them
    instead: dict[str, list[Any]] = {}  # of the node with this output
    for initializer in list(graph.initializer):
        values = onnx.numpy_helper.to_array(initializer)
        uses = {_use(node, place, values.ndim) for node, place in users.get(initializer.name, [])}
        if values.dtype != np.float32 or values.size < SMALLEST or len(uses) != 1:
            continue
        (use,) = uses
        if use.kind == "other":
            continue
        graph.initializer.remove(initializer)
        stored, node = _stored(values, initializer.name, use, block, convolutions)
        graph.initializer.extend(stored)
        if use.kind == "table" and all(user.op_type == "Gather" for user, _ in users[initializer.name]):
            for user, _ in users[initializer.name]:  # the rows that are looked up become floats, not the table
                instead[user.output[0]] = _looked_up(user, initializer.name)
        else:
            first.append(node)
    nodes = [*first, *(new for node in graph.node for new in instead.get(node.output[0], [node]))]
    del graph.node[:]
    graph.node.extend(nodes)
    for opset in model.opset_import:
        if opset.domain in ("", "ai.onnx"):
            opset.version = max(opset.version, OPSET)


def rounded(values: np.ndarray, axis: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Integers, and a scale for each ``size`` values along ``axis``, fewer in the last block.

    Shape: (..., N, ...) -> (..., N, ...) int8, (..., ceil(N / size), ...) float32
    """
    starts = np.arange(0, values.shape[axis], size)
    largest = np.maximum.reduceat(np.abs(values), starts, axis)
    scales = (np.maximum(largest, np.finfo(np.float32).tiny * 127) / 127).astype(np.float32)
    each = np.repeat(scales, size, axis).take(np.arange(values.shape[axis]), axis)
    return np.rint(values / each).clip(-127, 127).astype(np.int8), scales


def _use(node: Any, place: int, rank: int) -> Use:
    attributes = {attribute.name: attribute.i for attribute in node.attribute}
    if node.op_type == "MatMul" and place == 1 and rank == 2:
        return Use("product", 0)
    if node.op_type == "Gemm" and place == 1:
        return Use("product", 1 if attributes.get("transB") else 0)
    if node.op_type == "Conv" and place == 1:
        return Use("convolution")
    if (node.op_type, place) in TABLES and rank == 2 and not attributes.get("axis"):
        return Use("table", 1)
    return Use("other")


def _stored(values: np.ndarray, name: str, use: Use, block: int, convolutions: bool) -> tuple[list[Any], Any]:
    """What is stored of a weight, and the node that makes the weight of it."""
    import onnx

    make, to_tensor = onnx.helper.make_node, onnx.numpy_helper.from_array
    if use.kind == "convolution" and not convolutions:
        half = to_tensor(values.astype(np.float16), f"{name}_half")
        return [half], make("Cast", [half.name], [name], to=onnx.TensorProto.FLOAT)
    inputs = [f"{name}_int8", f"{name}_scale"]
    if use.kind == "product":
        integers, scales = rounded(values, use.axis, block)
        node = make("DequantizeLinear", inputs, [name], axis=use.axis, block_size=block)
    else:  # rows of a table, outputs of a convolution
        rows = values.reshape(len(values), -1)
        integers, scales = rounded(rows, 1, rows.shape[1])
        integers, scales = integers.reshape(values.shape), scales[:, 0]
        node = make("DequantizeLinear", inputs, [name], axis=0)
    return [to_tensor(integers, inputs[0]), to_tensor(scales, inputs[1])], node


def _looked_up(node: Any, name: str) -> list[Any]:
    """Rows of integers times their scales, in place of a ``Gather`` of floats."""
    import onnx

    make = onnx.helper.make_node
    index, output = node.input[1], node.output[0]
    return [
        make("Gather", [f"{name}_int8", index], [f"{output}_int8"], axis=0),
        make("Gather", [f"{name}_scale", index], [f"{output}_scale"], axis=0),
        make("Cast", [f"{output}_int8"], [f"{output}_whole"], to=onnx.TensorProto.FLOAT),
        make("Constant", [], [f"{output}_last"], value_ints=[-1]),
        make("Unsqueeze", [f"{output}_scale", f"{output}_last"], [f"{output}_column"]),
        make("Mul", [f"{output}_whole", f"{output}_column"], [output]),
    ]
