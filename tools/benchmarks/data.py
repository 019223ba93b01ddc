#!/usr/bin/env python3
"""Cost of data preparation: a data directory of a million utterances is read, validated, split by speaker, checked.

    python tools/benchmarks/data.py [--utterances 1000000]

Prints seconds of processor time and peak memory of one process on one core; fails beyond --max-seconds or --max-gb. The
data directory is made in a temporary folder first, which does not count.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from m4ser.data.datadir import DataDir, class_counts
from m4ser.data.folds import Folds
from m4ser.data.scp import write_scp
from m4ser.recipes.splits import automatic_folds
from m4ser.utils.cli import command
from m4ser.utils.errors import UserError

LABELS = ("angry", "happy", "neutral", "sad")
SPEAKERS = 2000


def make(folder: Path, count: int) -> None:
    """Lists with `count` utterances of 2000 speakers; all are one audio file."""
    audio = folder / "audio.wav"
    audio.write_bytes(b"RIFF")
    utts = [f"spk{i % SPEAKERS:04d}-{i // SPEAKERS:06d}" for i in range(count)]
    spk2utt: dict[str, list[str]] = {}
    for utt in sorted(utts):
        spk2utt.setdefault(utt[:7], []).append(utt)
    lists = {
        "wav.scp": dict.fromkeys(utts, str(audio)),
        "text": {utt: f"these are the words of utterance {utt[4:]} and some more" for utt in utts},
        "utt2spk": {utt: utt[:7] for utt in utts},
        "utt2emo": {utt: LABELS[i % 4] for i, utt in enumerate(utts)},
        "utt2gender": {utt: ("female", "male")[int(utt[6]) % 2] for utt in utts},
        "spk2utt": {speaker: " ".join(ids) for speaker, ids in spk2utt.items()},
    }
    for name, entries in lists.items():
        write_scp(folder / "data/all" / name, dict(sorted(entries.items())))


def measure(folder: Path) -> None:
    """What stage 0 does with a corpus that has been parsed, and stage 4 before it trains."""

    def done(what: str) -> None:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(f"{what:<28} {time.process_time():6.1f} s   peak {peak:.2f} GB", flush=True)

    data = DataDir.read(folder / "data/all")
    done("read")
    data.validate(LABELS)
    done("validated")
    class_counts(data.maps["utt2emo"], LABELS)
    gender = {data.maps["utt2spk"][utt]: value for utt, value in data.maps["utt2gender"].items()}
    folds = automatic_folds("benchmark", data.maps["utt2spk"], data.maps["utt2emo"], 5, gender)
    folds.labels = list(LABELS)
    done("five folds by speaker")
    folds.check(data.maps["utt2spk"])
    done("folds checked")
    folds.text_overlap(data.maps["text"])
    done("text overlap of five folds")
    folds.write(folder / "data/folds.json")
    Folds.read(folder / "data/folds.json", data.maps["utt2spk"])
    done("folds written, read, checked")


@command
def main(cmd: Sequence[str] | None = None) -> None:
    """Make the data, measure in a process of its own."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--utterances", type=int, default=1_000_000, help="(default: 1000000)")
    parser.add_argument("--max-seconds", type=float, default=60, help="more processor time is a failure (default: 60)")
    parser.add_argument("--max-gb", type=float, default=1.5, help="more memory is a failure (default: 1.5)")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args(cmd)
    if args.measure:
        measure(args.measure)
        return
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder), args.utterances)
        subprocess.run([sys.executable, __file__, "--measure", folder], check=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds, memory = used.ru_utime + used.ru_stime, used.ru_maxrss / 2**20
    print(f"{args.utterances} utterances: {seconds:.1f} s of processor time, {memory:.2f} GB")
    if seconds > args.max_seconds or memory > args.max_gb:
        raise UserError(f"more than {args.max_seconds:g} s or {args.max_gb:g} GB")


if __name__ == "__main__":
    main()
