"""Results as lines: for people, as JSON, CSV or RTTM; and how far one is."""

import csv
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from m4ser.inference.inputs import Item, items
from m4ser.inference.listening import MICROPHONE, STDIN, Raw, listen
from m4ser.inference.live import LiveStream
from m4ser.inference.recognizer import EmotionRecognizer
from m4ser.inference.results import Failure, Prediction, Segment
from m4ser.utils.errors import UserError
from m4ser.utils.printing import json_line, printable
from m4ser.utils.progress import track

Show = Callable[[Prediction | Failure], None]  # writes one result to the standard output


def _table(labels: Sequence[str]) -> Show:
    """For people: label, its probability, name, text; a line more for each segment of a timeline."""
    width = max(map(len, labels))

    def show(result: Prediction | Failure) -> None:
        if isinstance(result, Failure):
            return
        text = "" if result.text is None else f"  {printable(result.text)}"
        name = printable(result.name)
        print(f"{result.label:{width}}  {result.probabilities[result.label]:.3f}  {name}{text}", flush=True)
        if len(result.segments) > 1:
            for part in result.segments:
                print(f"  {_line(part, width)}", flush=True)

    return show


def _line(part: Segment, width: int) -> str:
    """A segment for people: times, label, its probability, text."""
    said = "" if part.text is None else f"  {printable(part.text)}"
    return f"{part.start:8.2f} - {part.end:8.2f} s  {part.label:{width}}  {part.probabilities[part.label]:.3f}{said}"


def _json(labels: Sequence[str]) -> Show:
    """One JSON object a line: a prediction, or name and error."""

    def show(result: Prediction | Failure) -> None:
        value = {"name": result.name, "error": result.reason} if isinstance(result, Failure) else asdict(result)
        print(json_line(value), flush=True)

    return show


def _csv(labels: Sequence[str]) -> Show:
    """One line for each segment, with a header."""
    rows = csv.writer(sys.stdout, lineterminator="\n")
    rows.writerow(["name", "start", "end", "label", *(f"p_{label}" for label in labels), "text"])

    def show(result: Prediction | Failure) -> None:
        for part in () if isinstance(result, Failure) else result.segments:
            numbers = [f"{part.probabilities[label]:.6f}" for label in labels]
            name, text = printable(result.name), printable(part.text or "")
            rows.writerow([name, f"{part.start:.3f}", f"{part.end:.3f}", part.label, *numbers, text])
        sys.stdout.flush()

    return show


def _rttm(labels: Sequence[str]) -> Show:
    """NIST's Rich Transcription Time Marked; the emotion stands where the speaker's name does."""

    def show(result: Prediction | Failure) -> None:
        name = printable("_".join(Path(result.name).stem.split())) or "recording"
        for part in () if isinstance(result, Failure) else result.segments:
            label, probability = "_".join(part.label.split()), part.probabilities[part.label]
            times = f"{part.start:.3f} {part.end - part.start:.3f}"
            print(f"SPEAKER {name} 1 {times} <NA> <NA> {label} {probability:.4f} <NA>", flush=True)

    return show


FORMATS: dict[str, Callable[[Sequence[str]], Show]] = {"table": _table, "json": _json, "csv": _csv, "rttm": _rttm}


def write_predictions(
    recognizer: EmotionRecognizer, inputs: Sequence[str], texts: Mapping[str, str] | None, form: str
) -> list[Failure]:
    """Predict all recordings of ``inputs`` and write each result as it comes, in a form of :data:`FORMATS`.

    Args:
        recognizer: the model.
        inputs: files, folders, ``wav.scp``.
        texts: what is said, by name as for :func:`m4ser.inference.inputs.items`; None recognises it.
        form: name of the format.

    Returns:
        Recordings, or whole inputs, that could not be used.
    """
    failures: list[Failure] = []
    show = FORMATS[form](recognizer.labels)
    try:
        files = sum(1 for one in inputs if Path(one).is_file() and not one.endswith(".scp"))
        results = _results(recognizer, inputs, texts)
        if not sys.stdout.isatty() and (files != 1 or len(inputs) > 1):  # else results themselves are the progress
            results = track(results, "predict", files if files == len(inputs) else None)
        for result in results:
            if isinstance(result, Failure):
                failures.append(result)
            show(result)
        sys.stdout.flush()
    except BrokenPipeError:  # as with `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    return failures


def write_live(recognizer: EmotionRecognizer, name: str, form: str, raw: Raw | None = None) -> list[Failure]:
    """Predict a stream and write each segment as soon as it has ended, until the stream ends or Ctrl-C is pressed.

    Args:
        recognizer: the model.
        name: of the stream, see :func:`m4ser.inference.listening.listen`.
        form: name of the format, of :data:`FORMATS`.
        raw: of samples without a header.

    Returns:
        What could not be predicted, each said on the standard error when it happened; the stream has gone on after it.

    Raises:
        UserError: the stream cannot be opened.
    """
    sound = listen(name, raw)
    stream = LiveStream(recognizer, sound.rate)
    show = _live(form, recognizer.labels, "stream" if name in (STDIN, MICROPHONE) else name)
    failures: list[Failure] = []

    def failed(error: UserError) -> None:
        failures.append(Failure(name, str(error).removeprefix("stream: ").removeprefix(f"{name}: ")))
        print(f"error: {printable(name)}: {printable(failures[-1].reason)}", file=sys.stderr)

    def write(segments: Iterator[Segment]) -> None:
        try:
            for segment in segments:
                show(segment)
        except UserError as error:
            failed(error)

    try:
        for block in sound.blocks:
            write(stream.segments(block))
    except KeyboardInterrupt:
        print(file=sys.stderr)  # after the terminal's ^C
    except UserError as error:  # what is found out at the end of a file
        failed(error)
    write(stream.last_segments())
    return failures


def _live(form: str, labels: Sequence[str], name: str) -> Callable[[Segment], None]:
    """Writes one segment of a stream to the standard output."""
    width = max(map(len, labels))
    if form == "table":
        return lambda segment: print(_line(segment, width), flush=True)
    if form == "json":
        return lambda segment: print(json_line({"name": name, **asdict(segment)}), flush=True)
    show = FORMATS[form](labels)

    def show_segment(part: Segment) -> None:
        length = part.end - part.start
        show(Prediction(name, part.label, part.probabilities, part.text, None, length, [part], {}))

    return show_segment


def _results(
    recognizer: EmotionRecognizer, inputs: Sequence[str], texts: Mapping[str, str] | None
) -> Iterator[Prediction | Failure]:
    """Results of all inputs; one that names nothing at all, such as an empty folder, is a failure like any other."""
    refused: list[Failure] = []

    def recordings() -> Iterator[Item]:
        for one in inputs:
            try:
                yield from items(one, text=texts)
            except UserError as error:
                refused.append(Failure(one, str(error).removeprefix(f"{one}: ")))

    yield from recognizer.stream(recordings())
    yield from refused
