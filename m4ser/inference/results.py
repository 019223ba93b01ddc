"""What is said about a recording."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Segment:
    """One part of a recording, from `start` to `end` in seconds."""

    start: float
    end: float
    label: str
    probabilities: dict[str, float]
    text: str | None = None


@dataclass(frozen=True)
class Prediction:
    """What the model says about one recording.

    Attributes:
        name: as given, see :mod:`m4ser.inference.inputs`.
        label: the most probable emotion.
        probabilities: of every emotion, in the order of the model's labels. Of a recording that was split they are the
            mean over its segments, weighted by duration.
        text: what the model read: recognised, or as given; None for a model without text.
        confidence: the recogniser's in its text, 0 to 1; None for given text and for a model without text.
        duration: seconds of audio.
        segments: one for each utterance; a single one unless the recording was split.
        seconds: processing time: `read`, `features`, `recognition`, `model`.
    """

    name: str
    label: str
    probabilities: dict[str, float]
    text: str | None
    confidence: float | None
    duration: float
    segments: list[Segment]
    seconds: dict[str, float] = field(compare=False)


@dataclass(frozen=True)
class Failure:
    """A recording that could not be used, and why, on one line."""

    name: str
    reason: str
