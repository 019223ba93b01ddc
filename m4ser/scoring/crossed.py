"""The result of crossed corpora: a table of what was trained on (rows) by the corpus that was tested (columns).

A corpus that a row has trained on is tested on the speakers that the fold's model does not know, all folds pooled; any
other corpus is tested by the model of every fold, and the scores are averaged. Intervals resample the speakers of the
tested corpus.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from m4ser.data.corpus import Corpus
from m4ser.data.folds import JOIN
from m4ser.scoring import figures
from m4ser.scoring.evaluation import pooled
from m4ser.scoring.intervals import RESAMPLES
from m4ser.scoring.results import partial_line
from m4ser.scoring.runs import NOT_PREDICTED, Answers, find
from m4ser.scoring.table import Row, Score, Table, columns, listed, percent
from m4ser.training.metrics import DEFINITIONS, NAMES, Metric
from m4ser.training.predictions import check_references, read_predictions
from m4ser.training.result_files import Crossed
from m4ser.training.setup import named_setup, setup_text, trained_text, trained_with
from m4ser.utils.errors import UserError
from m4ser.utils.files import atomic_write, read_json, rounded, write_json, write_markdown

KIND = "matrix"


def evaluate(
    path: Path,
    corpus: Corpus,
    seeds: Sequence[str] | None = None,
    folds: Sequence[str] | None = None,
    asr_dir: Path | None = None,
    note: Callable[[str], None] = lambda line: None,
    resamples: int = RESAMPLES,
) -> Crossed:
    """Score all cells.

    Raises:
        UserError: no predictions at all, or wrong ones, see :func:`m4ser.scoring.runs.collect`.
    """
    all_folds = corpus.folds
    found = find(path, corpus, "test", seeds, folds, note)
    answers: dict[str, dict[str, np.ndarray]] = {}
    for name in found.folds:
        expected = [utt for utt in all_folds.folds[name].test if utt not in corpus.skipped]
        for number, seed in enumerate(found.seeds):
            if (seed, name) not in found.files:
                continue
            predictions = read_predictions(found.files[seed, name], all_folds.labels, expected)
            check_references(found.files[seed, name], predictions, corpus.emotion, corpus.speaker, corpus.path)
            for utt, hyp in zip(predictions.utts, predictions.hyp, strict=True):
                hyps = answers.setdefault(name, {}).setdefault(utt, np.full(len(found.seeds), NOT_PREDICTED))
                hyps[number] = hyp
    tested = {corpus.domain[utt] for by_utt in answers.values() for utt in by_utt}
    tested_on = [name for name in all_folds.corpora if name in tested]
    rows = list(dict.fromkeys(all_folds.trained_on[name] for name in answers))
    cells = []
    for row in rows:
        own = [by_utt for name, by_utt in answers.items() if all_folds.trained_on[name] == row]
        for column in tested_on:
            by_fold = [{u: hyps for u, hyps in fold.items() if corpus.domain[u] == column} for fold in own]
            if any(by_fold):
                cells.append({"train": row, "test": column, **_cell(row, column, by_fold, corpus, resamples)})
    result = {
        "kind": KIND,
        "tag": str(found.run.get("tag") or path.name),
        "partition": "test",
        "protocol": all_folds.protocol,
        "protocol_description": all_folds.description,
        "labels": all_folds.labels,
        "seeds": found.seeds,
        "partial": bool(found.missing),
        "missing": [{"seed": seed, "fold": fold} for seed, fold in found.missing],
        "definitions": DEFINITIONS,
        "ci": {"level": 0.95, "resamples": resamples},
        "rows": rows,
        "columns": tested_on,
        "cells": cells,
        "corpora": {
            name: {**known, "word_error_rate": _word_error_rate(asr_dir, name)}
            for name, known in all_folds.corpora.items()
        },
        "setup": named_setup(found.run),
        "trained_with": trained_with(path, found.folds, found.seeds),
    }
    return cast(Crossed, rounded(result))


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
    models = hyp.reshape(-1, len(utts))
    models = models[(models != NOT_PREDICTED).any(1)]
    labels, speakers = corpus.folds.labels, np.array([corpus.speaker[utt] for utt in utts])
    answers = Answers(labels, speakers, np.array([labels.index(corpus.emotion[utt]) for utt in utts]), models)
    return {
        "in_corpus": column in row.split(JOIN),
        "classes": len(set(answers.ref.tolist())),
        "answers": len(models),
        **pooled(answers, resamples),
        "confusion_summed": answers.confusions().sum(0),
    }


def _word_error_rate(asr_dir: Path | None, name: str) -> float | None:
    file = Path(asr_dir or "", name, "wer.json")
    counts = read_json(file)["normalised"] if asr_dir and file.is_file() else None
    return counts["wer"] if counts else None


def read(path: Path) -> Crossed:
    """The `metrics.json` of crossed corpora.

    Raises:
        UserError: it is missing or of something else.
    """
    found = read_json(path) if path.is_file() else {}
    if found.get("kind") != KIND:
        raise UserError(f"{path}: is not the result of crossed corpora; run stage 5 of such a recipe first")
    return cast(Crossed, found)


def table(crossed: Crossed, metric: Metric = "ua") -> Table:
    """One score of all cells with its interval; bold where the corpus was trained on (other speakers of it)."""
    cells = {(cell["train"], cell["test"]): cell for cell in crossed["cells"]}
    rows: list[Row] = []
    for row in crossed["rows"]:
        found = [cells.get((row, column)) for column in crossed["columns"]]
        scores = [
            Score(cell[metric]["mean"], None, cell[metric]["ci"], bold=cell["in_corpus"]) if cell else None
            for cell in found
        ]
        rows.append([row, *scores])
    if metric == "ua":
        some = {cell["test"]: Score(1 / cell["classes"]) for cell in crossed["cells"]}
        rows.append(["chance", *(some[column] for column in crossed["columns"])])
    about = {"tag": crossed["tag"], "partial": crossed["partial"]}
    names = (f"{NAMES[metric]}: trained on ↓ tested on →", *crossed["columns"])
    return Table(columns(*names), rows, NAMES[metric], about=about)


def headline(crossed: Crossed) -> Table:
    """The table of UA and what is needed to read it."""
    caption = (
        f"{partial_line(crossed['missing'])}Per cent [95 % confidence interval]. Protocol `{crossed['protocol']}`, "
        f"{len(crossed['labels'])} classes ({', '.join(crossed['labels'])}), seeds {' '.join(crossed['seeds'])}."
    )
    few = dict.fromkeys(cell["test"] for cell in crossed["cells"] if cell["resampled"] == "utterance")
    narrow = f" (of {listed(few)}, utterances: its speakers are too few, so the interval is too narrow)" if few else ""
    notes = [
        f"Setup: {setup_text(crossed['setup'])}." if crossed["setup"] else "",
        "Bold: other speakers of a corpus that was trained on, all folds of its protocol pooled.",
        "Elsewhere the mean over the models of all folds. A column is always the same utterances.",
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
        text, rate = None, None
        if crossed["setup"].get("text_source") != "none":
            text, rate = known["text"] or crossed["setup"].get("asr"), known["word_error_rate"]
        counts = (known["classes"][label] for label in crossed["labels"])
        rows.append([name, known["protocol"], known["speakers"], *counts, out, count, text, percent(rate)])
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
    note: Callable[[str], None] = lambda line: None,
) -> tuple[Table, list[Path]]:
    """Score `exp/<tag>` of crossed corpora and write `metrics.json`, `RESULTS.md`, `matrix.csv` and `matrix.png`.

    Returns:
        The table of UA and the files.

    Raises:
        UserError: see :func:`evaluate`.
    """
    crossed = evaluate(folder, corpus, seeds, folds, asr_dir, note, resamples)
    paths = [folder / name for name in ("RESULTS.md", "metrics.json", "matrix.csv", "matrix.png")]
    figures.save(figures.crossed(table(crossed)), paths[3])
    whole = replace(results(crossed), figure="matrix.png")
    write_markdown(paths[0], f"# {crossed['tag']}\n\n{whole.markdown()}")
    with atomic_write(paths[2]) as file:
        file.write(cells_table(crossed).csv())
    write_json(paths[1], crossed)
    return headline(crossed), paths
