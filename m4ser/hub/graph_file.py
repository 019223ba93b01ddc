"""What an ONNX file is, without opening it as a graph and without the package onnx.

The file is a protocol buffer: fields with a number and a type, nested. Only what is needed here is looked at; weights
are skipped. A graph cannot run code of the machine, but its format knows three things that are none of a model's:
weights in other files, operators of other libraries, and loops. They are refused.
"""

import json
import mmap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LABELS = "m4ser_labels"
DOMAINS = (b"", b"ai.onnx")  # of operators; onnxruntime's own are among what it makes of these
VARINT, EIGHT, BYTES, FOUR = 0, 1, 2, 5  # how a field is written
MOST_NODES = 20_000
# Numbers of fields in onnx.proto.
MODEL_GRAPH, MODEL_METADATA, MODEL_TRAINING, MODEL_FUNCTIONS = 7, 14, 20, 25
GRAPH_NODE, GRAPH_INITIALIZER, GRAPH_INPUT, GRAPH_OUTPUT, GRAPH_SPARSE = 1, 5, 11, 12, 15
NODE_OPERATOR, NODE_ATTRIBUTE, NODE_DOMAIN = 4, 5, 7
ATTRIBUTE_TENSOR, ATTRIBUTE_GRAPH, ATTRIBUTE_TENSORS, ATTRIBUTE_GRAPHS = 5, 6, 10, 11
ATTRIBUTE_SPARSE, ATTRIBUTE_SPARSES = 22, 23
TENSOR_EXTERNAL, TENSOR_LOCATION = 13, 14
NAME_OF_VALUE, KEY, VALUE = 1, 1, 2
Value = int | tuple[int, int]  # of a field: a number, or where its bytes are
Content = mmap.mmap | bytes


@dataclass
class GraphFile:
    """Names of a graph's inputs and outputs, and its labels, None where it has none."""

    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    labels: Any = None


def read_graph_file(path: Path) -> GraphFile:
    """Look through an ONNX file.

    Raises:
        ValueError: it is not one, or holds what a model of this project does not.
    """
    graph_file, graphs, nodes = GraphFile(), 0, 0
    if not path.stat().st_size:
        raise ValueError("is empty")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for number, value in fields(content, 0, len(content)):
            if number in (MODEL_TRAINING, MODEL_FUNCTIONS):
                raise ValueError("has functions or training steps of its own")
            if number == MODEL_METADATA:
                key, text = (text_of(content, value, each) for each in (KEY, VALUE))
                graph_file.labels = json.loads(text) if key == LABELS else graph_file.labels
            if number == MODEL_GRAPH:
                graphs += 1
                for inner, part in fields(content, *span(value)):
                    if inner == GRAPH_NODE:
                        nodes += 1
                        _check_node(content, span(part))
                    elif inner == GRAPH_INITIALIZER:
                        _check_tensor(content, span(part))
                    elif inner == GRAPH_SPARSE:
                        raise ValueError("has sparse weights")
                    elif inner in (GRAPH_INPUT, GRAPH_OUTPUT):
                        names = graph_file.inputs if inner == GRAPH_INPUT else graph_file.outputs
                        names.append(text_of(content, part, NAME_OF_VALUE))
    if graphs != 1 or not 0 < nodes <= MOST_NODES:
        raise ValueError(f"is not an ONNX graph ({graphs} graphs, {nodes} operators)")
    return graph_file


def _check_node(content: Content, place: tuple[int, int]) -> None:
    for number, value in fields(content, *place):
        if number == NODE_DOMAIN and content[slice(*span(value))] not in DOMAINS:
            raise ValueError(f"has an operator of another library ({_shown(content, value)})")
        if number == NODE_ATTRIBUTE:
            for inner, part in fields(content, *span(value)):
                if inner in (ATTRIBUTE_GRAPH, ATTRIBUTE_GRAPHS):
                    raise ValueError("has loops or branches")
                if inner in (ATTRIBUTE_SPARSE, ATTRIBUTE_SPARSES):
                    raise ValueError("has sparse weights")
                if inner in (ATTRIBUTE_TENSOR, ATTRIBUTE_TENSORS):
                    _check_tensor(content, span(part))


def _check_tensor(content: Content, place: tuple[int, int]) -> None:
    for number, value in fields(content, *place):
        if number == TENSOR_EXTERNAL or (number == TENSOR_LOCATION and value != 0):
            raise ValueError("has weights in another file")


def fields(content: Content, place: int, end: int) -> Iterator[tuple[int, Value]]:
    """Number and value of each field of a message: a number, or where its bytes are.

    Raises:
        ValueError: there is no message between these places.
    """
    while place < end:
        tag, place = _varint(content, place, end)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == VARINT:
            value, place = _varint(content, place, end)
            yield number, value
            continue
        if wire_type == BYTES:
            size, place = _varint(content, place, end)
        elif wire_type in (EIGHT, FOUR):
            size = 8 if wire_type == EIGHT else 4
        else:
            raise ValueError("is not an ONNX graph (a field of an unknown kind)")
        if size > end - place:
            raise ValueError("is not an ONNX graph (a field is longer than what holds it)")
        yield number, (place, place + size)
        place += size


def _varint(content: Content, place: int, end: int) -> tuple[int, int]:
    """A number in groups of seven bits, and the place behind it."""
    value = 0
    for shift in range(0, 70, 7):
        if place >= end:
            break
        byte = content[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise ValueError("is not an ONNX graph (a number without end)")


def span(value: Value) -> tuple[int, int]:
    """Where the bytes of a field are.

    Raises:
        ValueError: it is a number.
    """
    if isinstance(value, int):
        raise ValueError("is not an ONNX graph (a number for a message)")
    return value


def text_of(content: Content, message: Value, field_number: int) -> str:
    """A text field of a message; the last one counts."""
    text = ""
    for number, value in fields(content, *span(message)):
        if number == field_number:
            text = content[slice(*span(value))].decode()
    return text


def _shown(content: Content, value: Value) -> str:
    return ascii(content[slice(*span(value))][:40].decode(errors="replace"))
