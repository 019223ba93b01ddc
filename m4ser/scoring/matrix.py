"""The result of crossed corpora: a table of what was trained on (rows) by the corpus that was tested (columns).

A corpus that a row has trained on is tested on the speakers that the fold's model does not know, all folds pooled; any
other corpus is tested by the model of every fold, and the scores are averaged. Intervals resample the speakers of the
tested corpus.
"""

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from m4ser.data.folds import JOIN
from m4ser.scoring import tables
from m4ser.scoring.bootstrap import RESAMPLES, cluster_confusions, clusters, intervals
from m4ser.scoring.experiment import (
    NOT_PREDICTED,
    Corpus,
    check_references,
    check_run,
    read_run,
    sort_key,
    trained_with,
)
from m4ser.scoring.report import SETUP, describe, partial_line, rounded, shown, trained_lines
from m4ser.training.experiment import choose_folds
from m4ser.training.metrics import DEFINITIONS, NAMES, confusion, from_confusion
from m4ser.training.predictions import read_predictions
from m4ser.utils.errors import UserError
from m4ser.utils.files import atomic_path, read_json


def evaluate(
    path: str | Path,
    corpus: Corpus,
    seeds: Sequence[str] | None = None,
    folds: Sequence[str] | None = None,
    asr_dir: str | Path | None = None,
    note: Callable[[str], None] = lambda line: None,
    resamples: int = RESAMPLES,
) -> dict[str, Any]:
    """All that `metrics.json` holds; scores are fractions of one.

    Raises:
        UserError: no predictions at all, or wrong ones, see :func:`m4ser.scoring.experiment.collect`.
    """
    path, all_folds = Path(path), corpus.folds
    run = read_run(path / "run.json")
    check_run(path, run, corpus)
    wanted = choose_folds(all_folds, [str(fold) for fold in folds or ()])
    files = {
        (name, file.parent.name.removeprefix("seed")): file
        for name in wanted
        for file in path.glob(f"fold{name}/seed*/predictions_test.tsv")
    }
    used = sorted({str(seed) for seed in seeds or run.get("seeds") or {seed for _, seed in files}}, key=sort_key)
    missing = [(seed, fold) for seed in used for fold in wanted if (fold, seed) not in files]
    for seed, fold in missing:
        note(f"{path}/fold{fold}/seed{seed}: no predictions_test.tsv; run stages 4 and 5 for it")
    answers: dict[str, dict[str, np.ndarray]] = {}
    for name in wanted:
        expected = [utt for utt in all_folds.folds[name].test if utt not in corpus.skipped]
        for number, seed in enumerate(used):
            if (name, seed) not in files:
                continue
            predictions = read_predictions(files[name, seed], all_folds.labels, expected)
            check_references(files[name, seed], predictions, corpus)
            for utt, hyp in zip(predictions.utts, predictions.hyp, strict=True):
                hyps = answers.setdefault(name, {}).setdefault(utt, np.full(len(used), NOT_PREDICTED))
                hyps[number] = hyp
    if not answers:
        raise UserError(f"{path}: has no fold*/seed*/predictions_test.tsv; run the inference of stage 5 first")
    tested = {corpus.domain[utt] for by_utt in answers.values() for utt in by_utt}
    columns = [name for name in all_folds.corpora if name in tested]
    rows = list(dict.fromkeys(all_folds.trained_on[name] for name in wanted if name in answers))
    cells = []
    for row in rows:
        own = [answers[name] for name in wanted if name in answers and all_folds.trained_on[name] == row]
        for column in columns:
            by_fold = [{u: hyps for u, hyps in fold.items() if corpus.domain[u] == column} for fold in own]
            if any(by_fold):
                cells.append({"train": row, "test": column, **_cell(row, column, by_fold, corpus, resamples)})
    missing += [(seed, fold) for seed in used for fold in all_folds.folds if fold not in wanted]
    result = {
        "kind": "matrix",
        "tag": str(run.get("tag") or path.name),
        "partition": "test",
        "protocol": all_folds.protocol,
        "protocol_description": all_folds.description,
        "labels": all_folds.labels,
        "seeds": used,
        "partial": bool(missing),
        "missing": [{"seed": seed, "fold": fold} for seed, fold in missing],
        "definitions": DEFINITIONS,
        "ci": {"level": 0.95, "resamples": resamples},
        "rows": rows,
        "columns": columns,
        "cells": cells,
        "corpora": {
            name: {**known, "word_error_rate": _word_error_rate(asr_dir, name)}
            for name, known in all_folds.corpora.items()
        },
        "setup": {key: run[key] for key in SETUP if run.get(key) not in (None, "", {}, [])},
        "trained_with": trained_with(path, wanted, used),
    }
    return rounded(result)


def _cell(
    row: str, column: str, by_fold: Sequence[dict[str, np.ndarray]], corpus: Corpus, resamples: int
) -> dict[str, Any]:
    """Scores of one corpus by the folds of one row, `{utterance: answers of the seeds}` of each.

    An utterance that only one fold tests has one answer of each seed; one that k folds test has k.
    """
    utts = sorted(set().union(*by_fold))
    position = {utt: i for i, utt in enumerate(utts)}
    times = np.zeros(len(utts), dtype=int)
    seeds = len(next(iter(next(filter(None, by_fold)).values())))
    hyp = np.full((len(by_fold), seeds, len(utts)), NOT_PREDICTED)
    for fold in by_fold:
        where = np.array([position[utt] for utt in fold], dtype=int)
        if len(where):
            hyp[times[where], :, where] = np.stack(list(fold.values()))
            times[where] += 1
    hyp = hyp.reshape(-1, len(utts))
    hyp = hyp[(hyp != NOT_PREDICTED).any(1)]
    labels = corpus.folds.labels
    ref = np.array([labels.index(corpus.emotion[utt]) for utt in utts])
    speakers = [corpus.speaker[utt] for utt in utts]
    index, unit = clusters(speakers)
    matrices = np.stack([confusion(ref[answers >= 0], answers[answers >= 0], len(labels)) for answers in hyp])
    scores = from_confusion(matrices)
    ends = intervals(cluster_confusions(index, ref, hyp, len(labels)), resamples=resamples)
    return {
        "in_corpus": column in row.split(JOIN),
        "utterances": len(utts),
        "speakers": len(set(speakers)),
        "classes": len(set(ref.tolist())),
        "resampled": unit,
        "answers": len(hyp),
        **{name: {**describe(scores[name]), "ci": ends[name]} for name in NAMES},
        "confusion_summed": matrices.sum(0),
    }


def _word_error_rate(asr_dir: str | Path | None, name: str) -> float | None:
    file = Path(asr_dir or "", name, "wer.json")
    counts = read_json(file)["normalised"] if asr_dir and file.is_file() else None
    return counts["wer"] if counts else None


def _cells(matrix: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(cell["train"], cell["test"]): cell for cell in matrix["cells"]}


def table(matrix: dict[str, Any], metric: str) -> str:
    """One score of all cells with its interval; bold where the corpus was trained on (other speakers of it)."""
    cells = _cells(matrix)
    rows = []
    for row in matrix["rows"]:
        line = [row]
        for column in matrix["columns"]:
            cell = cells.get((row, column))
            mean = tables.percent(cell[metric]["mean"]) if cell else tables.NOTHING
            mean = f"**{mean}**" if cell and cell["in_corpus"] else mean
            line.append(f"{mean} {tables.interval(cell[metric]['ci'])}" if cell else mean)
        rows.append(line)
    if metric == "ua":
        some = {column: next(c for c in matrix["cells"] if c["test"] == column) for column in matrix["columns"]}
        rows.append(["chance", *(tables.percent(1 / some[column]["classes"]) for column in matrix["columns"])])
    return tables.table([f"{NAMES[metric]}: trained on ↓ tested on →", *matrix["columns"]], rows)


def summary(matrix: dict[str, Any]) -> str:
    """The table of UA and what is needed to read it."""
    lines = [
        f"Per cent [95 % confidence interval]. Protocol `{matrix['protocol']}`, {len(matrix['labels'])} classes "
        f"({', '.join(matrix['labels'])}), seeds {' '.join(matrix['seeds'])}."
    ]
    if setup := matrix["setup"]:
        lines[0] += " " + "; ".join(f"{SETUP[key]} {shown(value)}" for key, value in setup.items()) + "."
    lines.append(
        "Bold: other speakers of a corpus that was trained on, all folds of its protocol pooled. Elsewhere the mean "
        "over the models of all folds. A column is always the same utterances. Confidence interval: bootstrap, "
        "speakers of the tested corpus are resampled"
    )
    few = [cell["test"] for cell in matrix["cells"] if cell["resampled"] == "utterance"]
    few = ", ".join(dict.fromkeys(few))
    lines[1] += f" (of {few}, utterances: its speakers are too few, so the interval is too narrow)." if few else "."
    return f"{partial_line(matrix)}{table(matrix, 'ua')}\n" + "\n".join(lines) + "\n"


def markdown(matrix: dict[str, Any], figure: str) -> str:
    """The body of `RESULTS.md`."""
    cells, corpora, labels = matrix["cells"], matrix["corpora"], matrix["labels"]
    tested = {cell["test"]: cell for cell in cells}
    header = ["corpus", "protocol", "speakers", *labels, "left out", "tested", "text", "WER"]
    lines = []
    for name, known in corpora.items():
        out = ", ".join(f"{label} {count}" for label, count in known["left_out"].items()) or "nothing"
        count = tested[name]["utterances"] if name in tested else 0
        counts = (known["classes"][label] for label in labels)
        text, rate = tables.NOTHING, tables.NOTHING
        if matrix["setup"].get("text_source") != "none":
            text = known["text"] or matrix["setup"].get("asr", tables.NOTHING)
            rate = tables.percent(known["word_error_rate"])
        lines.append([name, known["protocol"], known["speakers"], *counts, out, count, text, rate])
    sections = [
        f"# {matrix['tag']}\n\n{summary(matrix)}\n{matrix['definitions']}\n",
        f"Protocol: {matrix['protocol_description']}.\n",
        f"![UA]({figure})\n",
        *(f"## {NAMES[metric]}\n\n{table(matrix, metric)}" for metric in NAMES if metric != "ua"),
        "## Corpora (utterances of each class, labels without a class)\n\n" + tables.table(header, lines),
    ]
    sections += [f"{line}\n" for line in trained_lines(matrix["trained_with"])]
    return "\n".join(sections)


def comma_separated(matrix: dict[str, Any]) -> str:
    """One line for each cell, scores as fractions of one."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    keys = ("train", "test", "in_corpus", "utterances", "speakers", "resampled", "answers")
    scores = [f"{name}{what}" for name in NAMES for what in ("", "_sd", "_low", "_high")]
    writer.writerow(["protocol", *keys, *scores])
    for cell in matrix["cells"]:
        values = [value for name in NAMES for value in (cell[name]["mean"], cell[name]["sd"], *cell[name]["ci"])]
        writer.writerow([matrix["protocol"], *(cell[key] for key in keys), *values])
    return text.getvalue()


def draw(matrix: dict[str, Any], path: Path) -> None:
    """UA as a heat map; bold: other speakers of a corpus that was trained on."""
    rows, columns = matrix["rows"], matrix["columns"]
    size = (2.6 + 1.25 * len(columns) + 0.07 * max(map(len, rows)), 1.6 + 0.7 * len(rows))
    figure, axes = plt.subplots(figsize=size, layout="constrained")
    values = np.full((len(rows), len(columns)), np.nan)
    for cell in matrix["cells"]:
        i, j = rows.index(cell["train"]), columns.index(cell["test"])
        values[i, j] = score = 100 * cell["ua"]["mean"]
        low, high = (100 * end for end in cell["ua"]["ci"])
        weight, colour = ("bold" if cell["in_corpus"] else "normal"), ("white" if score > 60 else "black")
        text = f"{score:.1f}\n[{low:.0f}, {high:.0f}]"
        axes.text(j, i, text, ha="center", va="center", color=colour, fontsize=8, fontweight=weight)
    image = axes.imshow(values, cmap="Blues", vmin=0, vmax=100, aspect="auto")
    axes.set_xticks(range(len(columns)), columns, rotation=30, ha="right")
    axes.set_yticks(range(len(rows)), rows)
    axes.set_xlabel("tested on")
    axes.set_ylabel("trained on")
    partial = " (PARTIAL)" if matrix["partial"] else ""
    axes.set_title(f"{matrix['tag']}{partial}: UA, per cent [95 % CI]", fontsize=10)
    figure.colorbar(image, ax=axes, shrink=0.9)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150, metadata={"Software": None})
    plt.close(figure)
