"""Features that are normalised by speaker, or by corpus, before a system reads them: ``normalise_features``.

It is decided for each fold, because a corpus that is trained on is measured on its training part alone.
"""

import argparse
from collections.abc import Iterable, Mapping
from pathlib import Path

from m4ser.data.features import STATISTICS, FeatureWriter, load_features
from m4ser.data.folds import PARTS, Fold
from m4ser.data.normalising import statistics, sums
from m4ser.utils.errors import UserError

UNNORMALISED = "none"
# Whose recordings are normalised together, by the list of the data that says it.
GROUPS = {"speaker": "utt2spk", "corpus": "utt2domain"}
OPTION = "normalise_features"


def add_option(group: argparse._ArgumentGroup) -> None:
    """``--normalise_features``, for every task."""
    group.add_argument(
        f"--{OPTION}",
        choices=[UNNORMALISED, *GROUPS],
        default=UNNORMALISED,
        help="Zero mean and unit deviation of the features of stage 1 over all recordings of a speaker, or of each of "
        "several crossed corpora (which of these are trained on, over their training part). No labels are used, but "
        "the recordings that are tested are, so this cannot predict single ones",
    )


def measure(
    by: str, group: Mapping[str, str], positions: Mapping[str, str], fold: Fold, folder: Path, final: Path
) -> dict[str, str]:
    """Write mean and deviation of the features of each speaker or corpus; their place for every utterance of the fold.

    A speaker is measured on everything that they say in the fold; a corpus that is trained on by its training part
    alone, another one by all that is tested of it.

    Args:
        by: of :data:`GROUPS`.
        group: speaker or corpus of every utterance; empty where the data do not say.
        positions: archive and byte of the features of every utterance.
        fold: what is trained on and tested.
        folder: where to write.
        final: where the folder is going to be moved to.

    Raises:
        UserError: there is one corpus only.
    """
    if not group:
        raise UserError(f"{OPTION} {by}: is for crossed corpora (egs/cross_corpus); take {OPTION} speaker")
    parts = {part: [utt for utt in getattr(fold, part) if utt in positions] for part in PARTS}
    utts = list(dict.fromkeys(utt for part in PARTS for utt in parts[part]))
    training = set(parts["train"])
    trained = {group[utt] for utt in training} if by == "corpus" else set()
    measured = [utt for utt in utts if utt in training or group[utt] not in trained]
    return write_statistics(positions, {utt: group[utt] for utt in utts}, measured, folder, final)


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
    with FeatureWriter(folder, STATISTICS.removesuffix(".scp"), final) as writer:
        for name, utts in members.items():
            writer.write(name, statistics(sums(load_features(positions[utt])) for utt in utts))
    return {utt: writer.positions[name] for utt, name in group.items()}
