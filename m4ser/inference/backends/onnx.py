"""Graphs that were exported to ONNX, run by onnxruntime; nothing in here needs PyTorch."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from m4ser.data.log_mel import LogMel
from m4ser.hub.stored import CONFIDENCE, TOKENIZER, StoredModel
from m4ser.inference.backends.base import Batch, Network
from m4ser.models.arrays import Padding, SERPreprocessor
from m4ser.models.description import temperature_of
from m4ser.models.onnx_session import LABELS, open_session
from m4ser.models.pieces import WordPieces
from m4ser.models.text import TextProcessor
from m4ser.utils.errors import UserError

GRAPH = "model.onnx"
# (B, T, size) and lengths (B,) -> states (B, T', D) and lengths (B,): an encoder that is not in the graph.
Encoder = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


class OnnxBackend:
    """Logits from an exported graph.

    Args:
        path: of the graph.
        labels: the emotions that it has to know.
        encoders: by the name of their input, ``speech`` or ``text``: those that are not in the graph, which then starts
            at their states.

    Raises:
        UserError: the file is missing, damaged, or of a model with other labels.
    """

    def __init__(self, path: str | Path, labels: list[str], encoders: Mapping[str, Encoder] | None = None) -> None:
        path = Path(path)
        if not path.is_file():
            raise UserError(f"{path}: no such file; make it with m4ser export-onnx")
        self.session, self.encoders = open_session(path), encoders or {}
        known = self.session.get_modelmeta().custom_metadata_map.get(LABELS)
        if known is None or json.loads(known) != list(labels):
            raise UserError(f"{path}: was not exported from this model (its labels are {known})")
        self.inputs = [value.name for value in self.session.get_inputs()]

    def __call__(self, batch: Batch) -> np.ndarray:
        """A batch -> logits (B, E)."""
        arrays: Batch = {}
        for name in ("speech", "text"):
            lengths = f"{name}_lengths"
            if f"{name}_states" in self.inputs:
                states, frames = self.encoders[name](batch[name], batch[lengths])
                arrays |= {f"{name}_states": states, lengths: frames}
            elif name in self.inputs:
                arrays |= {name: batch[name], lengths: batch[lengths]}
        if CONFIDENCE in self.inputs:
            arrays[CONFIDENCE] = batch[CONFIDENCE]
        if "log_mel" in self.inputs:  # features are a batch's columns, and the graph's rows
            arrays |= {"log_mel": batch["speech"].transpose(0, 2, 1), "log_mel_lengths": batch["speech_lengths"]}
        if "waveform" in self.inputs:
            arrays |= {"waveform": batch["speech"], "waveform_lengths": batch["speech_lengths"]}
        if not {"log_mel", "waveform"} & set(self.inputs):
            return self._run(arrays)
        # One after the other: a whole graph takes no longer so, and with 8-bit weights onnxruntime chooses by the size
        # of a batch how it computes, which changed the probabilities of short recordings by up to 0.01.
        return np.concatenate([self._run(_row(arrays, number)) for number in range(len(batch["speech"]))])

    def _run(self, arrays: Batch) -> np.ndarray:
        (logits,) = self.session.run(None, {name: arrays[name] for name in self.inputs})
        return logits


def _row(arrays: Batch, number: int) -> Batch:
    """One row of a batch without its padding."""
    row: Batch = {}
    for name, values in arrays.items():
        row[name] = values[number : number + 1]
        if not name.endswith("_lengths"):
            lengths = arrays["text_lengths" if name == CONFIDENCE else f"{name}_lengths"]
            row[name] = row[name][..., : int(lengths[number])]
    return row


def open_graph(stored: StoredModel, device: str = "auto", pretrained_dir: str | Path | None = None) -> Network:
    """The network of an archive that holds a whole graph.

    Raises:
        UserError: a file is damaged, or another device than the CPU is asked for.
    """
    graph = stored.graph
    if graph is None:
        raise ValueError(f"{stored.folder}: holds no whole graph")
    if device not in ("auto", "cpu"):
        raise UserError(f"--device {device}: this model is an ONNX graph, which runs on the CPU; use cpu")
    speech, text = stored.pipeline["speech"], None
    log_mel = None
    if graph["speech"] == "log_mel":
        if not speech or "architecture" not in speech:
            raise UserError(f"{stored.folder}: does not say how its features are made; get the model again")
        log_mel = LogMel(speech["architecture"]["hf_features"])
    if graph["text"] is not None:
        text = TextProcessor(WordPieces(stored.folder / TOKENIZER), **graph.get("pieces", {}))
    backend = OnnxBackend(stored.folder / GRAPH, stored.labels)
    return Network(
        labels=stored.labels,
        features=None if log_mel is None else lambda samples: log_mel(samples).T,
        preprocess=SERPreprocessor(stored.labels, text, with_confidence=CONFIDENCE in backend.inputs),
        pad=Padding(text.padding if text else 0),
        logits=backend,
        longest=graph["longest"],
        temperature=temperature_of(graph),
        pretrained_dir=pretrained_dir,
    )
