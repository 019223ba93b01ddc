"""Systems under several conditions of their text: scores against the word error rate.

A condition is a folder with one `comparison.json` of the same systems, as `compare.sh` leaves it. Nothing else is read:
comparisons can be kept when their runs are gone, and conditions be added on another machine.
"""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from m4ser.scoring import tables
from m4ser.scoring.across import MIN_CONDITIONS, mean_interval
from m4ser.scoring.experiment import joined_makers
from m4ser.scoring.figures import MARKERS, PALETTE
from m4ser.scoring.report import rounded, trained_lines
from m4ser.training.metrics import DEFINITIONS, NAMES
from m4ser.utils.errors import UserError
from m4ser.utils.files import read_json

KIND = "robustness"
SHOWN = ("weighted_f1", "ua")
SAME = ("protocol", "partition", "labels", "reference")
REFERENCE = "reference"
WER_UNIT = 0.1  # slopes are told for ten points of word error rate


def collect(folders: Sequence[Path], names: Sequence[str] = (), comparison: str = "comparison") -> dict[str, Any]:
    """All of the study, conditions in the order given.

    Args:
        folders: one for each condition.
        names: of the conditions; without them those of the folders.
        comparison: name of the comparison in each folder, without `.json`.

    Raises:
        UserError: a comparison is missing, or is not of the same systems, seeds and data as the first one.
    """
    conditions: list[dict[str, Any]] = []
    first: dict[str, Any] = {}
    setup: dict[str, Any] = {}
    trained: dict[str, list[str]] = {}
    for folder, name in zip(folders, names or [folder.name for folder in folders], strict=True):
        path = folder / f"{comparison}.json"
        if not path.is_file():
            raise UserError(f"{path}: no such file; run the systems under this condition first")
        found = read_json(path)
        if found.get("kind") != "comparison" or "trained_with" not in found:
            raise UserError(
                f"{path}: is no comparison of systems as compare.sh of this version writes it; make it again"
            )
        systems = [(row["system"], row["seeds"]) for row in found["systems"]]
        if first and systems != [(row["system"], row["seeds"]) for row in first["systems"]]:
            raise UserError(f"{path}: has other systems or seeds than {folders[0]}; run all conditions alike")
        if wrong := [key for key in SAME if first and found[key] != first[key]]:
            raise UserError(f"{path}: has another {wrong[0]} than {folders[0]}; only the text may differ")
        first = first or found
        trained = joined_makers([trained, found["trained_with"]])
        setup = {key: value for key, value in found["setup"].items() if not conditions or setup.get(key) == value}
        conditions.append(
            {
                "condition": name,
                **_text(path, found),
                "partial": any(row["partial"] for row in found["systems"]),
                "scores": {
                    row["system"]: {metric: row["pooled"][metric] for metric in SHOWN} for row in found["systems"]
                },
                "differences": {
                    row["system"]: {metric: row["difference"]["scores"][metric] for metric in SHOWN}
                    for row in found["systems"]
                    if row["difference"]
                },
            }
        )
    if len({condition["condition"] for condition in conditions}) < len(conditions):
        raise UserError("the conditions have the same name; give --names")
    rows = first["systems"]
    result = {
        "kind": KIND,
        **{key: first[key] for key in SAME},
        "systems": [row["system"] for row in rows],
        "seeds": rows[0]["seeds"],
        "utterances": rows[0]["pooled"]["utterances"],
        "speakers": rows[0]["pooled"]["speakers"],
        "resampled": rows[0]["pooled"]["resampled"],
        "setup": setup,
        "trained_with": trained,
        "conditions": conditions,
    }
    return rounded({**result, "means": _means(conditions), "slopes": _slopes(conditions)})


def _text(path: Path, comparison: dict[str, Any]) -> dict[str, Any]:
    """Where the text comes from and its word error rate."""
    for asr, wer in comparison["wer"].items():
        return {"text": asr, "wer": wer}
    if comparison["setup"].get("text_source") == "ref":
        return {"text": REFERENCE, "wer": 0.0}
    raise UserError(f"{path}: does not tell the word error rate; score its rows with --asr-dir and compare them again")


def _means(conditions: Sequence[dict[str, Any]]) -> dict[str, dict[str, dict[str, Any]]]:
    """Mean over conditions of each system's difference to the reference, with a 95 % interval."""
    if len(conditions) < MIN_CONDITIONS:
        return {}
    means: dict[str, dict[str, dict[str, Any]]] = {}
    for system in conditions[0]["differences"]:
        means[system] = {}
        for metric in SHOWN:
            values = [condition["differences"][system][metric]["difference"] for condition in conditions]
            mean, ci = mean_interval(values)
            means[system][metric] = {"mean": mean, "ci": ci}
    return means


def _slopes(conditions: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Change of each system's difference to the reference for ten points more WER: least squares over conditions."""
    wer = np.array([condition["wer"] for condition in conditions])
    if len(set(wer)) < 3:
        return {}
    return {
        system: {
            metric: np.polyfit(wer, [c["differences"][system][metric]["difference"] for c in conditions], 1)[0]
            * WER_UNIT
            for metric in SHOWN
        }
        for system in conditions[0]["differences"]
    }


def markdown(result: dict[str, Any]) -> str:
    """Scores and differences, one table for each score, what is needed to read them, and the figure beside the page."""
    conditions, systems = result["conditions"], result["systems"]
    others = [system for system in systems if system != result["reference"]]
    text = ""
    for metric in SHOWN:
        lines = [
            [_name(c), tables.percent(c["wer"]), *(_score(c["scores"][system][metric]) for system in systems)]
            for c in conditions
        ]
        text += tables.table([f"{NAMES[metric]}, text", "WER", *systems], lines) + "\n"
    for metric in SHOWN if others else ():
        lines = []
        for c in conditions:
            values = [c["differences"][system][metric] for system in others]
            cells = [
                f"{tables.signed(v['difference'])} {tables.interval(v['ci'])} p {tables.p_value(v['p_holm'])}"
                for v in values
            ]
            lines.append([_name(c), tables.percent(c["wer"]), *cells])
        if result["means"]:
            values = [result["means"][system][metric] for system in others]
            cells = [f"{tables.signed(v['mean'])} {tables.interval(v['ci'])}" for v in values]
            lines.append(["mean of the rows", "", *cells])
        if result["slopes"]:
            slopes = [tables.signed(result["slopes"][system][metric]) for system in others]
            lines.append([f"per {100 * WER_UNIT:.0f} points of WER", "", *slopes])
        header = f"Δ {NAMES[metric]} to {result['reference']}"
        text += tables.table([header, "WER", *others], lines) + "\n"
    picture = f"\n![Scores against the word error rate]({result['figure']})\n" if "figure" in result else ""
    return text + _notes(result) + picture


def _name(condition: dict[str, Any]) -> str:
    return condition["condition"] + (" (partial)" if condition["partial"] else "")


def _score(value: dict[str, Any]) -> str:
    return f"{tables.plus_minus(value['mean'], value['sd'])} {tables.interval(value['ci'])}"


def _notes(result: dict[str, Any]) -> str:
    setup = "; ".join(f"{key.replace('_', ' ')} {value}" for key, value in result["setup"].items() if value)
    lines = [
        f"Per cent; mean over seeds {' '.join(result['seeds'])} ± sd, in brackets a 95 % bootstrap interval over "
        f"{result['resampled']}s. Protocol `{result['protocol']}`, {result['partition']}: "
        f"{tables.count(result['utterances'], 'utterance')} of {tables.count(result['speakers'], 'speaker')}.",
        "Training, development and test text are made in the same way in each row. Δ: difference in points with a "
        "paired bootstrap interval; p: permutation test, Holm-corrected within a row.",
    ]
    if result["means"]:
        lines.append(
            "Mean of the rows: with Student's interval over the rows, which share their test lines; it does not tell "
            "what other speakers would change."
        )
    if setup:
        lines.append(f"Same for all: {setup}.")
    recognised = dict.fromkeys(c["text"] for c in result["conditions"] if c["text"] != REFERENCE)
    if recognised:
        lines.append(f"Recognised by {', '.join(recognised)}.")
    if any(condition["partial"] for condition in result["conditions"]):
        lines.append("**(partial): runs are missing; not the result of the protocol.**")
    return "\n".join([*lines, *trained_lines(result["trained_with"]), DEFINITIONS]) + "\n"


def comma_separated(result: dict[str, Any]) -> str:
    """One line for each condition, system and score, fractions of one."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    header = ["condition", "text", "wer", "system", "score", "mean", "sd", "low", "high"]
    writer.writerow([*header, "difference", "difference_low", "difference_high", "p_holm"])
    for condition in result["conditions"]:
        for system in result["systems"]:
            for metric in SHOWN:
                value = condition["scores"][system][metric]
                line = [condition["condition"], condition["text"], condition["wer"], system, metric]
                line += [value["mean"], value["sd"], *value["ci"]]
                delta = condition["differences"].get(system, {}).get(metric)
                writer.writerow(line + ([delta["difference"], *delta["ci"], delta["p_holm"]] if delta else [None] * 4))
    return text.getvalue()


def figure(result: dict[str, Any]) -> plt.Figure:
    """Scores of each system against the word error rate; bars: sd over seeds."""
    conditions = sorted(result["conditions"], key=lambda condition: condition["wer"])
    wer = [100 * condition["wer"] for condition in conditions]
    drawn, panels = plt.subplots(1, len(SHOWN), figsize=(11, 5.2), sharex=True, layout="constrained")
    for axes, metric in zip(panels, SHOWN, strict=True):
        for number, system in enumerate(result["systems"]):
            values = [condition["scores"][system][metric] for condition in conditions]
            axes.errorbar(
                wer,
                [100 * value["mean"] for value in values],
                yerr=[100 * (value["sd"] or 0.0) for value in values],
                color=PALETTE[number % len(PALETTE)],
                marker=MARKERS[number % len(MARKERS)],
                linewidth=2.0 if system == result["reference"] else 1.0,
                markersize=5,
                capsize=2,
                label=system,
            )
        axes.set_ylabel(f"{NAMES[metric]}, %")
        axes.set_xlabel("word error rate, %")
        axes.grid(alpha=0.3)
        top = axes.secondary_xaxis("top")
        ticks = _ticks(wer, [condition["condition"] for condition in conditions])
        top.set_xticks(list(ticks), list(ticks.values()), rotation=60, ha="left", fontsize=7)
    handles, labels = panels[0].get_legend_handles_labels()
    drawn.legend(handles, labels, loc="outside lower center", ncols=5, fontsize=8, frameon=False)
    return drawn


def _ticks(positions: Sequence[float], names: Sequence[str], apart: float = 3.0) -> dict[float, str]:
    """Names at ascending positions; what is closer than ``apart`` to a name shares its place, so that none overlap."""
    ticks: dict[float, str] = {}
    for position, name in zip(positions, names, strict=True):
        last = next(reversed(ticks), None)
        if last is not None and position - last < apart:
            ticks[last] += f" / {name}"
        else:
            ticks[position] = name
    return ticks
