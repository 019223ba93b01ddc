"""What the objectives learned, on the dev set at the chosen epoch: one row for each experiment that has objectives.

The numbers are the readable metrics of :mod:`m4ser.models.objectives`, from the ``history.json`` of every run: F1 of
error detection, word error rate of the hypotheses before and after correction, how well the discriminator tells the
modality-specific states apart and how undecided it is about the invariant ones, similarity within and across classes.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from m4ser.models.description import PLAN
from m4ser.scoring.runs import sort_key
from m4ser.scoring.table import Cell, Column, Score, Table
from m4ser.training.experiment import HISTORY
from m4ser.training.setup import read_run
from m4ser.utils.errors import UserError
from m4ser.utils.files import read_json

RATES = {
    "aed_f1_keep": "AED F1 keep",
    "aed_f1_delete": "AED F1 delete",
    "aed_f1_change": "AED F1 change",
    "wer_asr": "WER of ASR",
    "wer_aec": "WER after AEC",
    "aec_exact": "exact corrections",
    "disc_acc_speech": "D right on speech",
    "disc_acc_text": "D right on text",
    "disc_invariant": "D on invariant",
}
COSINES = {"cosine_same_class": "cosine same class", "cosine_other_class": "cosine other class"}
REDUCTION = Column("relative change", "wer_change")


def table(
    folders: Sequence[Path], names: Sequence[str] = (), seeds: Sequence[str] = (), folds: Sequence[str] = ()
) -> Table | None:
    """Mean and standard deviation over the runs (folds x seeds) of every experiment; None if none has objectives.

    Runs of other ``seeds`` and ``folds`` do not count; none named, or ``all``: all count. The relative change of the
    word error rate is (after - before) / before, each rate averaged over the runs first.

    Raises:
        UserError: the experiments are of different protocols.
    """
    rows, protocols, counted, runs = [], set(), set(), {}
    for name, folder in zip(names or [folder.name for folder in folders], folders, strict=True):
        found = [
            path
            for path in sorted(folder.glob(f"fold*/seed*/{HISTORY}"))
            if _asked(path.parts[-3], "fold", folds) and _asked(path.parts[-2], "seed", seeds)
        ]
        if row := _row(name, [_chosen(read_json(path)) for path in found]):
            rows.append(row)
            runs[name] = len(found)
            protocols.add(read_run(folder / PLAN).get("protocol"))
            counted |= {path.parts[-2].removeprefix("seed") for path in found}
    if len(protocols) > 1:
        raise UserError(f"{folders[0]}: the experiments are of different protocols; give those of one")
    if not rows:
        return None
    columns = [Column("dev set"), *(Column(title, key) for key, title in (RATES | COSINES).items())]
    columns.insert(6, REDUCTION)
    used, protocol = sorted(counted, key=sort_key), protocols.pop()
    caption = (
        f"{f'Protocol `{protocol}`, dev. ' if protocol else ''}Mean ± standard deviation over folds and seeds "
        f"{' '.join(used)}, at the epoch chosen by dev score. Per cent, cosines as they are."
    )
    return Table(columns, rows, caption=caption, about={"protocol": protocol, "seeds": used, "runs": runs})


def _row(name: str, chosen: Sequence[Mapping[str, float]]) -> list[Cell] | None:
    """Cells of one experiment by the metrics of its runs; None if it has no objectives."""
    scores: dict[str, Score] = {}
    for key in (*RATES, *COSINES):
        if chosen and all(key in metrics for metrics in chosen):
            values = [metrics[key] for metrics in chosen]
            scores[key] = Score(float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None)
    if not scores:
        return None
    cells: list[Cell] = [name, *(scores.get(key) for key in RATES)]
    cells += [scores[key].value if key in scores else None for key in COSINES]
    before, after = (scores.get(key) for key in ("wer_asr", "wer_aec"))
    cells.insert(
        6, Score(after.value / before.value - 1, difference=True) if before and before.value and after else None
    )
    return cells


def _asked(name: str, kind: str, asked: Sequence[str]) -> bool:
    return not asked or list(asked) == ["all"] or name.removeprefix(kind) in asked


def _chosen(history: Mapping[str, Any]) -> Mapping[str, float]:
    """Dev metrics of the epoch that was chosen."""
    return history["epochs"][str(history["best_epoch"])]["valid"]
