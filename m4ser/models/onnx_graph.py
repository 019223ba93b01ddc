"""The model as an ONNX graph, with any batch size and lengths.

:func:`export` writes text encoder, fusion and classifier: what stands in front of the model (speech features,
recognition, tokenisation) stays as it is. A speech encoder that reads waveforms stays in PyTorch too: the graph then
starts at its states. :func:`export_whole` writes everything but the words, for prediction without PyTorch.
"""

import argparse
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

from m4ser.models.build import build_text_processor
from m4ser.models.checkpoint import load_run
from m4ser.models.description import GraphDescription, Pieces, SpeechPipeline
from m4ser.models.encoders.frozen import SpeechFeatures
from m4ser.models.encoders.huggingface_text import HuggingFaceTextEncoder
from m4ser.models.encoders.precomputed import PrecomputedEncoder
from m4ser.models.model import SERModel
from m4ser.models.onnx_int8 import quantise_weights
from m4ser.models.onnx_session import LABELS, NOTE, open_session
from m4ser.models.representations import length_mask
from m4ser.models.whole_graph import WholeGraph
from m4ser.utils.errors import UserError, first_line
from m4ser.utils.files import atomic_path

TOLERANCE = 1e-4  # of the logits, between the graph and PyTorch
SIZES = ((1, 1, 2), (1, 57, 9), (3, 20, 30))  # batch, frames, pieces, at which the two are compared
TEXT_SHORTEST = 2  # pieces: [CLS] and [SEP]
# What varies of an input, by axis; of their lengths only the batch does.
DYNAMIC = {"speech": {1: "frames"}, "speech_states": {1: "frames"}, "log_mel": {2: "frames"}}
DYNAMIC |= {"text": {1: "pieces"}, "text_states": {1: "pieces"}, "text_confidence": {1: "pieces"}}
Encoder = TypeVar("Encoder", bound=nn.Module)


class Exported(NamedTuple):
    """Names of a graph's inputs, size of its file, largest difference of a logit from PyTorch's."""

    inputs: list[str]
    size: int  # bytes
    difference: float


class WholeExported(NamedTuple):
    """A graph of the whole model, and what an archive says of it and of the features that it makes."""

    exported: Exported
    description: GraphDescription
    speech: SpeechPipeline | None


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
        if model.fusion.uses_confidence:
            self.inputs.append("text_confidence")

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
        if "text_confidence" in tensors:
            inputs.append(tensors["text_confidence"])
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
            elif name == "text_confidence":
                values.append(torch.rand(batch, longest, generator=random) * 1.2 - 0.2)
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


def _inside(encoder: nn.Module | None, encoder_class: type[Encoder]) -> Encoder:
    """An encoder that is part of the graph, which those of ``encoder_class`` are."""
    assert isinstance(encoder, encoder_class)
    return encoder


def export(run: str | Path, path: str | Path, int8: bool = False, head: bool = False) -> Exported:
    """Write the graph of a trained run.

    With ``int8`` the weights of matrix products are 8-bit integers, and activations are quantised as they come; such a
    graph is not held to the tolerance: measure what it costs. With ``head`` it has fusion and classifier only.

    Raises:
        UserError: a package is missing, or the graph does not compute what the model does.
    """
    model, _ = _load(run)
    graph = Graph(model, head).eval()
    with atomic_path(path) as temporary:
        _export(graph, graph.example(2, 30, 12), temporary, {LABELS: model.labels})
        difference = largest_difference(graph, temporary)
        _hold_to_tolerance(difference, path)
        if int8:
            _quantise(temporary, {LABELS: model.labels})
            difference = largest_difference(graph, temporary)
    return Exported(graph.inputs, Path(path).stat().st_size, difference)


def export_whole(
    run: str | Path,
    path: str | Path,
    encoder: SpeechFeatures | None,
    features: SpeechPipeline | None,
    int8: bool = False,
    temperature: float = 1.0,
) -> WholeExported:
    """Write the graph of a trained run from features of the recording (and pieces of its words) to logits.

    It is compared with what training has computed of each recording by itself. With ``int8`` weights are rounded
    (:mod:`m4ser.models.onnx_int8`); such a graph is not held to the tolerance.

    Args:
        run: folder of the run.
        path: file to write.
        encoder: frozen encoder of the run's speech features, None where it has none.
        features: ``pipeline.speech`` of the run.
        int8: see above.
        temperature: what probabilities are made with; it is noted, the logits are not divided by it.

    Raises:
        UserError: a package is missing, the model has a part of which there is no graph, or the graph does not compute
            what the model does.
    """
    model, args = _load(run)
    graph = WholeGraph(model, encoder, features).eval()
    words = build_text_processor(args)
    pieces: Pieces | None = None
    if words is not None:
        pieces = {"dummy_tokens": words.dummy_tokens, "max_pieces": words.max_pieces}
    description = graph.description(int8, temperature, pieces)
    notes = {LABELS: model.labels, NOTE: description}
    values, expected = graph.example()
    with atomic_path(path) as temporary:
        _export(graph, values, temporary, notes)
        difference = _difference(graph, values, expected, open_session(temporary))
        _hold_to_tolerance(difference, path)
        if int8:
            import onnx

            onnx_model = onnx.load(temporary)
            del onnx_model.graph.value_info[:]  # types of what is no longer there
            quantise_weights(onnx_model)
            _write(onnx_model, temporary, notes)
            difference = _difference(graph, values, expected, open_session(temporary))
    pipeline = graph.pipeline((features or {}).get("encoder") or args.speech_encoder_conf.get("model", ""))
    exported = Exported(graph.inputs, Path(path).stat().st_size, difference)
    return WholeExported(exported, description, pipeline)


def _load(run: str | Path) -> tuple[SERModel, argparse.Namespace]:
    _need_packages()
    model, args = load_run(run)
    if not isinstance(model, SERModel):
        raise UserError(f"{run}: only models of this project become graphs, not the baseline {args.task}")
    return model, args


def _hold_to_tolerance(difference: float, path: str | Path) -> None:
    if not difference <= TOLERANCE:
        raise UserError(f"{path}: the exported graph differs from the model by {difference:.1e}; not written")


def _need_packages() -> None:
    for name in ("onnx", "onnxruntime", "onnxscript"):
        if importlib.util.find_spec(name) is None:
            raise UserError(f"ONNX export needs the Python package {name}; run make -C tools")


def _export(graph: Graph | WholeGraph, values: list[Tensor], path: Path, notes: dict[str, Any]) -> None:
    import onnx

    dynamic = tuple({0: "batch", **DYNAMIC.get(name, {})} for name in graph.inputs)
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                graph,
                tuple(values),
                str(path),
                input_names=graph.inputs,
                output_names=["logits"],
                dynamic_shapes=(dynamic,),  # one entry: the variadic argument
                external_data=False,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        cause = first_line(error.__cause__ or error)
        raise UserError(f"PyTorch makes no graph of this model ({cause})") from error
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
    onnx_model = onnx.load(path)
    _write(onnx_model, path, notes)


def _write(onnx_model: Any, path: Path, notes: dict[str, Any]) -> None:
    import onnx

    del onnx_model.metadata_props[:]
    onnx.helper.set_model_props(onnx_model, {name: json.dumps(value) for name, value in notes.items()})
    for node in onnx_model.graph.node:  # where in which file an operation came from
        del node.metadata_props[:]
        node.doc_string = ""
    onnx.save(onnx_model, path)


def _quantise(path: Path, notes: dict[str, Any]) -> None:
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
            _write(onnx.load(target), path, notes)
    finally:
        logger.setLevel(level)


def largest_difference(graph: Graph, path: Path) -> float:
    """Largest difference of a logit between the graph and PyTorch, at several sizes."""
    session = open_session(path)
    worst = 0.0
    for sizes in SIZES:
        values = graph.example(*sizes)
        with torch.no_grad():
            expected = graph(*values)
        worst = max(worst, _difference(graph, values, expected, session))
    return worst


def _difference(graph: Graph | WholeGraph, values: list[Tensor], expected: Tensor, session: Any) -> float:
    """Largest difference of a logit from what is expected, not a number where the graph gives none."""
    (logits,) = session.run(None, {name: v.numpy() for name, v in zip(graph.inputs, values, strict=True)})
    return float(np.abs(logits - expected.numpy()).max())
