"""The result of crossed corpora: a table of what was trained on (rows) by the corpus that was tested (columns).

A corpus that a row has trained on is tested on the speakers that the fold's model does not know, all folds pooled; any
other corpus is tested by the model of every fold, and the scores are averaged. Intervals resample the speakers of the
tested corpus.
"""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np

from m4ser.data.corpus import Corpus
from m4ser.data.folds import JOIN
from m4ser.scoring.evaluation import described, pooled
from m4ser.scoring.intervals import RESAMPLES
from m4ser.scoring.results import partial_line
from m4ser.scoring.runs import NOT_PREDICTED, Answers, Experiment, collect
from m4ser.scoring.table import Row, Score, Table, columns, listed, percent
from m4ser.training.metrics import NAMES, Metric
from m4ser.training.result_files import Crossed
from m4ser.training.settings import NO_TEXT
from m4ser.training.setup import setup_text, trained_text
from m4ser.utils.errors import UserError
from m4ser.utils.files import atomic_write, read_json, rounded, write_json, write_markdown

KIND = "matrix"


def evaluate(
    path: Path,
    corpus: Corpus,
    seeds: Sequence[str] | None = None,
    folds: Sequence[str] | None = None,
    asr_dir: Path | None = None,
    resamples: int = RESAMPLES,
) -> Crossed:
    """Score all cells.

    Raises:
        UserError: no predictions at all, or wrong ones, see :func:`m4ser.scoring.runs.collect`.
    """
    experiment = collect(path, corpus, "test", seeds, folds, crossed=True)
    trained_on = np.array([corpus.folds.trained_on[fold] for fold in experiment.fold])
    tested_on = np.array([corpus.domain[utt] for utt in experiment.items])
    rows = list(dict.fromkeys(trained_on.tolist()))
    names = [name for name in corpus.folds.corpora if name in tested_on]
    cells = []
    for row, column in itertools.product(rows, names):
        keep = (trained_on == row) & (tested_on == column)
        if keep.any():
            answers = side_by_side(experiment, keep)
            cell = {
                "train": row,
                "test": column,
                "in_corpus": column in row.split(JOIN),
                "classes": len(set(answers.ref.tolist())),
                "answers": len(answers.hyp),
                **pooled(answers, resamples),
                "confusion_summed": answers.confusions().sum(0),
            }
            cells.append(cell)
    result = described(KIND, experiment, corpus, resamples)
    rates = {name: {"word_error_rate": _word_error_rate(asr_dir, name)} for name in corpus.folds.corpora}
    corpora = {name: known | rates[name] for name, known in corpus.folds.corpora.items()}
    return cast(Crossed, rounded({**result, "rows": rows, "columns": names, "cells": cells, "corpora": corpora}))


def side_by_side(experiment: Experiment, keep: np.ndarray) -> Answers:
    """Each utterance of the items `keep` once, with the answers of all models: k for each seed if k folds test it."""
    index = np.flatnonzero(keep)
    utts, first, position = np.unique(np.array(experiment.items)[index], return_index=True, return_inverse=True)
    order = np.argsort(position, kind="stable")
    counts = np.bincount(position)
    times = np.empty(len(index), dtype=int)  # how often an item's utterance came before
    times[order] = np.arange(len(index)) - (np.cumsum(counts) - counts)[position[order]]
    hyp = np.full((times.max() + 1, len(experiment.hyp), len(utts)), NOT_PREDICTED)
    hyp[times, :, position] = experiment.hyp[:, index].T
    models = hyp.reshape(-1, len(utts))
    once = index[first]
    known = (models != NOT_PREDICTED).any(1)
    return Answers(experiment.labels, experiment.speakers[once], experiment.ref[once], models[known])


def _word_error_rate(asr_dir: Path | None, name: str) -> float | None:
    file = Path(asr_dir or "", name, "wer.json")
    counts = read_json(file)["normalised"] if asr_dir and file.is_file() else None
    return counts["wer"] if counts else None


def read(path: Path) -> Crossed:
    """The `metrics.json` of crossed corpora.

    Raises:
        UserError: it is missing or of something else.
    """
    content = read_json(path) if path.is_file() else {}
    if content.get("kind") != KIND:
        raise UserError(f"{path}: is not the result of crossed corpora; run stage 5 of such a recipe first")
    return cast(Crossed, content)


def table(crossed: Crossed, metric: Metric = "ua") -> Table:
    """One score of all cells with its interval; bold where the corpus was trained on (other speakers of it)."""
    scores = {
        (cell["train"], cell["test"]): Score(cell[metric]["mean"], ci=cell[metric]["ci"], bold=cell["in_corpus"])
        for cell in crossed["cells"]
    }
    rows: list[Row] = [[row, *(scores.get((row, column)) for column in crossed["columns"])] for row in crossed["rows"]]
    if metric == "ua":
        some = {cell["test"]: Score(1 / cell["classes"]) for cell in crossed["cells"]}
        rows.append(["chance", *(some[column] for column in crossed["columns"])])
    about = {"tag": crossed["tag"], "partial": crossed["partial"]}
    names = (f"{NAMES[metric]}: trained on ↓ tested on →", *crossed["columns"])
    return Table(columns(*names), rows, NAMES[metric], about=about)


def tested_on(crossed: Crossed) -> set[str]:
    """Corpora that are tested in some cell."""
    return {cell["test"] for cell in crossed["cells"]}


def headline(crossed: Crossed) -> Table:
    """The table of UA and what is needed to read it."""
    caption = (
        f"{partial_line(crossed['missing'])}Per cent [95 % confidence interval]. Protocol `{crossed['protocol']}`, "
        f"{len(crossed['labels'])} classes ({', '.join(crossed['labels'])}), seeds {' '.join(crossed['seeds'])}."
    )
    few = dict.fromkeys(cell["test"] for cell in crossed["cells"] if cell["resampled"] == "utterance")
    narrow = f" (of {listed(few)}, utterances: its speakers are too few, so the interval is too narrow)" if few else ""
    counts = {(cell["test"], cell["utterances"]) for cell in crossed["cells"]}
    pooled_folds = ", all folds of its protocol pooled" if len(counts) == len(tested_on(crossed)) else ""
    columns_are = "A column is always the same utterances." if pooled_folds else "Columns are not the same utterances."
    notes = [
        f"Setup: {setup_text(crossed['setup'])}." if crossed["setup"] else "",
        f"Bold: other speakers of a corpus that was trained on{pooled_folds}.",
        f"Elsewhere the mean over the models of all folds. {columns_are}",
        f"Confidence interval: bootstrap, speakers of the tested corpus are resampled{narrow}.",
    ]
    return replace(table(crossed), caption=caption, notes=notes)


def results(crossed: Crossed) -> Table:
    """All scores, and what is known of the corpora."""
    tested = {cell["test"]: cell for cell in crossed["cells"]}
    rows: list[Row] = []
    for name, known in crossed["corpora"].items():
        out = ", ".join(f"{label} {count}" for label, count in known["left_out"].items()) or "nothing"
        count = tested[name]["utterances"] if name in tested else 0
        read = known["text"] or crossed["setup"].get("asr"), percent(known["word_error_rate"])
        text = (None, None) if crossed["setup"].get("text_source") == NO_TEXT else read
        counts = (known["classes"][label] for label in crossed["labels"])
        rows.append([name, known["protocol"], known["speakers"], *counts, out, count, *text])
    names = ("corpus", "protocol", "speakers", *crossed["labels"], "left out", "tested", "text", "WER")
    corpora = Table(columns(*names), rows, "Corpora (utterances of each class, labels without a class)")
    top = headline(crossed)
    notes = [
        *top.notes,
        crossed["definitions"],
        f"Protocol: {crossed['protocol_description']}.",
        trained_text(crossed["trained_with"]),
    ]
    return replace(top, notes=notes, more=[*(table(crossed, metric) for metric in NAMES if metric != "ua"), corpora])


def cells_table(crossed: Crossed) -> Table:
    """One row for each cell with all of its scores, for `matrix.csv`."""
    keys = ("train", "test", "in_corpus", "utterances", "speakers", "resampled", "answers")
    rows = [
        [crossed["protocol"], *(cell[key] for key in keys), *(Score.of(cell[name]) for name in NAMES)]
        for cell in crossed["cells"]
    ]
    return Table(columns("protocol", *keys, *NAMES), rows)


def score(
    folder: Path,
    corpus: Corpus,
    seeds: Sequence[str] | None = None,
    folds: Sequence[str] | None = None,
    asr_dir: Path | None = None,
    resamples: int = RESAMPLES,
) -> tuple[Table, list[Path]]:
    """Score `exp/<tag>` of crossed corpora and write `metrics.json`, `RESULTS.md`, `matrix.csv` and `matrix.png`.

    Returns:
        The table of UA and the files.

    Raises:
        UserError: see :func:`evaluate`.
    """
    from m4ser.scoring import figures  # with matplotlib

    crossed = evaluate(folder, corpus, seeds, folds, asr_dir, resamples)
    paths = [folder / name for name in ("RESULTS.md", "metrics.json", "matrix.csv", "matrix.png")]
    figures.save(figures.crossed(table(crossed)), paths[3])
    whole = replace(results(crossed), figure="matrix.png")
    write_markdown(paths[0], f"# {crossed['tag']}\n\n{whole.markdown()}")
    with atomic_write(paths[2]) as file:
        file.write(cells_table(crossed).csv())
    write_json(paths[1], crossed)
    return headline(crossed), paths
