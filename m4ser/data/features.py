"""Feature matrices in Kaldi archives (ark/scp). The only module that knows the library behind them.

Beside an archive lies a list of the checksums of its matrices, `<name>.crc32`, so that one whose bytes have changed is
an error when it is read. It is found by the archive, whatever list of positions one reads.
"""

import functools
import os
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType

import kaldiio
import numpy as np

from m4ser.data.contents import as_text, remedy
from m4ser.data.normalising import normalised
from m4ser.data.scp import read_scp, write_scp
from m4ser.utils.errors import UserError
from m4ser.utils.files import atomic_write

AGAIN = remedy(1)
POSITIONS = "feats.scp"
STATISTICS = "normalisation.scp"  # beside such a list: mean and deviation for every utterance


class FeatureWriter:
    """Write matrices to `<folder>/<name>.ark`; on success also the lists `<name>.scp` and `<name>.crc32` beside it.

    The list names the archive as it is found in `final` (default: `folder`), an absolute path, because split jobs
    write to a temporary folder whose archive is moved later.
    """

    def __init__(self, folder: str | Path, name: str = "feats", final: str | Path | None = None) -> None:
        self.folder, self.name = Path(folder), name
        self.folder.mkdir(parents=True, exist_ok=True)
        self.final = Path(final or folder).resolve()
        self.positions: dict[str, str] = {}
        self.num_frames: dict[str, int] = {}
        self.checksums: dict[int, str] = {}
        self._file = (self.folder / f"{name}.ark").open("wb")

    def __enter__(self) -> "FeatureWriter":
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error_type is None:
            self.close()
        else:
            self._file.close()

    def close(self) -> None:
        """Complete the archive and write its lists, unless nothing was written."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        if self.positions:
            write_checksums(self.folder / f"{self.name}.ark", self.checksums)
            write_scp(self.folder / f"{self.name}.scp", self.positions)

    def write(self, key: str, matrix: np.ndarray) -> None:
        """Append `matrix`, shape (frames, features), as float32."""
        # A reader seeks to the byte after "key ", where the matrix starts.
        position = self._file.tell() + len(key.encode()) + 1
        matrix = np.ascontiguousarray(matrix, dtype=np.float32)
        kaldiio.save_ark(self._file, {key: matrix})
        self.positions[key] = f"{self.final / self.name}.ark:{position}"
        self.num_frames[key] = len(matrix)
        self.checksums[position] = checksum(matrix)


class Features(Mapping[str, np.ndarray]):
    """The matrices of a features list: utterance -> (frames, features) float32, read and checked when asked for.

    They are normalised where the statistics for it lie beside the list, see :mod:`m4ser.data.normalising`.
    """

    def __init__(self, path: str | Path) -> None:
        self.positions = read_feats_scp(path)
        beside = Path(path).with_name(STATISTICS)
        self.statistics = read_feats_scp(beside) if beside.exists() else {}
        self._measured: dict[str, np.ndarray] = {}  # by position: few, and asked for again and again

    def __getitem__(self, utterance: str) -> np.ndarray:
        """Read one matrix.

        Raises:
            UserError: the archive is missing or damaged.
        """
        matrix = load_features(self.positions[utterance])
        if not self.statistics:
            return matrix
        position = self.statistics[utterance]
        if position not in self._measured:
            self._measured[position] = load_features(position)
        return normalised(matrix, self._measured[position])

    def __iter__(self) -> Iterator[str]:
        """Utterances, in the order of the list."""
        return iter(self.positions)

    def __len__(self) -> int:
        """Number of utterances."""
        return len(self.positions)


def load_features(position: str) -> np.ndarray:
    """Load one matrix, shape (frames, features) float32, from its entry `<archive>:<byte>` in an scp file.

    Its checksum is compared, if there is one: archives of an earlier version have none.

    Raises:
        UserError: the archive is missing or damaged.
    """
    archive, _, byte = position.rpartition(":")
    try:
        matrix = np.asarray(kaldiio.load_mat(position), dtype=np.float32)
    except FileNotFoundError:
        raise UserError(f"{archive}: no such archive (was the folder moved?); {AGAIN}") from None
    except (OSError, ValueError, RuntimeError, AssertionError, UnicodeDecodeError) as error:
        raise UserError(f"{position}: damaged feature archive ({error}); {AGAIN}") from None
    known = _checksums(archive)
    if known and known.get(byte) != checksum(matrix):
        raise UserError(f"{position}: damaged feature archive (the checksum of the matrix is another one); {AGAIN}")
    return matrix


def read_feats_scp(path: str | Path) -> dict[str, str]:
    """Read a features list: `{utterance: "<archive>:<byte>"}`; load one with :func:`load_features`."""
    return read_scp(path)


def checksum(matrix: np.ndarray) -> str:
    """CRC-32 of a matrix of float32: of its shape, then of its values."""
    shape = " ".join(map(str, matrix.shape)).encode()
    return as_text(zlib.crc32(np.ascontiguousarray(matrix).data, zlib.crc32(shape)))


def write_checksums(archive: str | Path, checksums: Mapping[int, str]) -> None:
    """Write the checksums of an archive's matrices, by the byte where each begins."""
    with atomic_write(Path(archive).with_suffix(".crc32")) as file:
        file.writelines(f"{byte} {crc}\n" for byte, crc in checksums.items())


def read_checksums(archive: str | Path) -> dict[str, str]:
    """Checksums of an archive's matrices by the byte where each begins, as text; none for one of an earlier version.

    Raises:
        UserError: the list is damaged.
    """
    path = Path(archive).with_suffix(".crc32")
    try:
        words = path.read_text(encoding="ascii").split()
        return dict(zip(words[::2], words[1::2], strict=True))
    except FileNotFoundError:
        return {}
    except ValueError:
        raise UserError(f"{path}: is damaged; {AGAIN}") from None


@functools.lru_cache(maxsize=64)
def _checksums_of(archive: str, _inode: int, _changed: int) -> dict[str, str]:
    return read_checksums(archive)


def _checksums(archive: str) -> dict[str, str]:
    """The checksums of an archive, kept in memory while the archive is the same: a training reads some of them."""
    status = Path(archive).stat()
    return _checksums_of(archive, status.st_ino, status.st_mtime_ns)
