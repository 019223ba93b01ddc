"""What a user names as input: files, folders, lists of files, arrays -> one item for each recording."""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np

from m4ser.data.audio import (
    FASTEST,
    RATE,
    SLOWEST,
    AudioError,
    as_samples,
    check_length,
    error_text,
    load_16k,
    resample,
)
from m4ser.data.datadir import LONGEST
from m4ser.data.scp import read_scp
from m4ser.utils.errors import UserError

# Ending of file names that a folder is searched for.
ENDINGS = frozenset(
    ".wav .flac .ogg .oga .opus .mp3 .m4a .aac .aif .aiff .aifc .au .snd .sph .nist .caf .w64 .rf64 .wma .amr"
    " .mp4 .mov .mkv .webm .avi".split()
)


@dataclass(frozen=True)
class Item:
    """One recording to predict.

    Attributes:
        name: file name as given, or the utterance's id.
        audio: path, or samples (samples,) or (samples, channels) with their `rate`.
        start, end: part of the recording, seconds.
        text: what is said, if it is known.
    """

    name: str
    audio: str | os.PathLike[str] | np.ndarray
    rate: int = RATE
    start: float | None = None
    end: float | None = None
    text: str | None = None

    def load(self, longest: float) -> np.ndarray:
        """Read the recording: (samples,) float32 at 16 kHz.

        Raises:
            UserError: it cannot be used, or lasts more than `longest` seconds.
        """
        if isinstance(self.audio, str | os.PathLike):
            try:
                return load_16k(Path(self.audio), self.start, self.end, longest)
            except AudioError as error:
                raise UserError(f"{self.name}: {error.reason}") from None
        if not SLOWEST <= self.rate <= FASTEST:
            raise UserError(f"{self.name}: a sampling rate of {self.rate} Hz cannot be right")
        samples = as_samples(self.audio, self.name)
        if len(samples) > longest * self.rate:
            raise UserError(
                f"{self.name}: lasts {len(samples) / self.rate:.0f} s, more than the limit of {longest:g} s"
            )
        samples = resample(samples, self.rate)
        try:
            check_length(samples, self.name)
        except AudioError as error:
            raise UserError(f"{self.name}: {error.reason}") from None
        return samples


class SupportsArray(Protocol):
    """What NumPy can make an array of, such as a tensor."""

    def __array__(self) -> np.ndarray:
        """Samples (samples,) or (samples, channels)."""
        ...


Source: TypeAlias = "str | os.PathLike[str] | Item | SupportsArray | np.ndarray | Iterable[Source]"


def items(
    source: Source, sampling_rate: int | None = None, text: str | Mapping[str, str] | None = None
) -> Iterator[Item]:
    """One item for each recording of `source`, in a stable order.

    Args:
        source: a file, a folder (searched with its subfolders), a data directory or its ``wav.scp``, an array, or a
            list of these.
        sampling_rate: of arrays, Hz.
        text: what is said: one text for one recording, or texts by item name (file name as given, its name without
            folders, the same without ending, or utterance id).

    Raises:
        UserError: a folder without recordings, a list that cannot be read, an array without sampling rate.
    """
    for item in _expand(source, sampling_rate):
        said = text if isinstance(text, str) else by_name(item, text) if text is not None else None
        yield item if said is None else replace(item, text=said)


def by_name(item: Item, table: Mapping[str, str]) -> str | None:
    """What a table says of a recording, by its name, that without folders, or the same without ending; else None."""
    path = Path(item.name)
    return next((table[key] for key in (item.name, path.name, path.stem) if key in table), None)


def _expand(source: Source, rate: int | None) -> Iterator[Item]:
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        if path.is_dir():
            yield from _data_directory(path) if (path / "wav.scp").is_file() else _folder(path)
        elif path.suffix == ".scp":
            yield from _data_directory(path.parent, path)
        else:
            yield Item(str(source), path)
    elif hasattr(source, "__array__"):
        if rate is None:
            raise UserError("an array needs its sampling_rate, in Hz")
        yield Item("array", np.asarray(source), rate)
    elif isinstance(source, Item):
        yield source
    elif isinstance(source, Iterable):
        for number, one in enumerate(source):
            for item in _expand(one, rate):
                yield item if item.name != "array" else Item(f"array {number}", item.audio, item.rate)
    else:
        raise UserError(f"{source!r}: give a file, a folder, wav.scp, an array or a list of these")


def _folder(folder: Path) -> Iterator[Item]:
    """Recordings below a folder by their endings, in the order of their names; links to folders are not followed."""
    any_recording = False
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            if Path(name).suffix.lower() in ENDINGS:
                any_recording = True
                path = Path(place, name)
                yield Item(str(path), path)
    if not any_recording:
        raise UserError(f"{folder}: no recordings in this folder (endings such as .wav, .flac, .mp3)")


def _data_directory(folder: Path, scp: Path | None = None) -> Iterator[Item]:
    """Utterances of a Kaldi data directory; its `text` is not used: it is the reference."""
    recordings = read_scp(scp or folder / "wav.scp")
    if not (folder / "segments").is_file():
        for utt, path in recordings.items():
            yield Item(utt, Path(path))
        return
    for utt, line in read_scp(folder / "segments").items():
        try:
            recording, start, end = line.split()
            if not 0 <= float(start) < float(end) < LONGEST:
                raise ValueError
            yield Item(utt, Path(recordings[recording]), start=float(start), end=float(end))
        except (ValueError, KeyError):
            what = f"utterance, recording of {folder / 'wav.scp'}, start, end in seconds"
            raise UserError(f"{folder / 'segments'}: {utt} {line}: must be {what}") from None


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
