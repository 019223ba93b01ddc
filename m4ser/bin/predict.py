"""Predict the emotion of recordings with a trained model."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from m4ser.inference.loading import add_arguments, load_recognizer
from m4ser.utils.cli import command, quiet_libraries
from m4ser.utils.printing import printable

if TYPE_CHECKING:
    from m4ser.inference.listening import Raw

EXAMPLES = """examples:
  m4ser predict call.wav                          with the model that comes with m4ser, or $M4SER_MODEL
  m4ser predict --model exp/m4ser recordings/     all recordings in a folder
  m4ser predict --model m.m4ser.zip --json *.wav  one JSON object a line: probabilities, text, segments, timing
  m4ser predict --rttm meeting.wav > meeting.rttm a timeline of a long recording
  arecord -q -f S16_LE -r 16000 | m4ser predict --live -   what is said into the microphone, while it is said

exit status: 0 all were predicted, 1 some could not be used (they are listed at the end), 2 wrong options"""


def get_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("inputs", nargs="+", metavar="FILES", help="recordings, folders of them, or wav.scp")
    parser.add_argument("--model", help="exp/<tag>, one of its runs, an archive, an unpacked one, or a hub id org/name")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", dest="form", action="store_const", const="json", help="one JSON object a line")
    form.add_argument("--csv", dest="form", action="store_const", const="csv", help="comma-separated, with a header")
    form.add_argument("--rttm", dest="form", action="store_const", const="rttm", help="one line for each segment")
    parser.add_argument("--words", action="store_true", help="show words, too, where the model reads the voice alone")
    parser.add_argument("--text", type=Path, help="what is said, instead of recognising it: lines of `name words...`")
    parser.add_argument(
        "--speakers",
        metavar="one|FILE",
        help="of a model that normalises by speaker: one who speaks in all recordings, or lines of `name speaker`",
    )
    parser.add_argument(
        "--live", action="store_true", help="predict a stream: - (WAV on the standard input), mic, or a file to try it"
    )
    parser.add_argument("--raw", metavar="RATE", help="with --live -: 16-bit samples without header; or RATE,CHANNELS")
    add_arguments(parser)
    parser.add_argument("--batch-size", type=int, default=8, help="utterances in a batch (default: 8)")
    parser.add_argument(
        "--max-duration", type=float, default=7200.0, help="refuse longer ones, seconds (default: 7200)"
    )
    parser.add_argument("--onnx", metavar="FILE", help="use this exported graph; `packed`: the one in the archive")
    parser.set_defaults(form="table")
    return parser


@command
def main(cmd: list[str] | None = None) -> None:
    """Run the command."""
    args = (parser := get_parser()).parse_args(cmd)
    raw = _check_live(parser, args)
    from m4ser.hub.opening import default_model
    from m4ser.inference.inputs import read_texts
    from m4ser.inference.output import write_live, write_predictions

    texts = read_texts(args.text) if args.text else None
    model = args.model or default_model()
    if not args.model:
        print(f"note: model {model}", file=sys.stderr)
    speakers = read_texts(Path(args.speakers)) if args.speakers not in (None, "one") else args.speakers
    recognizer = load_recognizer(
        model,
        args,
        asr="none" if args.text and not args.asr else args.asr,
        onnx=True if args.onnx == "packed" else args.onnx or False,
        batch_size=args.batch_size,
        words=args.words,
        speakers=speakers,
    )
    with quiet_libraries():
        if args.live:
            sys.exit(1 if write_live(recognizer, args.inputs[0], args.form, raw) else 0)
        failures = write_predictions(recognizer, args.inputs, texts, args.form)
    if failures:
        print(f"error: {len(failures)} could not be used:", file=sys.stderr)
        for failure in failures:
            print(f"  {printable(failure.name)}: {printable(failure.reason)}", file=sys.stderr)
        sys.exit(1)


def _check_live(parser: argparse.ArgumentParser, args: argparse.Namespace) -> "Raw | None":
    """Refuse options that do not go together; returns what `--raw` says."""
    if args.live and len(args.inputs) != 1:
        parser.error("--live takes one stream: -, mic or a file")
    if args.live and args.speakers:
        parser.error("--live and --speakers: a stream has no other recordings of its speaker")
    if args.live and args.text:
        parser.error("--live and --text: the text of a stream cannot be given")
    if args.raw is None:
        return None
    if not args.live:
        parser.error("--raw is for --live -")
    from m4ser.inference.listening import Raw

    try:
        return Raw.parse(args.raw)
    except ValueError:
        parser.error(f"--raw {args.raw}: must be a sampling rate in Hz, or RATE,CHANNELS")


if __name__ == "__main__":
    main()
