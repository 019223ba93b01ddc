"""The model that is adapted: what it makes of recordings before its last layer, and that layer."""

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from m4ser.adaptation.classifier import Layer
from m4ser.adaptation.examples import Example
from m4ser.adaptation.graph_end import GraphEnd
from m4ser.hub.archive import GRAPH
from m4ser.hub.opening import open_model
from m4ser.hub.stored import StoredModel
from m4ser.inference.backends.onnx import OnnxBackend
from m4ser.inference.inputs import Item
from m4ser.inference.recognizer import EmotionRecognizer
from m4ser.inference.results import Failure
from m4ser.models.description import temperature_of
from m4ser.utils.errors import UserError
from m4ser.utils.progress import track


@dataclass(frozen=True)
class Choice:
    """A model by what a user calls it, and how it is used: see :meth:`.EmotionRecognizer.from_pretrained`."""

    model: str | Path
    fold: str | None = None
    seed: int | None = None
    asr: str | None = None
    asr_model: str | None = None
    pretrained_dir: str | None = None
    device: str = "auto"

    def recognizer(self, folder: Path) -> EmotionRecognizer:
        """A recogniser of emotions with the model in a folder, whichever the choice names."""
        return EmotionRecognizer.from_pretrained(
            folder, self.device, asr=self.asr, asr_model=self.asr_model, pretrained_dir=self.pretrained_dir
        )


@dataclass(frozen=True)
class Source:
    """A model that can be adapted.

    Attributes:
        stored: where it is kept.
        layer: its last one.
        recognizer: gives utterance vectors instead of logits (:meth:`.EmotionRecognizer.outputs`).
        temperature: of its probabilities.
    """

    stored: StoredModel
    layer: Layer
    recognizer: EmotionRecognizer
    temperature: float

    def vectors(self, examples: Sequence[Example]) -> np.ndarray:
        """Utterance vectors (N, U) of recordings; see :func:`outputs`.

        Raises:
            UserError: see there, or they do not fit the last layer.
        """
        rows = outputs(self.recognizer, examples)
        if rows.shape[1:] != self.layer.weight.shape[1:]:
            raise UserError(f"{self.stored.folder}: its last layer does not fit what it reads; get the model again")
        return rows


def outputs(recognizer: EmotionRecognizer, examples: Sequence[Example]) -> np.ndarray:
    """What a network gives for recordings (N, ...).

    Raises:
        UserError: one of them cannot be used; its line is named.
    """
    if recognizer.normalised == "corpus":
        recognizer.speakers = "corpus"  # all of them are of one
    elif recognizer.normalised:
        if silent := [example for example in examples if not example.speaker]:
            fault = f"{silent[0].where}: has no speaker, and the model normalises features by {recognizer.normalised}"
            raise UserError(f"{fault}; fill in the column speaker, or take another model")
        recognizer.speakers = {str(example.path): example.speaker for example in examples}
    where = {str(example.path): example.where for example in examples}
    items = [Item(str(one.path), one.path, text=one.text or None) for one in examples]
    rows = []
    for result in track(recognizer.outputs(items), "recordings", len(items)):
        if isinstance(result, Failure):
            raise UserError(f"{where[result.name]}: {result.name}: {result.reason}")
        rows.append(result[1])
    if len({row.shape for row in rows}) > 1:
        raise UserError(f"{examples[0].where}: the model gives more of some recordings than of others; get it again")
    return np.stack(rows)


@contextlib.contextmanager
def open_source(choice: Choice) -> Iterator[Source]:
    """Open the model that a user has chosen, until the block ends.

    Raises:
        UserError: it is not there, or does not end in one linear layer.
    """
    name = choice.model
    opened = open_model(name, choice.fold, choice.seed)
    with opened as stored, tempfile.TemporaryDirectory(prefix="m4ser-") as folder:
        recognizer = choice.recognizer(stored.folder)
        if stored.graph is None:
            from m4ser.adaptation.checkpoint import layer_of, without_layer

            layer, recognizer.forward = layer_of(recognizer, name), without_layer(recognizer)
        else:
            end, path = read_end(stored, name), Path(folder) / GRAPH
            path.write_bytes(end.without_layer())
            layer, recognizer.forward = end.layer(Path(folder)), OnnxBackend(path, stored.labels)
        if layer.weight.shape[:-1] != layer.bias.shape or layer.bias.shape != (len(stored.labels),):
            raise UserError(f"{name}: its last layer does not fit its {len(stored.labels)} labels; get the model again")
        yield Source(stored, layer, recognizer, temperature_of(stored.graph))


def read_end(stored: StoredModel, name: str | Path) -> GraphEnd:
    """The end of a stored model's whole graph.

    Raises:
        UserError: it is not one linear layer.
    """
    try:
        return GraphEnd((stored.folder / GRAPH).read_bytes())
    except ValueError as error:
        raise UserError(f"{name}: its graph {error}; such a model cannot be adapted") from None
