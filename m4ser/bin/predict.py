"""Predict the emotion of recordings with a trained model."""

import argparse
import contextlib
import csv
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from m4ser.data.audio import error_text
from m4ser.utils.cli import command
from m4ser.utils.errors import UserError
from m4ser.utils.progress import track

if TYPE_CHECKING:
    from m4ser.inference.recognizer import Failure, Prediction

EXAMPLES = """examples:
  m4ser predict call.wav                          with the demonstration's model, or $M4SER_MODEL
  m4ser predict --model exp/m4ser recordings/     all recordings in a folder
  m4ser predict --model m.m4ser.zip --json *.wav  one JSON object a line: probabilities, text, segments, timing
  m4ser predict --rttm meeting.wav > meeting.rttm a timeline of a long recording

exit status: 0 all were predicted, 1 some could not be used (they are listed at the end), 2 wrong options"""


def get_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("inputs", nargs="+", metavar="FILES", help="recordings, folders of them, or wav.scp")
    parser.add_argument("--model", help="exp/<tag>, one of its runs, an archive, an unpacked one, or a hub id org/name")
    parser.add_argument("--fold", help="fold of an experiment's model (default: the first)")
    parser.add_argument("--seed", type=int, help="its seed (default: the first)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", dest="form", action="store_const", const="json", help="one JSON object a line")
    form.add_argument("--csv", dest="form", action="store_const", const="csv", help="comma-separated, with a header")
    form.add_argument("--rttm", dest="form", action="store_const", const="rttm", help="one line for each segment")
    parser.add_argument("--text", type=Path, help="what is said, instead of recognising it: lines of `name words...`")
    parser.add_argument("--asr", help="another recogniser than the model's own (see m4ser/asr/backends)")
    parser.add_argument("--asr-model", help="its model: offline:NAME, folder or hub id")
    parser.add_argument("--device", default="auto", help="cpu, cuda or cuda:N (default: cuda where there is one)")
    parser.add_argument("--batch-size", type=int, default=8, help="utterances in a batch (default: 8)")
    parser.add_argument(
        "--split", type=float, default=30.0, help="split recordings of more seconds at pauses; 0: never (default: 30)"
    )
    parser.add_argument(
        "--max-duration", type=float, default=7200.0, help="refuse longer ones, seconds (default: 7200)"
    )
    parser.add_argument("--onnx", metavar="FILE", help="use this exported graph; `packed`: the one in the archive")
    parser.add_argument("--pretrained-dir", help="where local copies of models are looked for first")
    parser.set_defaults(form="table")
    return parser


@command
def main(cmd: list[str] | None = None) -> None:
    """Run the command."""
    args = get_parser().parse_args(cmd)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    texts = read_texts(args.text) if args.text else None
    recognizer = _load(args)
    failures: list[Failure] = []
    show = FORMS[args.form](recognizer.labels)
    with quiet_libraries():
        _run(args, recognizer, texts, failures, show)
    if failures:
        print(f"error: {len(failures)} could not be used:", file=sys.stderr)
        for failure in failures:
            print(f"  {failure.name}: {failure.reason}", file=sys.stderr)
        sys.exit(1)


def _run(args: argparse.Namespace, recognizer, texts: dict[str, str] | None, failures: list, show: "Show") -> None:
    """Show the results as they come, and collect the failures."""
    from m4ser.inference.recognizer import Failure

    try:
        total = sum(1 for one in args.inputs if Path(one).is_file() and not one.endswith(".scp"))
        results = _stream(recognizer, args.inputs, texts)
        if not sys.stdout.isatty() and (total != 1 or len(args.inputs) > 1):  # else results themselves are the progress
            results = track(results, "predict", total if total == len(args.inputs) else None)
        for result in results:
            if isinstance(result, Failure):
                failures.append(result)
            show(result)
        sys.stdout.flush()
    except BrokenPipeError:  # as with `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """Hide what C libraries write to the standard error: decoders tell a story about every damaged file.

    Python's own messages go where they went before.
    """
    try:
        own = sys.stderr.fileno() == 2
    except (OSError, ValueError):  # not a file, as in tests
        own = False
    kept, before = os.dup(2), sys.stderr
    if own:
        sys.stderr = open(kept, "w", encoding=before.encoding, errors=before.errors, closefd=False, buffering=1)  # noqa: SIM115
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    os.close(nothing)
    try:
        yield
    finally:
        sys.stderr.flush()
        sys.stderr = before
        os.dup2(kept, 2)
        os.close(kept)


def read_texts(path: Path) -> dict[str, str]:
    """Lines of `name words...`, in any order; the words may be missing. A tab ends a name that has blanks.

    Raises:
        UserError: the file cannot be read, or a name is there twice.
    """
    texts: dict[str, str] = {}
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as UTF-8 text ({error_text(error)})") from None
    for number, line in enumerate(lines, 1):
        name, _, text = line.strip().partition("\t" if "\t" in line.strip() else " ")
        if name in texts:
            raise UserError(f"{path}: line {number}: {name} is there twice; keep one of its lines")
        if name:
            texts[name] = text
    return texts


def _load(args: argparse.Namespace):
    """The recogniser; what libraries print while they load does not belong to the results."""
    from m4ser.hub.opening import default_model

    model = args.model or default_model()
    if not args.model:
        print(f"note: model {model}", file=sys.stderr)
    with contextlib.redirect_stdout(sys.stderr):
        from m4ser import EmotionRecognizer

        return EmotionRecognizer.from_pretrained(
            model,
            device=args.device,
            fold=args.fold,
            seed=args.seed,
            asr="none" if args.text and not args.asr else args.asr,
            asr_model=args.asr_model,
            onnx=True if args.onnx == "packed" else args.onnx or False,
            pretrained_dir=args.pretrained_dir,
            batch_size=args.batch_size,
            split=args.split,
            longest=args.max_duration,
        )


def _stream(recognizer, inputs: list[str], texts: dict[str, str] | None) -> Iterator["Prediction | Failure"]:
    """Results of all inputs; one that names nothing at all, such as an empty folder, is a failure like any other."""
    from m4ser.inference.inputs import items
    from m4ser.inference.recognizer import Failure

    refused: list[Failure] = []

    def found():
        for one in inputs:
            try:
                yield from items(one, text=texts)
            except UserError as error:
                refused.append(Failure(one, str(error).removeprefix(f"{one}: ")))

    yield from recognizer.stream(found())
    yield from refused


Show = Callable[["Prediction | Failure"], None]


def _table(labels: list[str]) -> Show:
    width = max(map(len, labels))

    def show(result: "Prediction | Failure") -> None:
        if not hasattr(result, "label"):
            return
        text = "" if result.text is None else f"  {result.text}"
        print(f"{result.label:{width}}  {result.probabilities[result.label]:.3f}  {result.name}{text}", flush=True)
        if len(result.segments) > 1:
            for part in result.segments:
                said = "" if part.text is None else f"  {part.text}"
                chance = part.probabilities[part.label]
                print(f"  {part.start:8.2f} - {part.end:8.2f} s  {part.label:{width}}  {chance:.3f}{said}", flush=True)

    return show


def _json(labels: list[str]) -> Show:
    def show(result: "Prediction | Failure") -> None:
        value = asdict(result) if hasattr(result, "label") else {"name": result.name, "error": result.reason}
        print(json.dumps(value, ensure_ascii=False), flush=True)

    return show


def _csv(labels: list[str]) -> Show:
    rows = csv.writer(sys.stdout, lineterminator="\n")
    rows.writerow(["name", "start", "end", "label", *(f"p_{label}" for label in labels), "text"])

    def show(result: "Prediction | Failure") -> None:
        for part in getattr(result, "segments", ()):
            chances = [f"{part.probabilities[label]:.6f}" for label in labels]
            rows.writerow([result.name, f"{part.start:.3f}", f"{part.end:.3f}", part.label, *chances, part.text or ""])
        sys.stdout.flush()

    return show


def _rttm(labels: list[str]) -> Show:
    """NIST's Rich Transcription Time Marked; the emotion stands where the speaker's name does."""

    def show(result: "Prediction | Failure") -> None:
        name = "_".join(Path(result.name).stem.split()) or "recording"
        for part in getattr(result, "segments", ()):
            label, chance = "_".join(part.label.split()), part.probabilities[part.label]
            times = f"{part.start:.3f} {part.end - part.start:.3f}"
            print(f"SPEAKER {name} 1 {times} <NA> <NA> {label} {chance:.4f} <NA>", flush=True)

    return show


FORMS: dict[str, Callable[[list[str]], Show]] = {"table": _table, "json": _json, "csv": _csv, "rttm": _rttm}


if __name__ == "__main__":
    main()
