"""Feature matrices in Kaldi archives (ark/scp). The only module that knows the library behind them."""

from pathlib import Path
from types import TracebackType

import kaldiio
import numpy as np

from m4ser.data.scp import read_scp, write_scp
from m4ser.utils.errors import UserError

AGAIN = "run stage 1 again: ./run.sh --stage 1 --stop-stage 1 --force true"


class FeatureWriter:
    """Write matrices to `<folder>/<name>.ark`; on success also the list `<folder>/<name>.scp`.

    The list names the archive as it is found in `final` (default: `folder`), an absolute path, because split jobs
    write to a temporary folder whose archive is moved later.
    """

    def __init__(self, folder: str | Path, name: str = "feats", final: str | Path | None = None) -> None:
        self.folder, self.name = Path(folder), name
        self.folder.mkdir(parents=True, exist_ok=True)
        self.final = Path(final or folder).resolve()
        self.positions: dict[str, str] = {}
        self.num_frames: dict[str, int] = {}
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
        self._file.close()
        if self.positions:
            write_scp(self.folder / f"{self.name}.scp", self.positions)

    def write(self, key: str, matrix: np.ndarray) -> None:
        """Append `matrix`, shape (frames, features), as float32."""
        # A reader seeks to the byte after "key ", where the matrix starts.
        position = self._file.tell() + len(key.encode()) + 1
        kaldiio.save_ark(self._file, {key: np.ascontiguousarray(matrix, dtype=np.float32)})
        self.positions[key] = f"{self.final / self.name}.ark:{position}"
        self.num_frames[key] = len(matrix)


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


def read_feats_scp(path: str | Path) -> dict[str, str]:
    """Read a features list: `{utterance: "<archive>:<byte>"}`; load one with :func:`load_features`."""
    return read_scp(path)
