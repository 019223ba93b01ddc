"""The end of a whole graph: its utterance vector, its last layer, and the graph with another last layer.

The file is changed as the protocol buffer that it is (:mod:`m4ser.hub.graph_file` has its fields), without the package
onnx and without PyTorch. What is left of the file stays byte for byte.
"""

import json
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from m4ser.adaptation.classifier import Layer
from m4ser.hub.graph_file import (
    BYTES,
    GRAPH_INITIALIZER,
    GRAPH_INPUT,
    GRAPH_NODE,
    GRAPH_OUTPUT,
    KEY,
    MODEL_GRAPH,
    MODEL_METADATA,
    NAME_OF_VALUE,
    NODE_ATTRIBUTE,
    NODE_OPERATOR,
    VARINT,
    Value,
    fields,
    span,
    text_of,
)
from m4ser.models.onnx_session import open_session
from m4ser.utils.errors import UserError, first_line

LOGITS = "logits"
PREFIX = "adapted."  # of the names of what is added
# Numbers of further fields in onnx.proto.
NODE_INPUT, NODE_OUTPUT = 1, 2
ATTRIBUTE_NAME, ATTRIBUTE_FLOAT, ATTRIBUTE_INT, ATTRIBUTE_TYPE, INT = 1, 2, 3, 20, 2
GRAPH_VALUES = 13  # shapes of what is inside
TENSOR_DIMS, TENSOR_TYPE, TENSOR_NAME, TENSOR_RAW, FLOAT = 1, 2, 8, 9, 1
VALUE_TYPE, TYPE_TENSOR, TYPE_ELEMENT, TYPE_SHAPE, SHAPE_DIM, DIM_VALUE, DIM_NAME = 2, 1, 1, 2, 1, 1, 2


class Field(NamedTuple):
    """A field of a message: its number and its content, a number or bytes."""

    number: int
    content: int | bytes


@dataclass(frozen=True)
class Node:
    """An operator with the names of what it reads and gives, and its message."""

    operator: str
    inputs: list[str]
    outputs: list[str]
    message: bytes


class GraphEnd:
    """A whole graph that ends in one linear layer.

    Attributes:
        vector: name of what the layer reads, the utterance vector (B, U).

    Raises:
        ValueError: it is no ONNX graph, or ends otherwise.
    """

    def __init__(self, content: bytes) -> None:
        self.model = list(_fields_of(content))
        graphs = [field for field in self.model if field.number == MODEL_GRAPH]
        if len(graphs) != 1:
            raise ValueError(f"is not an ONNX graph ({len(graphs)} graphs)")
        self.graph = list(_fields_of(_bytes(graphs[0])))
        self.nodes = [_node(_bytes(field)) for field in self.graph if field.number == GRAPH_NODE]
        last = [node for node in self.nodes if LOGITS in node.outputs]
        if len(last) != 1 or not _is_layer(last[0]):
            raise ValueError("does not end in one linear layer")
        self.last = last[0]
        self.vector, self.weight, self.bias = self.last.inputs
        self._own = self._made_for_layer()

    def _made_for_layer(self) -> list[Node]:
        """Operators that only make weight and bias, as those that turn 8-bit integers into numbers."""
        makers: list[Node] = []
        value_names = {self.weight, self.bias}
        for node in reversed(self.nodes):
            if value_names & set(node.outputs):
                makers.insert(0, node)
                value_names |= set(node.inputs)
        return makers

    def layer(self, folder: Path) -> Layer:
        """The layer, as onnxruntime computes it of what is stored; a file is written to `folder` for it.

        Raises:
            UserError: it cannot be computed.
        """
        names = [self.weight, self.bias]
        copies = [_message_node("Identity", [name], [f"{PREFIX}{name}"]) for name in names]
        used = {name for node in self._own for name in node.inputs} | set(names)
        kept = [field for field in self.graph if field.number == GRAPH_INITIALIZER and _tensor_name(field) in used]
        rest = [field for field in self.graph if field.number not in _REPLACED]
        nodes = [Field(GRAPH_NODE, node.message) for node in self._own] + [Field(GRAPH_NODE, copy) for copy in copies]
        outputs = [Field(GRAPH_OUTPUT, _value(f"{PREFIX}{name}")) for name in names]
        path = folder / "layer.onnx"
        path.write_bytes(self._model([*rest, *nodes, *kept, *outputs]))
        try:
            weight, bias = open_session(path).run(None, {})
        except UserError:
            raise
        except Exception as error:  # onnxruntime has an exception class of its own for every fault
            raise UserError(f"the last layer of the graph cannot be computed ({first_line(error)})") from None
        finally:
            path.unlink()
        return Layer(np.asarray(weight, dtype=float), np.asarray(bias, dtype=float))

    def without_layer(self) -> bytes:
        """The graph whose only output is the utterance vector (B, U)."""
        kept = self._kept(set[str]())
        return self._model([*kept, Field(GRAPH_OUTPUT, _value(self.vector))])

    def with_layer(self, layer: Layer, notes: Mapping[str, object]) -> bytes:
        """The graph with another last layer, in single precision, and with other notes in its metadata.

        Args:
            layer: for the same utterance vector.
            notes: values by key, which become JSON; other keys stay.
        """
        weight, bias = f"{PREFIX}weight", f"{PREFIX}bias"
        names = {*self.last.inputs[1:], *(name for node in self._own for name in node.inputs)}
        elsewhere = {
            name for node in self.nodes if node is not self.last and node not in self._own for name in node.inputs
        }
        kept = self._kept(names - elsewhere)
        added = [
            Field(GRAPH_NODE, _message_node("Gemm", [self.vector, weight, bias], [LOGITS], {"transB": 1})),
            Field(GRAPH_INITIALIZER, _tensor(weight, layer.weight)),
            Field(GRAPH_INITIALIZER, _tensor(bias, layer.bias)),
            Field(GRAPH_OUTPUT, _value(LOGITS, ["batch", len(layer.bias)])),
        ]
        return self._model([*kept, *added], notes)

    def _kept(self, unused: set[str]) -> Iterator[Field]:
        """Fields of the graph without its output, its last layer and weights that nothing needs any more."""
        removed = {self.last.message, *(node.message for node in self._own if set(node.outputs) & unused)}
        for field in self.graph:
            if field.number == GRAPH_OUTPUT or (field.number == GRAPH_NODE and field.content in removed):
                continue
            if field.number == GRAPH_INITIALIZER and _tensor_name(field) in unused:
                continue
            if field.number == GRAPH_VALUES and text_of(_bytes(field), _whole(field), NAME_OF_VALUE) == self.vector:
                continue  # its shape is that of an output then
            yield field

    def _model(self, graph: Iterable[Field], notes: Mapping[str, object] | None = None) -> bytes:
        changed = notes or {}
        parts = []
        for field in self.model:
            if field.number == MODEL_GRAPH:
                parts.append(_written(Field(MODEL_GRAPH, _message(graph))))
            elif field.number != MODEL_METADATA or text_of(_bytes(field), _whole(field), KEY) not in changed:
                parts.append(_written(field))
        for key, value in changed.items():
            entry = _message([Field(KEY, key.encode()), Field(KEY + 1, json.dumps(value).encode())])
            parts.append(_written(Field(MODEL_METADATA, entry)))
        return b"".join(parts)


_REPLACED = (GRAPH_NODE, GRAPH_INITIALIZER, GRAPH_INPUT, GRAPH_OUTPUT, GRAPH_VALUES)


def _is_layer(node: Node) -> bool:
    """Whether it is `v @ weight.T + bias`."""
    if node.operator != "Gemm" or len(node.inputs) != 3:
        return False
    numbers: dict[str, float] = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0}
    for number, value in fields(node.message, 0, len(node.message)):
        if number == NODE_ATTRIBUTE:
            content = node.message[slice(*span(value))]
            name = text_of(content, (0, len(content)), ATTRIBUTE_NAME)
            for inner, part in fields(content, 0, len(content)):
                if inner == ATTRIBUTE_INT and isinstance(part, int):
                    numbers[name] = part
                elif inner == ATTRIBUTE_FLOAT:
                    (numbers[name],) = struct.unpack("<f", content[slice(*span(part))])
    return numbers == {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 1}


def _fields_of(content: bytes) -> Iterator[Field]:
    for number, value in fields(content, 0, len(content)):
        yield Field(number, value if isinstance(value, int) else content[slice(*value)])


def _bytes(field: Field) -> bytes:
    if isinstance(field.content, int):
        raise ValueError("is not an ONNX graph (a number for a message)")
    return field.content


def _whole(field: Field) -> Value:
    return 0, len(_bytes(field))


def _node(message: bytes) -> Node:
    texts: dict[int, list[str]] = {NODE_INPUT: [], NODE_OUTPUT: [], NODE_OPERATOR: []}
    for number, value in fields(message, 0, len(message)):
        if number in texts:
            texts[number].append(message[slice(*span(value))].decode())
    return Node("".join(texts[NODE_OPERATOR][-1:]), texts[NODE_INPUT], texts[NODE_OUTPUT], message)


def _tensor_name(field: Field) -> str:
    return text_of(_bytes(field), _whole(field), TENSOR_NAME)


def _message(parts: Iterable[Field]) -> bytes:
    return b"".join(map(_written, parts))


def _written(field: Field) -> bytes:
    """A field as it stands in a file."""
    if isinstance(field.content, int):
        return _varint(field.number << 3 | VARINT) + _varint(field.content)
    return _varint(field.number << 3 | BYTES) + _varint(len(field.content)) + field.content


def _varint(value: int) -> bytes:
    """A number in groups of seven bits, the lowest first."""
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])


def _message_node(
    operator: str, inputs: Sequence[str], outputs: Sequence[str], numbers: Mapping[str, int] | None = None
) -> bytes:
    attributes = [
        _message([Field(ATTRIBUTE_NAME, name.encode()), Field(ATTRIBUTE_INT, value), Field(ATTRIBUTE_TYPE, INT)])
        for name, value in (numbers or {}).items()
    ]
    return _message(
        [
            *(Field(NODE_INPUT, name.encode()) for name in inputs),
            *(Field(NODE_OUTPUT, name.encode()) for name in outputs),
            Field(NODE_OPERATOR, operator.encode()),
            *(Field(NODE_ATTRIBUTE, attribute) for attribute in attributes),
        ]
    )


def _tensor(name: str, values: np.ndarray) -> bytes:
    raw = np.ascontiguousarray(values, dtype="<f4").tobytes()
    dims = [Field(TENSOR_DIMS, size) for size in values.shape]
    return _message([*dims, Field(TENSOR_TYPE, FLOAT), Field(TENSOR_NAME, name.encode()), Field(TENSOR_RAW, raw)])


def _value(name: str, shape: Sequence[str | int] | None = None) -> bytes:
    """Name and type of an output in single precision; without `shape` of any."""
    tensor = [Field(TYPE_ELEMENT, FLOAT)]
    if shape is not None:
        dims = [
            _message([Field(DIM_VALUE, size) if isinstance(size, int) else Field(DIM_NAME, size.encode())])
            for size in shape
        ]
        tensor.append(Field(TYPE_SHAPE, _message(Field(SHAPE_DIM, dim) for dim in dims)))
    value_type = _message([Field(TYPE_TENSOR, _message(tensor))])
    return _message([Field(NAME_OF_VALUE, name.encode()), Field(VALUE_TYPE, value_type)])
