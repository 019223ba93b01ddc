"""Write the hidden layers of a frozen speech encoder for every utterance, as Kaldi ark/scp (stage 1)."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from m4ser.data import parts
from m4ser.data.datadir import read_sets
from m4ser.models.encoders.extraction import FeatureExtraction
from m4ser.utils import cli


def get_parser() -> argparse.ArgumentParser:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--data-dir", type=Path, default=Path("dump/audio"), help="sets to read (default: dump/audio)")
    parser.add_argument("--sets", type=cli.words, default=[], help="sets, e.g. 'train dev test' (default: all there)")
    parser.add_argument("--out", type=Path, required=True, help="where to write, e.g. dump/feats/whisper-tiny.en")
    parser.add_argument(
        "--speech-encoder",
        default="offline:whisper-tiny.en",
        help="model: offline:NAME, local folder or hub id (default: offline:whisper-tiny.en)",
    )
    parser.add_argument("--pretrained-dir", type=Path, help="where local copies of models are looked for first")
    parser.add_argument(
        "--layers", default="all", help="hidden layers, e.g. 0,2,4 (0: before the first) (default: all)"
    )
    parser.add_argument(
        "--speed", type=float, default=1.0, help="play the recordings so many times faster, pitch included (default: 1)"
    )
    parser.add_argument(
        "--altered",
        type=int,
        default=0,
        help="number of a copy: each recording as another microphone, room or line would have it, drawn at random with "
        "this number (default: 0, as they are)",
    )
    parser.add_argument("--pool", type=int, default=1, help="average this many consecutive frames (default: 1)")
    parts.add_arguments(parser)
    return parser


@cli.command
def main(cmd: Sequence[str] | None = None) -> None:
    """Extract a share of the utterances, or join the shares."""
    args = get_parser().parse_args(cmd)
    jobs = parts.chosen_jobs(args)
    sets = read_sets(args.data_dir, args.sets, need=("wav.scp", "utt2spk"))
    work = FeatureExtraction(
        sets, args.out, args.speech_encoder, args.pretrained_dir, args.layers, args.pool, args.speed, args.altered
    )
    parts.run(work, jobs)


if __name__ == "__main__":
    main()
