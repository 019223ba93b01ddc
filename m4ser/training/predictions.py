"""The prediction file, the only thing scoring sees of a system.

Tab-separated with the header ``utt_id speaker ref hyp p_<label>...``; one line per utterance, sorted by utterance id;
``ref`` and ``hyp`` are label names, the probabilities are in the order of ``labels.txt``::

    utt_id  speaker  ref    hyp    p_angry   p_happy
    01-a    01       angry  happy  0.400000  0.600000
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from m4ser.utils.errors import UserError
from m4ser.utils.files import atomic_write

COLUMNS = ("utt_id", "speaker", "ref", "hyp")
TOLERANCE = 1e-3  # six decimals of twenty classes sum to one within 1e-5; logits or scores do not come this close


@dataclass(frozen=True)
class Predictions:
    """What one trained model says about some utterances.

    Shape: utts, speakers, ref, hyp (utterances,); probabilities (utterances, classes); ref and hyp are class indices.
    """

    labels: tuple[str, ...]
    utts: tuple[str, ...]
    speakers: tuple[str, ...]
    ref: np.ndarray
    hyp: np.ndarray
    probabilities: np.ndarray

    @classmethod
    def from_probabilities(
        cls,
        labels: Sequence[str],
        utts: Sequence[str],
        speakers: Sequence[str],
        ref: Sequence[int],
        probabilities: np.ndarray,
    ) -> "Predictions":
        """Choose the most probable class of each utterance."""
        probabilities = np.asarray(probabilities, dtype=float)
        return cls(
            tuple(labels), tuple(utts), tuple(speakers), np.asarray(ref), probabilities.argmax(-1), probabilities
        )


def write_predictions(path: str | Path, predictions: Predictions) -> None:
    """Write the prediction file, sorted by utterance id (as UTF-8 bytes), probabilities with six decimals."""
    labels = predictions.labels
    order = sorted(range(len(predictions.utts)), key=lambda i: predictions.utts[i].encode())
    with atomic_write(path) as file:
        print(*COLUMNS, *(f"p_{label}" for label in labels), sep="\t", file=file)
        for i in order:
            names = (labels[predictions.ref[i]], labels[predictions.hyp[i]])
            numbers = (f"{p:.6f}" for p in predictions.probabilities[i])
            print(predictions.utts[i], predictions.speakers[i], *names, *numbers, sep="\t", file=file)


def _one_of(ids: Collection[str]) -> str:
    """The first id and how many more, for an error message."""
    return min(ids) + (f" and {len(ids) - 1} more" if len(ids) > 1 else "")


def read_predictions(
    path: str | Path, labels: Sequence[str], expected: Collection[str] | None = None, where: str = "folds.json"
) -> Predictions:
    """Read and check a prediction file.

    ``expected`` are the utterances it must hold, exactly; ``where`` names their source in an error message.
    Raises UserError for a wrong header, an unknown label, a duplicate, missing or extra utterance, and for
    probabilities that are no distribution or whose maximum is not ``hyp``.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise UserError(f"{path}: is missing; run the inference of stage 5 for this fold and seed") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: is not UTF-8 text; delete it and run stage 5 again") from None
    header = [*COLUMNS, *(f"p_{label}" for label in labels)]
    if not lines or lines[0].split("\t") != header:
        raise UserError(
            f"{path}: the header is not '{' '.join(header)}' (tab-separated); delete it and run stage 5 again"
        )
    index = {label: i for i, label in enumerate(labels)}
    utts, speakers, ref, hyp, rows = [], [], [], [], []
    for number, line in enumerate(lines[1:], start=2):
        fields = line.split("\t")
        place = f"{path}: line {number}"
        if len(fields) != len(header):
            raise UserError(
                f"{place} has {len(fields)} columns, not {len(header)}; delete the file and run stage 5 again"
            )
        unknown = [label for label in fields[2:4] if label not in index]
        if unknown:
            raise UserError(f"{place}: unknown label '{unknown[0]}'; the labels are {' '.join(labels)}")
        try:
            row = [float(field) for field in fields[4:]]
        except ValueError:
            raise UserError(f"{place}: a probability is not a number; delete the file and run stage 5 again") from None
        utts.append(fields[0])
        speakers.append(fields[1])
        ref.append(index[fields[2]])
        hyp.append(index[fields[3]])
        rows.append(row)
    probabilities = np.array(rows, dtype=float).reshape(len(utts), len(labels))
    _check_probabilities(path, probabilities, np.array(hyp, dtype=int))
    if len(set(utts)) != len(utts):
        twice = {utt for utt in utts if utts.count(utt) > 1}
        raise UserError(f"{path}: predicted more than once: {_one_of(twice)}; delete the file and run stage 5 again")
    if expected is not None:
        missing, extra = set(expected) - set(utts), set(utts) - set(expected)
        if missing:
            raise UserError(f"{path}: no prediction for {_one_of(missing)}, which {where} lists; run stage 5 again")
        if extra:
            raise UserError(f"{path}: {_one_of(extra)} is not in this part of {where}; run stage 5 again")
    return Predictions(tuple(labels), tuple(utts), tuple(speakers), np.array(ref), np.array(hyp), probabilities)


def _check_probabilities(path: str | Path, probabilities: np.ndarray, hyp: np.ndarray) -> None:
    if not len(hyp):
        return
    # not (... within ...) so that NaN counts as wrong
    wrong = ~((np.abs(probabilities.sum(-1) - 1) <= TOLERANCE) & (probabilities >= 0).all(-1))
    if wrong.any():
        raise UserError(
            f"{path}: line {wrong.argmax() + 2}: the probabilities are negative or do not sum to one; "
            "delete the file and run stage 5 again"
        )
    chosen = probabilities[np.arange(len(hyp)), hyp]
    wrong = chosen < probabilities.max(-1) - TOLERANCE
    if wrong.any():
        raise UserError(
            f"{path}: line {wrong.argmax() + 2}: hyp is not the most probable class; "
            "delete the file and run stage 5 again"
        )


def check_references(
    path: str | Path, predictions: Predictions, emotion: Mapping[str, str], speaker: Mapping[str, str], corpus: Path
) -> None:
    """Labels and speakers of a prediction file are those of the corpus in the folder ``corpus``.

    Raises:
        UserError: they are not.
    """
    for utt, said_by, ref in zip(predictions.utts, predictions.speakers, predictions.ref, strict=True):
        if emotion.get(utt) != predictions.labels[ref]:
            raise UserError(
                f"{path}: {utt} has the reference '{predictions.labels[ref]}', but utt2emo of {corpus} says "
                f"'{emotion.get(utt)}'; the labels were changed after inference: run stage 5 again"
            )
        if speaker.get(utt) != said_by:
            raise UserError(
                f"{path}: {utt} has the speaker '{said_by}', but utt2spk of {corpus} says "
                f"'{speaker.get(utt)}'; run stage 5 again"
            )
