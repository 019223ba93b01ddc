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
from m4ser.scoring import tables
from m4ser.scoring.experiment import read_run, sort_key
from m4ser.training.history import HISTORY
from m4ser.utils.errors import UserError
from m4ser.utils.files import read_json

KIND = "learned"
METRICS = (
    *("aed_f1_keep", "aed_f1_delete", "aed_f1_change", "wer_asr", "wer_aec", "aec_exact"),
    *("disc_acc_speech", "disc_acc_text", "disc_invariant", "cosine_same_class", "cosine_other_class"),
)


def collect(
    folders: Sequence[Path], names: Sequence[str] = (), seeds: Sequence[str] = (), folds: Sequence[str] = ()
) -> dict[str, Any]:
    """Mean and standard deviation over the runs (folds x seeds) of every experiment; those without objectives left out.

    Runs of other ``seeds`` and ``folds`` do not count; none named, or ``all``: all count. ``wer_reduction`` is
    (before - after) / before, each rate averaged over the runs first.

    Raises:
        UserError: the experiments are of different protocols.
    """
    rows, protocols, counted = [], set(), set()
    for number, folder in enumerate(folders):
        found = [
            path
            for path in sorted(folder.glob(f"fold*/seed*/{HISTORY}"))
            if _asked(path.parts[-3], "fold", folds) and _asked(path.parts[-2], "seed", seeds)
        ]
        chosen = [_chosen(read_json(path)) for path in found]
        known = [name for name in METRICS if chosen and all(name in metrics for metrics in chosen)]
        if not known:
            continue
        values = {name: [metrics[name] for metrics in chosen] for name in known}
        row: dict[str, Any] = {"name": names[number] if names else folder.name, "runs": len(found)}
        row["mean"] = {name: float(np.mean(v)) for name, v in values.items()}
        row["sd"] = {name: float(np.std(v, ddof=1)) for name, v in values.items()} if len(found) > 1 else {}
        if row["mean"].get("wer_asr"):
            row["wer_reduction"] = 1.0 - row["mean"]["wer_aec"] / row["mean"]["wer_asr"]
        rows.append(row)
        protocols.add(read_run(folder / PLAN).get("protocol"))
        counted |= {path.parts[-2].removeprefix("seed") for path in found}
    if len(protocols) > 1:
        raise UserError(f"{folders[0]}: the experiments are of different protocols; give those of one")
    return {
        "kind": KIND,
        "protocol": next(iter(protocols), None),
        "seeds": sorted(counted, key=sort_key),
        "rows": rows,
    }


def _asked(name: str, kind: str, asked: Sequence[str]) -> bool:
    return not asked or list(asked) == ["all"] or name.removeprefix(kind) in asked


def _chosen(history: Mapping[str, Any]) -> Mapping[str, float]:
    """Dev metrics of the epoch that was chosen."""
    return history["epochs"][str(history["best_epoch"])]["valid"]


def markdown(result: Mapping[str, Any]) -> str:
    """Rates, accuracies and F1 in per cent, mean ± standard deviation over runs; cosines as they are."""
    header = (
        *("dev set", "AED F1 keep", "AED F1 delete", "AED F1 change", "WER of ASR", "WER after AEC", "relative change"),
        *("exact corrections", "D right on speech", "D right on text", "D on invariant", "cosine same class"),
        "cosine other class",
    )
    lines = []
    for row in result["rows"]:
        mean, sd = row["mean"], row["sd"]
        cells = [tables.plus_minus(mean.get(name), sd.get(name)) for name in METRICS[:9]]
        reduction = row.get("wer_reduction")
        cells.insert(5, tables.NOTHING if reduction is None else tables.signed(-reduction))
        cells += [f"{mean[name]:.2f}" if name in mean else tables.NOTHING for name in METRICS[9:]]
        lines.append([row["name"], *cells])
    protocol = f" Protocol `{result['protocol']}`." if result["protocol"] else ""
    note = (
        "Mean ± standard deviation over folds and seeds, at the epoch chosen by dev score."
        f"{protocol} Seeds {' '.join(result['seeds'])}.\n"
    )
    return f"{tables.table(header, lines)}\n{note}" if lines else ""
