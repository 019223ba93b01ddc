"""Systems under several conditions of their text: scores and differences against the word error rate.

A condition is a folder with one comparison of the same systems, as `compare.sh` leaves it. Nothing else is read:
comparisons can be kept when their runs are gone, and conditions be added on another machine.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from m4ser.scoring.comparison import PARTIAL, SCORES, read
from m4ser.scoring.intervals import MIN_CONDITIONS, mean_interval
from m4ser.scoring.table import Column, Row, Score, Table, listed, protocol_text
from m4ser.training.metrics import NAMES, Metric
from m4ser.training.setup import joined_makers, setup_text
from m4ser.utils.errors import UserError

SHOWN: tuple[Metric, ...] = ("weighted_f1", "ua")
SAME = {"protocol": "protocol", "partition": "partition", "labels": "set of labels", "reference": "reference"}
REFERENCE = "reference"
WER_UNIT = 0.1  # slopes are given for ten points of word error rate


def table(
    folders: Sequence[Path],
    names: Sequence[str] = (),
    comparison: str = "comparison",
    metrics: Sequence[Metric] = SHOWN,
) -> Table:
    """All of the study: for each of some scores its values and its differences, conditions in the order given.

    Args:
        folders: one for each condition.
        names: of the conditions; without them those of the folders.
        comparison: name of the comparison in each folder, without `.json`.
        metrics: scores to show, of those that the comparisons have differences of.

    Raises:
        UserError: a comparison is missing, or is not of the same systems, seeds and data as the first one.
    """
    names = list(names or [folder.name for folder in folders])
    if len(set(names)) < len(names):
        raise UserError("the conditions have the same name; give --names")
    paths = [folder / f"{comparison}.json" for folder in folders]
    comparisons = [read(path) for path in paths]
    first = comparisons[0].about
    for path, one in zip(paths, comparisons, strict=True):
        if list(one.about["seeds"].items()) != list(first["seeds"].items()):
            raise UserError(f"{path}: has other systems or seeds than {folders[0]}; run all conditions alike")
        if wrong := [what for key, what in SAME.items() if one.about[key] != first[key]]:
            raise UserError(f"{path}: has another {wrong[0]} than {folders[0]}; only the text may differ")
    conditions = [
        {"condition": name, **_text(path, one), "partial": one.about["partial"]}
        for name, path, one in zip(names, paths, comparisons, strict=True)
    ]
    setup = {
        k: v for k, v in first["setup"].items() if v and all(one.about["setup"].get(k) == v for one in comparisons)
    }
    about = {
        **{key: first[key] for key in (*SAME, "utterances", "speakers", "resampled", "seeds")},
        "setup": setup,
        "conditions": conditions,
        "trained_with": joined_makers(one.about["trained_with"] for one in comparisons),
    }
    systems = list(first["seeds"])
    others = [system for system in systems if system != first["reference"]]
    shown: list[tuple[str, str, list[str]]] = [(f"{NAMES[metric]}, text", metric, systems) for metric in metrics]
    shown += [(f"Δ {NAMES[m]} to {first['reference']}", f"d_{m}", others) for m in metrics if others]
    tables = []
    for title, key, of in shown:
        rows: list[Row] = [
            [c["condition"] + " (partial)" * c["partial"], Score(c["wer"]), *(one.cell(system, key) for system in of)]
            for c, one in zip(conditions, comparisons, strict=True)
        ]
        if title.startswith("Δ"):
            rows += _over_conditions([c["wer"] for c in conditions], [cast(list[Score], row[2:]) for row in rows])
        tables.append(Table([Column(title, "condition"), Column("WER", "wer"), *map(Column, of)], rows))
    tables[-1] = replace(tables[-1], notes=_notes(about))
    caption = (
        f"{protocol_text(first)}; seeds {' '.join(first['seeds'][systems[0]])}. Per cent ± sd over "
        f"seeds [95 % bootstrap interval over {first['resampled']}s]."
    )
    return replace(tables[0], caption=caption, more=tables[1:], about=about)


def _text(path: Path, comparison: Table) -> dict[str, Any]:
    """Where the text comes from and its word error rate."""
    for asr, wer in comparison.about["wer"].items():
        return {"text": asr, "wer": wer}
    if comparison.about["setup"].get("text_source") == "ref":
        return {"text": REFERENCE, "wer": 0.0}
    raise UserError(f"{path}: has no word error rate; score its systems with --asr-dir and compare them again")


def _over_conditions(wer: Sequence[float], values: Sequence[Sequence[Score]]) -> list[Row]:
    """Mean of each column with its interval, and its change for ten points more WER: least squares."""
    columns = [[score.value for score in column] for column in zip(*values, strict=True)]
    rows: list[Row] = []
    if len(wer) >= MIN_CONDITIONS:
        means = [mean_interval(column) for column in columns]
        rows.append(["mean of the rows", "", *(Score(mean, ci=ci, difference=True) for mean, ci in means)])
    if len(set(wer)) >= MIN_CONDITIONS:
        slopes = [float(np.polyfit(wer, column, 1)[0]) * WER_UNIT for column in columns]
        rows.append([f"per {100 * WER_UNIT:.0f} points of WER", "", *(Score(s, difference=True) for s in slopes)])
    return rows


def _notes(about: dict[str, Any]) -> list[str]:
    conditions = about["conditions"]
    recognised = dict.fromkeys(c["text"] for c in conditions if c["text"] != REFERENCE)
    return [
        "Training, development and test text are made in the same way in each row.",
        "Δ: difference in points, paired bootstrap interval; p: permutation test, Holm-corrected within a row.",
        "Mean of the rows: Student's interval over rows, which share their test lines; says nothing of other speakers."
        if len(conditions) >= MIN_CONDITIONS
        else "",
        f"Same for all that use it: {setup_text(about['setup'])}." if about["setup"] else "",
        f"Recognised by {listed(recognised)}." if recognised else "",
        PARTIAL if any(c["partial"] for c in conditions) else "",
        SCORES,
    ]
