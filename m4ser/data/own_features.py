"""Stage 1 with speech features of one's own, made by any other toolkit, instead of those of a speech encoder.

They come as a table with a line for each utterance, as arrays, or as a list of Kaldi matrices (:func:`read`). What they
are called by is the utterance, or the name of its recording in the corpus. They are written as the features of a speech
encoder are: one layer, and one frame where there is one vector for an utterance.
"""

import csv
import io
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import numpy as np

from m4ser.data.contents import CONTENTS, write_contents
from m4ser.data.datadir import DataDir
from m4ser.data.features import POSITIONS, FeatureWriter, load_features, read_feats_scp
from m4ser.data.own_names import SET, name_of
from m4ser.data.scp import write_scp
from m4ser.utils.errors import UserError, first_line
from m4ser.utils.files import write_json

AUDIO = (".wav", ".flac", ".mp3", ".mp4", ".m4a", ".ogg", ".opus", ".avi", ".mkv", ".webm", ".sph", ".aiff")
MISSING = ("", "nan", "na", "n/a", "null", "none", "?")  # values that were not measured
DELIMITERS = ",;\t"


def make(pattern: str, data: Path, audio: Path, out: Path) -> list[str]:
    """Write the features of all utterances; a line for each set says how many.

    Args:
        pattern: file of :func:`read`, or one with ``{set}`` for each data directory.
        data: data directories of stage 0, for the names of the recordings.
        audio: those of stage 1.
        out: where to write, such as `dump/feats/own_cues`.

    Raises:
        UserError: a file is missing or damaged, has no features of some utterance, or vectors of different sizes.
    """
    lines = []
    known: dict[str, Mapping[str, np.ndarray]] = {}
    size = 0
    for name in sorted(path.parent.name for path in audio.glob("*/wav.scp")):
        path = pattern.replace(SET, name)
        if path not in known:
            known = {path: read(path)}
        utts = DataDir.read(audio / name, ("utt2spk",)).utts
        (out / name).mkdir(parents=True, exist_ok=True)
        for left in (POSITIONS, CONTENTS):
            (out / name / left).unlink(missing_ok=True)
        missing = vectors = 0
        with FeatureWriter(out / name) as writer:
            for utt, matrix in _chosen(path, known[path], utts, _recordings(data / name)):
                frames = np.atleast_2d(np.asarray(matrix, dtype=np.float32))
                size = size or frames.shape[-1]
                _check(frames, size, f"{path}: {utt}")
                missing += bool(np.isnan(frames).any())
                vectors += len(frames) == 1
                writer.write(utt, frames)
        write_scp(out / name / "utt2num_frames", writer.num_frames)
        info = {"encoder": name_of(pattern), "layers": [0], "dim": size, "speed": 1.0, "frame_rate": 0.0, "pool": 1}
        write_json(out / name / "info.json", {**info, "missing": missing})
        archive = writer.folder / f"{writer.name}.ark"
        write_contents(
            out / name, [POSITIONS, "utt2num_frames", f"{writer.name}.crc32"], {archive.name: _crc32(archive)}
        )
        some = f", some of them missing in {missing}" if missing else ""
        lines.append(f"{out / name}: {size} features of {len(utts)} utterances{some}")
    return lines


def read(path: str) -> Mapping[str, np.ndarray]:
    """Features by what they are called by.

    Three kinds of files, by their suffix: ``.npz`` with an array (D,) or (frames, D) for each utterance; ``.scp``,
    a list of matrices in Kaldi archives; anything else is a table with a header: the first column calls the utterance,
    all others are numbers (empty or ``nan`` where there is none).

    Raises:
        UserError: missing, damaged, or not of this form.
    """
    if not Path(path).is_file():
        raise UserError(f"{path}: no such file; give --own-features a table, .npz or .scp with features by utterance")
    if path.endswith(".npz"):
        return _Arrays(path)
    if path.endswith(".scp"):
        return _Matrices(read_feats_scp(path))
    return _read_table(path)


class _Lazy(Mapping[str, np.ndarray]):
    """What is read when it is asked for."""

    names: Mapping[str, str]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


class _Matrices(_Lazy):
    def __init__(self, names: Mapping[str, str]) -> None:
        self.names = names

    def __getitem__(self, name: str) -> np.ndarray:
        return load_features(self.names[name])


class _Arrays(_Lazy):
    def __init__(self, path: str) -> None:
        self.path = path
        with _readable(path):
            self.file = np.load(path, allow_pickle=False)
            self.names = {name: name for name in self.file.files}

    def __getitem__(self, name: str) -> np.ndarray:
        with _readable(f"{self.path}: {name}"):
            array = self.file[name]
            if array.dtype.kind not in "fiu" or array.ndim not in (1, 2):
                raise ValueError(f"shape {array.shape} of {array.dtype} instead of numbers (D,) or (frames, D)")
            return np.asarray(array)


@contextmanager
def _readable(where: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{where}: cannot be read as NumPy arrays ({first_line(error)}); write it again") from None


def _read_table(path: str) -> dict[str, np.ndarray]:
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise UserError(f"{path}: is not text in UTF-8; give a CSV file, .npz or .scp") from None
    delimiter = max(DELIMITERS, key=lines[0].count) if lines else ","
    rows = csv.reader(io.StringIO("\n".join(lines)), delimiter=delimiter)
    header = next(rows, [])
    if len(header) < 2:
        raise UserError(f"{path}: has no columns; its first line names them, the first one calls the utterance")
    table: dict[str, np.ndarray] = {}
    for row in rows:
        where = f"{path}: line {rows.line_num}"
        if not row:
            continue
        if len(row) != len(header):
            raise UserError(f"{where}: {len(row)} fields instead of {len(header)}; correct it")
        if row[0] in table:
            raise UserError(f"{where}: {row[0]!r} is there twice; keep one of the two")
        table[row[0]] = np.array(
            [_number(text, f"{where}: {name}") for text, name in zip(row[1:], header[1:], strict=True)]
        )
    return table


def _number(text: str, where: str) -> float:
    if text.strip().lower() in MISSING:
        return float("nan")
    try:
        return float(text)
    except ValueError:
        raise UserError(f"{where} is {text!r}, not a number; leave the column out, or make numbers of it") from None


def _recordings(data: Path) -> dict[str, str]:
    """Name of the recording of each utterance in the corpus, without folder and suffix; none for segments."""
    if (data / "segments").is_file():
        return {}
    names = ("wav.scp", "utt2spk")
    recordings = DataDir.read(data, names)
    return {utt: _bare(recordings.maps["wav.scp"][utt].rpartition("/")[2]) for utt in recordings.utts}


def _bare(name: str) -> str:
    suffix = PurePosixPath(name).suffix
    return name.removesuffix(suffix) if suffix.lower() in AUDIO else name


def _chosen(
    path: str, table: Mapping[str, np.ndarray], utts: list[str], recordings: Mapping[str, str]
) -> Iterator[tuple[str, np.ndarray]]:
    """The features of every utterance.

    Raises:
        UserError: some have none, or names of recordings do not tell utterances apart.
    """
    by_recording: dict[str, str] = {}
    for key in table:
        by_recording.setdefault(_bare(key.rpartition("/")[2]), key)
    keys: dict[str, str] = {}
    for utt in utts:
        if utt in table:
            keys[utt] = utt
        elif (recording := recordings.get(utt, "")) in by_recording:
            keys[utt] = by_recording[recording]
    if absent := [utt for utt in utts if utt not in keys]:
        fault = f"{path}: has no features of {len(absent)} of {len(utts)} utterances, e.g. {absent[0]}"
        called = f" or recording {recordings[absent[0]]}" if absent[0] in recordings else ""
        raise UserError(f"{fault}{called}; add them, with nan where there is nothing")
    owner: dict[str, str] = {}
    for utt, key in keys.items():
        if owner.setdefault(key, utt) != utt:
            fault = f"{path}: {key} would be the features of {owner[key]} and {utt}, whose recordings have one name"
            raise UserError(f"{fault}; call them by the ids of the utterances")
    return ((utt, table[key]) for utt, key in keys.items())


def _check(frames: np.ndarray, size: int, where: str) -> None:
    if frames.ndim != 2 or frames.shape[1] != size or not len(frames):
        raise UserError(f"{where}: shape {frames.shape}; {size} features were expected, in one frame or more")
    if np.isinf(frames).any():
        raise UserError(f"{where}: has an infinite value; write nan where there is none")


def _crc32(path: Path) -> int:
    crc = 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            crc = zlib.crc32(block, crc)
    return crc
