"""What is written down of a trained model: ``run.json`` of its experiment, ``m4ser.json`` of an archive.

The files are these dictionaries as JSON, headed by ``made_by``.
"""

from typing import Any

# Not typing's: pydantic, which checks archives by these types, reads it from Python 3.12 on only.
from typing_extensions import NotRequired, TypedDict

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
    settings: dict[str, Any]
    folds: list[str]
    seeds: list[int]
    made_by: NotRequired[dict[str, str]]


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
    made_by: dict[str, str]


class StoredFile(TypedDict):
    """One file of an archive."""

    size: int  # bytes
    sha256: str


class ArchiveDescription(TypedDict):
    """``m4ser.json``: what an archive holds."""

    format: int
    m4ser: str  # version that packed it
    labels: list[str]
    parameters: int
    pipeline: Pipeline
    training: Training
    metrics: dict[str, Any]
    files: NotRequired[dict[str, StoredFile]]
