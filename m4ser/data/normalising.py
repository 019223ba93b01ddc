"""Features with zero mean and unit deviation over everything that a speaker, or a corpus, has said.

As with Kaldi's `apply-cmvn`, only the statistics are written; whoever reads the features through a list that has them
beside it (:class:`m4ser.data.features.Features`) gets them normalised. No label is needed for it, but several
recordings of whoever is tested.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from m4ser.data.features import FeatureWriter, load_features

NAME = "normalisation"  # of the archive


def statistics(matrices: Iterable[np.ndarray]) -> np.ndarray:
    """Mean and deviation of every dimension over all frames; missing values (NaN) do not count.

    A dimension that does not vary, or is always missing, has a deviation of one: it is only shifted, or left alone.

    Shape: matrices (frames, F) -> (2, F) float32.

    Raises:
        ValueError: there are no matrices.
    """
    sums = sum(_sums(matrix) for matrix in matrices)
    if not isinstance(sums, np.ndarray):
        raise ValueError("no features to measure")
    count, total, squares = np.maximum(sums[0], 1), sums[1], sums[2]
    mean = total / count
    variance = squares / count - np.square(mean)
    varies = variance > 1e-12 * (1 + np.square(mean))
    return np.stack([mean, np.sqrt(np.where(varies, variance, 1.0))]).astype(np.float32)


def _sums(matrix: np.ndarray) -> np.ndarray:
    """Number, sum and sum of squares of the known values of every dimension: (frames, F) -> (3, F) float64."""
    known = ~np.isnan(matrix)
    values = np.where(known, matrix, 0.0).astype(np.float64)
    return np.stack([known.sum(0), values.sum(0), np.square(values).sum(0)])


def write_statistics(
    positions: Mapping[str, str], group: Mapping[str, str], measured: Iterable[str], folder: Path, final: Path
) -> dict[str, str]:
    """Measure each group and write its mean and deviation to an archive.

    Args:
        positions: archive and byte of the features of every utterance.
        group: speaker or corpus of every utterance that is to be normalised.
        measured: utterances to measure; each group has some.
        folder: where to write.
        final: where the folder is going to be moved to.

    Returns:
        Archive and byte of the statistics of every utterance of `group`.

    Raises:
        UserError: an archive is missing or damaged.
    """
    members: dict[str, list[str]] = {}
    for utt in measured:
        members.setdefault(group[utt], []).append(utt)
    with FeatureWriter(folder, NAME, final) as writer:
        for name, utts in members.items():
            writer.write(name, statistics(load_features(positions[utt]) for utt in utts))
    return {utt: writer.positions[name] for utt, name in group.items()}
