"""Turn the recordings of data directories into one 16 kHz mono 16-bit FLAC file per utterance (stage 1)."""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from m4ser.data import parts
from m4ser.data.audio import RATE, AudioError, load_16k, write_flac
from m4ser.data.datadir import DataDir, find_sets
from m4ser.data.scp import read_scp, write_scp
from m4ser.utils import cli
from m4ser.utils.errors import UserError
from m4ser.utils.files import atomic_path, atomic_write
from m4ser.utils.progress import track

SKIPPED = "skipped.tsv"  # utterance, file, reason


def get_parser() -> argparse.ArgumentParser:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--data-dir", type=Path, default=Path("data"), help="folder of the sets (default: data)")
    parser.add_argument("--sets", type=cli.words, default=[], help="sets, e.g. 'train dev test' (default: all there)")
    parser.add_argument("--out", type=Path, default=Path("dump/audio"), help="where to write (default: dump/audio)")
    parser.add_argument(
        "--skip-bad-audio",
        type=cli.boolean,
        default=False,
        help="true: leave unusable recordings out and list them in skipped.tsv (default: false, stop at the first)",
    )
    parser.add_argument("--min-duration", type=float, default=0.0, help="leave out shorter utterances, seconds")
    parser.add_argument("--max-duration", type=float, default=float("inf"), help="leave out longer ones, seconds")
    parts.add_arguments(parser)
    return parser


@cli.command
def main(cmd: Sequence[str] | None = None) -> None:
    """Format a share of the utterances, or join the shares."""
    args = get_parser().parse_args(cmd)
    jobs, merge = parts.steps(args)
    sets = {name: DataDir.read(args.data_dir / name) for name in args.sets or find_sets(args.data_dir)}
    labels = args.data_dir / "labels.txt"
    known = labels.read_text(encoding="utf-8").split() if labels.is_file() else None
    for data in sets.values():
        data.validate(known, check_audio=False)  # missing files are bad audio, which may be skipped
    items = [(name, utt) for name, data in sets.items() for utt in data.utts]
    shares = [parts.share(items, job, args.nj) for job in range(1, args.nj + 1)]
    for job in jobs:
        format_share(sets, shares[job - 1], args, parts.part(args.out, job, args.nj))
    if merge:
        folders = parts.finished(args.out, [_settings(sets, share, args) for share in shares])
        for name, data in sets.items():
            join(data, args.out / name, [folder / name for folder in folders])
        parts.remove(args.out)


def format_share(
    sets: dict[str, DataDir], share: Sequence[tuple[str, str]], args: argparse.Namespace, folder: Path
) -> None:
    """Write the FLAC files of some utterances, and in `folder` what became of each."""
    settings = _settings(sets, share, args)
    if parts.is_finished(folder, settings):
        print(f"{folder}: already there")
        return
    num_samples: dict[str, dict[str, int]] = {name: {} for name in sets}
    skipped: dict[str, list[tuple[str, str, str]]] = {name: [] for name in sets}
    for name, utt in track(share, "format audio"):
        source, start, end = sets[name].audio(utt)
        try:
            samples = load_16k(source, start, end)
            if reason := _wrong_duration(len(samples) / RATE, args):
                skipped[name].append((utt, source, reason))
                continue
            with atomic_path(args.out / name / "flac" / f"{utt}.flac") as file:
                write_flac(file, samples, source=source)
            num_samples[name][utt] = len(samples)
        except AudioError as error:
            if not args.skip_bad_audio:
                raise
            skipped[name].append((utt, source, error.reason))
    with parts.writing(folder, settings) as temporary:
        for name in sets:
            write_scp(temporary / name / "utt2num_samples", num_samples[name])
            _write_skipped(temporary / name / SKIPPED, skipped[name])


def join(data: DataDir, out: Path, folders: Sequence[Path]) -> None:
    """Make the data directory `out` of the utterances that all parts have formatted."""
    num_samples: dict[str, str] = {}
    skipped: list[tuple[str, str, str]] = []
    for folder in folders:
        if (folder / "utt2num_samples").stat().st_size:
            num_samples |= read_scp(folder / "utt2num_samples")
        skipped += _read_skipped(folder / SKIPPED)
    if not num_samples:
        raise UserError(f"{data.path}: no utterance is left, e.g. {skipped[0][1]}: {skipped[0][2]}; check the corpus")
    formatted = data.subset(num_samples)
    formatted.maps.pop("segments", None)
    flac = (out / "flac").resolve()
    formatted.maps["wav.scp"] = {utt: f"{flac}/{utt}.flac" for utt in formatted.utts}
    formatted.maps["utt2num_samples"] = num_samples
    _write_skipped(out / SKIPPED, sorted(skipped))
    formatted.save_into(out)
    for file in flac.iterdir():  # of an earlier run that was stopped or had other utterances
        if file.stem not in num_samples:
            file.unlink()
    hours = sum(map(int, num_samples.values())) / RATE / 3600
    print(f"{out}: {len(num_samples)} utterances, {hours:.2f} h")
    if skipped:
        reasons = Counter(reason for _, _, reason in skipped)
        shown = "; ".join(f"{number} x {reason}" for reason, number in reasons.most_common(3))
        print(f"warning: {len(skipped)} left out ({shown}), all listed in {out / SKIPPED}", file=sys.stderr)


def _wrong_duration(seconds: float, args: argparse.Namespace) -> str:
    if seconds < args.min_duration:
        return f"shorter than --min-duration {args.min_duration:g} s"
    if seconds > args.max_duration:
        return f"longer than --max-duration {args.max_duration:g} s"
    return ""


def _settings(sets: dict[str, DataDir], share: Sequence[tuple[str, str]], args: argparse.Namespace) -> dict[str, Any]:
    return {
        "inputs": parts.digest((name, utt, *sets[name].audio(utt)) for name, utt in share),
        "skip_bad_audio": args.skip_bad_audio,
        "min_duration": args.min_duration,
        "max_duration": args.max_duration,
    }


def _write_skipped(path: Path, rows: Sequence[tuple[str, str, str]]) -> None:
    with atomic_write(path) as file:
        file.writelines("\t".join(row) + "\n" for row in [("utterance", "file", "reason"), *rows])


def _read_skipped(path: Path) -> list[tuple[str, str, str]]:
    rows = path.read_text(encoding="utf-8").split("\n")[1:-1]
    return [tuple(row.split("\t")) for row in rows]


if __name__ == "__main__":
    main()
