"""Stage 1: every utterance of the data directories as one 16 kHz mono 16-bit FLAC file."""

import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from m4ser.data import parts
from m4ser.data.audio import RATE, AudioError, load_16k, write_flac
from m4ser.data.contents import CONTENTS, write_contents
from m4ser.data.datadir import DataDir
from m4ser.data.scp import read_scp, write_scp
from m4ser.utils.errors import UserError
from m4ser.utils.files import atomic_path, atomic_write

SKIPPED = "skipped.tsv"


class Skipped(NamedTuple):
    """A line of `skipped.tsv`: an utterance that was left out, its audio file and why."""

    utterance: str
    file: str
    reason: str


@dataclass
class AudioFormatting(parts.SplitWork):
    """The FLAC files, and the data directories of those that could be made.

    Args:
        sets: validated data directories by name; audio files may be missing.
        out: where to write, `dump/audio`.
        skip_bad_audio: leave unusable recordings out and list them in `skipped.tsv`, instead of stopping at the first.
        min_duration, max_duration: seconds; shorter and longer utterances are left out.
    """

    sets: Mapping[str, DataDir]
    out: Path
    skip_bad_audio: bool = False
    min_duration: float = 0.0
    max_duration: float = float("inf")
    doing = "format audio"

    def settings(self, share: parts.Share) -> parts.Settings:
        """Audio file and times of the utterances, and the options."""
        return {
            "inputs": self.inputs(share),
            "skip_bad_audio": self.skip_bad_audio,
            "min_duration": self.min_duration,
            "max_duration": self.max_duration,
        }

    def make(self, batches: Iterable[parts.Share], folder: Path, part: str) -> None:
        """Write the FLAC files to `out`, and to `folder` the number of samples or the fault of each.

        Raises:
            AudioError: a recording cannot be used and `skip_bad_audio` is false.
        """
        num_samples: dict[str, dict[str, int]] = {name: {} for name in self.sets}
        skipped: dict[str, list[Skipped]] = {name: [] for name in self.sets}
        for name, utt in chain.from_iterable(batches):
            source, start, end = self.sets[name].audio(utt)
            try:
                samples = load_16k(source, start, end)
                if reason := self._wrong_duration(len(samples) / RATE):
                    skipped[name].append(Skipped(utt, source, reason))
                    continue
                with atomic_path(self.out / name / "flac" / f"{utt}.flac") as file:
                    write_flac(file, samples, source=source)
                num_samples[name][utt] = len(samples)
            except AudioError as error:
                if not self.skip_bad_audio:
                    raise
                skipped[name].append(Skipped(utt, source, error.reason))
        for name in self.sets:
            write_scp(folder / name / "utt2num_samples", num_samples[name])
            _write_skipped(folder / name / SKIPPED, skipped[name])

    def join(self, by_job: Sequence[Sequence[Path]]) -> None:
        """Make the data directories in `out`.

        Raises:
            UserError: nothing is left of one.
        """
        for name, data in self.sets.items():
            self._join_set(data, self.out / name, [chunk / name for chunks in by_job for chunk in chunks])

    def _join_set(self, data: DataDir, out: Path, folders: Sequence[Path]) -> None:
        num_samples: dict[str, str] = {}
        skipped: list[Skipped] = []
        for folder in folders:
            if (folder / "utt2num_samples").stat().st_size:
                num_samples |= read_scp(folder / "utt2num_samples")
            skipped += _read_skipped(folder / SKIPPED)
        if not num_samples:
            example = f"e.g. {skipped[0].file}: {skipped[0].reason}"
            raise UserError(f"{data.path}: no utterance is left, {example}; check the corpus")
        formatted = data.subset(num_samples)
        formatted.maps.pop("segments", None)
        flac = (out / "flac").resolve()
        formatted.maps["wav.scp"] = {utt: f"{flac}/{utt}.flac" for utt in formatted.utts}
        formatted.maps["utt2num_samples"] = num_samples
        _write_skipped(out / SKIPPED, sorted(skipped))
        (out / CONTENTS).unlink(missing_ok=True)
        formatted.save_into(out)
        for file in flac.iterdir():  # of an earlier run that was stopped or had other utterances
            if file.stem not in num_samples:
                file.unlink()
        write_contents(out, sorted(formatted.maps))
        hours = sum(map(int, num_samples.values())) / RATE / 3600
        print(f"{out}: {len(num_samples)} utterances, {hours:.2f} h")
        if skipped:
            reasons = Counter(row.reason for row in skipped)
            shown = "; ".join(f"{number} x {reason}" for reason, number in reasons.most_common(3))
            print(f"warning: {len(skipped)} left out ({shown}), all listed in {out / SKIPPED}", file=sys.stderr)

    def _wrong_duration(self, seconds: float) -> str:
        if seconds < self.min_duration:
            return f"shorter than --min-duration {self.min_duration:g} s"
        if seconds > self.max_duration:
            return f"longer than --max-duration {self.max_duration:g} s"
        return ""


def _write_skipped(path: Path, rows: Sequence[Skipped]) -> None:
    with atomic_write(path) as file:
        file.writelines("\t".join(row) + "\n" for row in [Skipped._fields, *rows])


def _read_skipped(path: Path) -> list[Skipped]:
    rows = path.read_text(encoding="utf-8").split("\n")[1:-1]
    return [Skipped(*row.split("\t")) for row in rows]
