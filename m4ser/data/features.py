"""Feature matrices in Kaldi archives (ark/scp). The only module that knows the library behind them.

Beside the list of positions there is one of checksums, `feats.crc32`: a matrix whose bytes have changed, or another
one in its place, is an error when it is read.
"""

import os
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType

import kaldiio
import numpy as np

from m4ser.data.contents import as_text, remedy
from m4ser.data.scp import read_scp, write_scp
from m4ser.utils.errors import UserError

AGAIN = remedy(1)
POSITIONS, CHECKSUMS = "feats.scp", "feats.crc32"


class FeatureWriter:
    """Write matrices to `<folder>/<name>.ark`; on success also the list `<folder>/<name>.scp`.

    The list names the archive as it is found in `final` (default: `folder`), an absolute path, because split jobs
    write to a temporary folder whose archive is moved later. `checksums` and `num_frames` are of what was written.
    """

    def __init__(self, folder: str | Path, name: str = "feats", final: str | Path | None = None) -> None:
        self.folder, self.name = Path(folder), name
        self.folder.mkdir(parents=True, exist_ok=True)
        self.final = Path(final or folder).resolve()
        self.positions: dict[str, str] = {}
        self.num_frames: dict[str, int] = {}
        self.checksums: dict[str, str] = {}
        self._file = (self.folder / f"{name}.ark").open("wb")

    def __enter__(self) -> "FeatureWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._file.close()

    def close(self) -> None:
        """Complete the archive and write its list, unless nothing was written."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        if self.positions:
            write_scp(self.folder / f"{self.name}.scp", self.positions)

    def write(self, key: str, matrix: np.ndarray) -> None:
        """Append `matrix`, shape (frames, features), as float32."""
        # A reader seeks to the byte after "key ", where the matrix starts.
        position = self._file.tell() + len(key.encode()) + 1
        matrix = np.ascontiguousarray(matrix, dtype=np.float32)
        kaldiio.save_ark(self._file, {key: matrix})
        self.positions[key] = f"{self.final / self.name}.ark:{position}"
        self.num_frames[key] = len(matrix)
        self.checksums[key] = checksum(matrix)


def load_features(position: str) -> np.ndarray:
    """Load one matrix, shape (frames, features) float32, from its entry `<archive>:<byte>` in an scp file.

    Raises:
        UserError: the archive is missing or damaged.
    """
    try:
        return np.asarray(kaldiio.load_mat(position), dtype=np.float32)
    except FileNotFoundError:
        raise UserError(f"{position.rpartition(':')[0]}: no such archive (was the folder moved?); {AGAIN}") from None
    except (OSError, ValueError, RuntimeError, AssertionError, UnicodeDecodeError) as error:
        raise UserError(f"{position}: damaged feature archive ({error}); {AGAIN}") from None


class Features(Mapping[str, np.ndarray]):
    """The matrices of a features list: utterance -> (frames, features) float32, read and checked when asked for.

    Args:
        path: of the list. One of an earlier version has no checksums beside it, and is not checked.
    """

    def __init__(self, path: str | Path) -> None:
        self.positions = read_feats_scp(path)
        checksums = Path(path).with_name(CHECKSUMS)
        self.checksums = read_scp(checksums) if checksums.is_file() else {}

    def __getitem__(self, utterance: str) -> np.ndarray:
        """Read one matrix.

        Raises:
            UserError: the archive is missing or damaged, or the matrix is another one than was written.
        """
        position = self.positions[utterance]
        matrix = load_features(position)
        if self.checksums.get(utterance, found := checksum(matrix)) != found:
            raise UserError(
                f"{position}: is damaged, or not the features of {utterance} (its checksum is wrong); {AGAIN}"
            )
        return matrix

    def __iter__(self) -> Iterator[str]:
        """Utterances, in the order of the list."""
        return iter(self.positions)

    def __len__(self) -> int:
        """Number of utterances."""
        return len(self.positions)


def checksum(matrix: np.ndarray) -> str:
    """CRC-32 of a matrix of float32: of its shape, then of its values."""
    shape = " ".join(map(str, matrix.shape)).encode()
    return as_text(zlib.crc32(np.ascontiguousarray(matrix).data, zlib.crc32(shape)))


def read_feats_scp(path: str | Path) -> dict[str, str]:
    """Read a features list: `{utterance: "<archive>:<byte>"}`; load one with :func:`load_features`."""
    return read_scp(path)
