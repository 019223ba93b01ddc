"""From a prediction to what the page shows: plain values, no Gradio."""

from m4ser.inference.results import Prediction

TITLE = "Speech emotion recognition"
CURVES = ("seconds", "probability", "emotion")  # columns of the plot
PARTS = ("from", "to", "emotion", "probability", "words")  # columns of the table


def clock(seconds: float) -> str:
    """Minutes, seconds and tenths.

    >>> clock(75.26)
    '1:15.3'
    """
    tenths = round(10 * seconds)
    return f"{tenths // 600}:{tenths % 600 // 10:02d}.{tenths % 10}"


def length(seconds: float) -> str:
    """A duration as people say it.

    >>> length(3.14), length(600.0)
    ('3.1 s', '10 min')
    """
    if seconds < 60:
        return f"{round(seconds, 1):g} s"
    return f"{seconds / 60:g} min" if seconds % 60 == 0 else f"{clock(seconds)} min"


def is_timeline(prediction: Prediction) -> bool:
    """Whether the recording was split, so that emotions over time can be shown."""
    return len(prediction.segments) > 1


def summary(prediction: Prediction) -> str:
    """What was looked at, and how long that took."""
    spent = sum(prediction.seconds.values())
    return f"{prediction.name}: {length(prediction.duration)} of sound, answered in {spent:.2f} s"


def words(prediction: Prediction) -> str:
    """The transcript, or why there is none."""
    if prediction.text is None:
        return "(this model hears the voice only)"
    return prediction.text or "(no words recognised)"


def curves(prediction: Prediction) -> list[tuple[float, float | None, str]]:
    """Points of the plot in the order of :data:`CURVES`, emotion by emotion.

    An emotion's probability is level from the start to the end of each part. Where nobody speaks there is no
    probability (None), so that no line is drawn.
    """
    points: list[tuple[float, float | None, str]] = []
    for label in prediction.probabilities:
        end = None
        for part in prediction.segments:
            if end is not None and part.start > end:
                points.append((round((end + part.start) / 2, 3), None, label))
            value = part.probabilities[label]
            points += [(round(part.start, 3), value, label), (round(part.end, 3), value, label)]
            end = part.end
    return points


def parts(prediction: Prediction) -> list[list[str]]:
    """One row for each part, in the order of :data:`PARTS`."""
    return [
        [
            clock(part.start),
            clock(part.end),
            part.label,
            f"{100 * part.probabilities[part.label]:.1f} %",
            part.text or "",
        ]
        for part in prediction.segments
    ]
