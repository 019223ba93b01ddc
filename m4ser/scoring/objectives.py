"""What the objectives learned, on the dev set at the best epoch: one row for each experiment that has objectives.

The numbers are the readable metrics of :mod:`m4ser.models.objectives`, from the ``history.json`` of every run: F1 of
error detection, word error rate of the hypotheses before and after correction, how well the discriminator tells the
modality-specific states apart and how undecided it is about the invariant ones, similarity within and across classes.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from m4ser.models.description import PLAN
from m4ser.scoring.evaluation import describe
from m4ser.scoring.runs import sort_key
from m4ser.scoring.table import Cell, Column, Row, Score, Table
from m4ser.training.experiment import HISTORY, History
from m4ser.training.setup import read_run
from m4ser.utils.errors import UserError
from m4ser.utils.files import read_json

COLUMNS = [
    Column("AED F1 keep", "aed_f1_keep"),
    Column("AED F1 delete", "aed_f1_delete"),
    Column("AED F1 change", "aed_f1_change"),
    Column("WER of ASR", "wer_asr"),
    Column("WER after AEC", "wer_aec"),
    Column("relative change", "wer_change"),
    Column("exact corrections", "aec_exact"),
    Column("D right on speech", "disc_acc_speech"),
    Column("D right on text", "disc_acc_text"),
    Column("D on invariant", "disc_invariant"),
    Column("cosine same class", "cosine_same_class"),
    Column("cosine other class", "cosine_other_class"),
]


def table(
    folders: Sequence[Path], names: Sequence[str] = (), seeds: Sequence[str] = (), folds: Sequence[str] = ()
) -> Table | None:
    """Mean and standard deviation over the runs (folds x seeds) of every experiment; None if none has objectives.

    Runs of other ``seeds`` and ``folds`` do not count; none named, or ``all``: all count. The relative change of the
    word error rate is (after - before) / before, each rate averaged over the runs first.

    Raises:
        UserError: the experiments are of different protocols.
    """
    rows: list[Row] = []
    protocols, counted, runs = set(), set(), {}
    for name, folder in zip(names or [folder.name for folder in folders], folders, strict=True):
        paths = [
            path
            for path in sorted(folder.glob(f"fold*/seed*/{HISTORY}"))
            if _is_selected(path.parts[-3], "fold", folds) and _is_selected(path.parts[-2], "seed", seeds)
        ]
        if cells := _cells([_chosen(cast(History, read_json(path))) for path in paths]):
            rows.append([name, *(cells.get(column.key) for column in COLUMNS)])
            runs[name] = len(paths)
            protocols.add(read_run(folder / PLAN).get("protocol"))
            counted |= {path.parts[-2].removeprefix("seed") for path in paths}
    if len(protocols) > 1:
        raise UserError(f"{folders[0]}: the experiments are of different protocols; give those of one")
    if not rows:
        return None
    used, protocol = sorted(counted, key=sort_key), protocols.pop()
    caption = (
        f"{f'Protocol `{protocol}`, dev. ' if protocol else ''}Mean ± standard deviation over folds and seeds "
        f"{' '.join(used)}, at the epoch that the criterion of the recipe prefers. Per cent, cosines as they are."
    )
    about = {"protocol": protocol, "seeds": used, "runs": runs}
    return Table([Column("dev set"), *COLUMNS], rows, caption=caption, about=about)


def _cells(chosen: Sequence[Mapping[str, float]]) -> dict[str, Cell]:
    """Cells of one experiment, by the metrics of its runs, as far as all of them have one; cosines are no rates."""
    known = [column.key for column in COLUMNS if chosen and all(column.key in metrics for metrics in chosen)]
    scores = {key: Score.of(describe(metrics[key] for metrics in chosen)) for key in known}
    cells: dict[str, Cell] = {k: score.value if k.startswith("cosine") else score for k, score in scores.items()}
    if {"wer_asr", "wer_aec"} <= scores.keys() and (before := scores["wer_asr"].value):
        cells["wer_change"] = Score(scores["wer_aec"].value / before - 1, difference=True)
    return cells


def _is_selected(name: str, prefix: str, selection: Sequence[str]) -> bool:
    return not selection or list(selection) == ["all"] or name.removeprefix(prefix) in selection


def _chosen(history: History) -> Mapping[str, float]:
    """Dev metrics of the epoch that was chosen."""
    return history["epochs"][str(history["best_epoch"])]["valid"]
