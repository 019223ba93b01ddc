"""Recognise the speech of every utterance (stage 2): writes `text`, `confidence` and `decode.json` of each set."""

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path

from m4ser.asr.backends import BACKENDS
from m4ser.asr.decoding import Decoding
from m4ser.asr.texts import read_references
from m4ser.data import parts
from m4ser.utils import cli


def get_parser() -> argparse.ArgumentParser:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--data-dir", type=Path, default=Path("dump/audio"), help="sets to read (default: dump/audio)")
    parser.add_argument("--sets", type=cli.words, default=[], help="sets, e.g. 'train dev test' (default: all there)")
    parser.add_argument("--out", type=Path, required=True, help="where to write, e.g. dump/asr/whisper-tiny.en")
    parser.add_argument(
        "--asr", default="faster_whisper", help=f"recogniser: {', '.join(BACKENDS)} (default: faster_whisper)"
    )
    parser.add_argument(
        "--asr-model",
        default="",
        help="its model: offline:NAME, folder or hub id (default: the recogniser's own; those without model ignore it)",
    )
    parser.add_argument(
        "--asr-conf",
        type=shlex.split,
        action="extend",
        nargs="*",
        default=[],
        help="its settings, 'name=value name=value', see m4ser/asr/backends",
    )
    parser.add_argument("--pretrained-dir", type=Path, help="where local copies of models are looked for first")
    parts.add_arguments(parser)
    return parser


@cli.command
def main(cmd: Sequence[str] | None = None) -> None:
    """Decode a share of the utterances, or join the shares."""
    args = get_parser().parse_args(cmd)
    jobs, sets = parts.chosen_jobs(args), read_references(args.data_dir, args.sets)
    conf = [word for words in args.asr_conf for word in words]
    parts.run(Decoding(sets, args.out, args.asr, args.asr_model, conf, args.pretrained_dir), jobs)


if __name__ == "__main__":
    main()
