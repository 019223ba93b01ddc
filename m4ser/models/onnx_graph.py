"""The model as an ONNX graph: text encoder, fusion and classifier, with any batch size and lengths.

What stands in front of the model (speech features, recognition, tokenisation) stays as it is. A speech encoder that
reads waveforms stays in PyTorch too: the graph then starts at its states.
"""

import importlib.util
import json
import logging
import tempfile
import warnings
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from m4ser.models.checkpoint import load_run
from m4ser.models.encoders.huggingface_text import HuggingFaceTextEncoder
from m4ser.models.encoders.precomputed import PrecomputedEncoder
from m4ser.models.model import SERModel
from m4ser.models.onnx_session import LABELS, open_session
from m4ser.models.representations import length_mask
from m4ser.utils.errors import UserError
from m4ser.utils.files import atomic_path

TOLERANCE = 1e-4  # of the logits, between the graph and PyTorch
SIZES = ((1, 1, 2), (1, 57, 9), (3, 20, 30))  # batch, frames, pieces, at which the two are compared
TEXT_SHORTEST = 2  # pieces: [CLS] and [SEP]
Kind = TypeVar("Kind", bound=nn.Module)


class Exported(NamedTuple):
    """Names of a graph's inputs, size of its file, largest difference of a logit from PyTorch's."""

    inputs: list[str]
    size: int  # bytes
    difference: float


class Graph(nn.Module):
    """The inference graph from arrays; of an encoder that is not in it, its states (B, T, D) are the input."""

    def __init__(self, model: SERModel, head: bool) -> None:
        super().__init__()
        self.model = model
        self.speech_inside = not head and isinstance(model.speech_encoder, PrecomputedEncoder)
        self.text_inside = not head and isinstance(model.text_encoder, HuggingFaceTextEncoder)
        self.inputs = []
        if model.speech_encoder is not None:
            self.inputs += ["speech" if self.speech_inside else "speech_states", "speech_lengths"]
        if model.text_encoder is not None:
            self.inputs += ["text" if self.text_inside else "text_states", "text_lengths"]

    def forward(self, *values: Tensor) -> Tensor:
        """Tensors in the order of ``inputs`` -> logits (B, E)."""
        tensors = dict(zip(self.inputs, values, strict=True))
        inputs: list[Tensor | None] = []
        for name in ("speech", "text"):
            if name in tensors:
                encoder = getattr(self.model, f"{name}_encoder")
                states, lengths, _ = encoder(tensors[name], tensors[f"{name}_lengths"])
            elif f"{name}_states" in tensors:
                states, lengths = tensors[f"{name}_states"], tensors[f"{name}_lengths"]
            else:
                inputs += [None, None]
                continue
            inputs += [states, length_mask(lengths, states.shape[1])]
        return self.model.logits(self.model.fusion(*inputs))

    def example(self, batch: int, frames: int, pieces: int) -> list[Tensor]:
        """Random inputs of these sizes; the first row is the longest."""
        random = torch.Generator().manual_seed(batch * 1000 + frames)
        model, values = self.model, []
        for name in self.inputs:
            longest, shortest = (pieces, TEXT_SHORTEST) if name.startswith("text") else (frames, 1)
            if name.endswith("_lengths"):
                lengths = torch.randint(min(shortest, longest), longest + 1, (batch,), generator=random)
                lengths[0] = longest
                values.append(lengths)
            elif name == "text":
                highest = _inside(model.text_encoder, HuggingFaceTextEncoder).word_embeddings.shape[0]
                values.append(torch.randint(0, highest, (batch, longest), generator=random))
            elif name == "speech":
                encoder = _inside(model.speech_encoder, PrecomputedEncoder)
                size = encoder.num_layers * encoder.input_size
                values.append(torch.randn(batch, longest, size, generator=random))
            else:
                size = getattr(model, name.replace("_states", "_encoder")).output_size()
                values.append(torch.randn(batch, longest, size, generator=random))
        return values


def _inside(encoder: nn.Module | None, kind: type[Kind]) -> Kind:
    """An encoder that is part of the graph, which those of ``kind`` are."""
    assert isinstance(encoder, kind)
    return encoder


def export(run: str | Path, path: str | Path, int8: bool = False, head: bool = False) -> Exported:
    """Write the graph of a trained run.

    With ``int8`` the weights of matrix products are 8-bit integers, and activations are quantised as they come; such a
    graph is not held to the tolerance: measure what it costs. With ``head`` it has fusion and classifier only.

    Raises:
        UserError: a package is missing, or the graph does not compute what the model does.
    """
    _need_packages()
    model, args = load_run(run)
    if not isinstance(model, SERModel):
        raise UserError(f"{run}: only models of this project become graphs, not the baseline {args.task}")
    graph = Graph(model, head).eval()
    with atomic_path(path) as temporary:
        _export(graph, temporary, model.labels)
        difference = largest_difference(graph, temporary)
        if difference > TOLERANCE:
            raise UserError(f"{path}: the exported graph differs from the model by {difference:.1e}; not written")
        if int8:
            _quantise(temporary, model.labels)
            difference = largest_difference(graph, temporary)
    return Exported(graph.inputs, Path(path).stat().st_size, difference)


def _need_packages() -> None:
    for name in ("onnx", "onnxruntime", "onnxscript"):
        if importlib.util.find_spec(name) is None:
            raise UserError(f"ONNX export needs the Python package {name}; run make -C tools")


def _export(graph: Graph, path: Path, labels: list[str]) -> None:
    import onnx

    sizes = {"speech": "frames", "speech_states": "frames", "text": "pieces", "text_states": "pieces"}
    dynamic = tuple({0: "batch", 1: sizes[name]} if name in sizes else {0: "batch"} for name in graph.inputs)
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                graph,
                tuple(graph.example(2, 30, 12)),
                str(path),
                input_names=graph.inputs,
                output_names=["logits"],
                dynamic_shapes=(dynamic,),  # one entry: the variadic argument
                external_data=False,
                verbose=False,
            )
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
    onnx_model = onnx.load(path)
    _write(onnx_model, path, labels)


def _write(onnx_model: Any, path: Path, labels: list[str]) -> None:
    import onnx

    del onnx_model.metadata_props[:]
    onnx.helper.set_model_props(onnx_model, {LABELS: json.dumps(labels)})
    for node in onnx_model.graph.node:  # where in which file an operation came from
        del node.metadata_props[:]
        node.doc_string = ""
    onnx.save(onnx_model, path)


def _quantise(path: Path, labels: list[str]) -> None:
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    onnx_model = onnx.load(path)
    del onnx_model.graph.value_info[:]  # shapes of example sizes, which quantisation would hold the graph to
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with tempfile.TemporaryDirectory(prefix="m4ser-") as folder:
            target = Path(folder, "int8.onnx")
            quantize_dynamic(onnx_model, target, op_types_to_quantize=["MatMul", "Gemm"], weight_type=QuantType.QInt8)
            _write(onnx.load(target), path, labels)
    finally:
        logger.setLevel(level)


def largest_difference(graph: Graph, path: Path) -> float:
    """Largest difference of a logit between the graph and PyTorch, at several sizes."""
    session = open_session(path)
    worst = 0.0
    for sizes in SIZES:
        values = graph.example(*sizes)
        with torch.no_grad():
            expected = graph(*values).numpy()
        (logits,) = session.run(None, {name: v.numpy() for name, v in zip(graph.inputs, values, strict=True)})
        worst = max(worst, float(np.abs(logits - expected).max()))
    return worst
