"""What is written down of a trained model: ``run.json`` of its experiment, ``m4ser.json`` of an archive.

The files are these dictionaries as JSON, headed by ``made_by``.
"""

import functools
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

from annotated_types import MinLen

# Not typing's: pydantic, which checks archives by these types, reads it from Python 3.12 on only.
from typing_extensions import NotRequired, TypedDict

from m4ser.data.origin import Origin
from m4ser.utils.errors import DamagedFileError
from m4ser.utils.files import read_json

if TYPE_CHECKING:
    from m4ser.utils.schema import Checker

PLAN = "run.json"


class Architecture(TypedDict):
    """What rebuilds a pretrained speech model without its folder: :meth:`.Backbone.architecture`."""

    hf_config: dict[str, Any]
    hf_features: dict[str, Any]


class SpeechPipeline(TypedDict, total=False):
    """Features of a frozen encoder; nothing of it where the model reads the waveform."""

    encoder: str
    layers: list[int]
    pool: int
    normalised: str  # by speaker or corpus, over several recordings; missing where they are taken as they are
    architecture: Architecture  # of an encoder that is in the archive


class RecogniserDescription(TypedDict):
    """A recogniser of :mod:`m4ser.asr.backends`."""

    name: str | None
    model: str | None
    settings: dict[str, Any]
    packed: NotRequired[bool]  # its model is in the archive


class TextPipeline(TypedDict):
    """Words that the model reads."""

    source: str  # "asr" or "ref"
    normaliser: str
    asr: RecogniserDescription | None


class Pipeline(TypedDict):
    """What is done to a recording first; null for what the model does not use."""

    speech: SpeechPipeline | None
    text: TextPipeline | None


class Plan(TypedDict):
    """``run.json``: what an experiment trains, and all that its results name."""

    tag: str
    protocol: str
    labels: list[str]
    fusion: str
    objectives: dict[str, dict[str, Any]]
    speech_encoder: str
    text_encoder: str
    text_source: str
    asr: str
    pipeline: NotRequired[Pipeline]  # missing in experiments of the first versions
    config: str
    train_args: str
    init_exp: str | None
    speeds: list[float] | None
    altered_copies: NotRequired[int]
    operating_point: NotRequired[str]
    settings: dict[str, Any]
    folds: Annotated[list[str], MinLen(1)]
    seeds: Annotated[list[int], MinLen(1)]
    corpora: NotRequired[dict[str, Origin]]  # by name, of those whose recipes say so
    trained_on: NotRequired[dict[str, str]]  # of crossed corpora, see Folds
    made_by: NotRequired[dict[str, str]]


class Tried(TypedDict):
    """Scores of an adapted model on utterances that it was not adapted with, fractions of one."""

    ua: float
    wa: float
    utterances: int
    speakers: int  # that were unknown to the model, 0 where it may have known them


class Adapted(TypedDict):
    """What a model was adapted with: few labelled utterances, to which its last layer was fitted.

    Keys:
        source: tag of the model that was adapted.
        counts: utterances by label.
        speakers: how many there were, 0 where they are not known.
        known: labels that the model knew before.
        strength: of the prior, see :mod:`m4ser.adaptation.classifier`.
        seconds: of processor time, for opening the model, hearing these utterances and fitting.
        left_out: scores of a cross-validation among these utterances, where there were enough.
        tested: scores on others that were kept for a test.
        earlier: what the model had been adapted with before.
    """

    source: str
    counts: dict[str, int]
    speakers: int
    known: list[str]
    strength: float
    seconds: NotRequired[float]
    left_out: NotRequired[Tried]
    tested: NotRequired[Tried]
    earlier: NotRequired[list[dict[str, Any]]]


class Training(TypedDict, total=False):
    """Of a plan what an archive tells, of one run."""

    tag: str
    protocol: str
    fusion: str
    objectives: dict[str, dict[str, Any] | None]
    speech_encoder: str
    text_encoder: str
    text_source: str
    asr: str | None
    fold: str
    seed: int
    corpora: list[Origin]  # that it was trained on
    made_by: dict[str, str]
    adapted: Adapted  # where its last layer was fitted to other utterances than it was trained on


class StoredFile(TypedDict):
    """One file of an archive."""

    size: int  # bytes
    sha256: str


class Pieces(TypedDict):
    """How words become the input of a text encoder, see :class:`m4ser.models.text.TextProcessor`."""

    dummy_tokens: bool
    max_pieces: int


class GraphDescription(TypedDict):
    """The graph of an archive that holds nothing else to compute with: ``model.onnx``, from features to logits.

    Keys:
        speech: input of the speech branch: Whisper's log-mel features (``hf_features`` of the pipeline's
            architecture say which), 16 kHz samples, or null where there is none.
        text: input of the text branch, pieces of the tokenizer, or null.
        int8: whether weights are 8-bit integers.
        longest: most seconds that it takes at a time.
        temperature: what logits are divided by before the softmax, so that probabilities mean what they say.
        pieces: how words become pieces, of a graph with words.
    """

    speech: Literal["log_mel", "waveform"] | None
    text: Literal["pieces"] | None
    int8: bool
    longest: float
    temperature: NotRequired[float]
    pieces: NotRequired[Pieces]


class ArchiveDescription(TypedDict):
    """``m4ser.json``: what an archive holds."""

    format: int
    m4ser: str  # version that packed it
    labels: list[str]
    parameters: int
    pipeline: Pipeline
    training: Training
    metrics: dict[str, Any]
    graph: NotRequired[GraphDescription]  # of an archive without PyTorch's weights
    files: NotRequired[dict[str, StoredFile]]


def temperature_of(graph: GraphDescription | None) -> float:
    """What the logits of a model are divided by before the softmax: 1 where nothing is said."""
    return graph.get("temperature", 1.0) if graph else 1.0


@functools.cache
def _plan_checker() -> "Checker":
    from m4ser.utils.schema import Checker, schema_of  # not for archives, which are checked by the types above

    return Checker({**schema_of(Plan), "required": []})


def read_plan(path: str | Path, need: Collection[str] = ()) -> Plan:
    """A ``run.json``.

    Raises:
        DamagedFileError: it is no JSON, has values of other types, or lacks one of ``need``.
        OSError: it cannot be read.
    """
    remedy = "delete it and run stage 4 again"
    try:
        plan = read_json(path)
    except DamagedFileError:
        raise DamagedFileError(f"{path}: damaged, is not JSON; {remedy}") from None
    if fault := _plan_checker().fault(plan):
        raise DamagedFileError(f"{path}: damaged ({fault}); {remedy}")
    if missing := [key for key in need if key not in plan]:
        raise DamagedFileError(f"{path}: damaged ({missing[0]}: is missing); {remedy}")
    return cast(Plan, plan)
