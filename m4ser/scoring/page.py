"""The result of one experiment as a single HTML page without any other file or network access.

Numbers are those of `metrics.json`; nothing is scored here a second time but speakers one by one.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup

from m4ser.asr.normalise import normaliser
from m4ser.scoring import figures, mistakes, report, tables
from m4ser.scoring.experiment import Corpus, Experiment
from m4ser.training.metrics import NAMES, confusion
from m4ser.utils.errors import UserError
from m4ser.utils.provenance import made_by

TEMPLATE = "report.html.jinja"
# From this share on the cell of a confusion matrix is dark and its text white.
DARK_CELL = 0.72


def check_same(metrics: dict[str, Any], experiment: Experiment, path: Path) -> None:
    """The numbers on the page and the answers behind them belong together.

    Raises:
        UserError: the predictions are not those that were scored.
    """
    counted = experiment.confusions().sum(0).tolist()
    if metrics["labels"] != experiment.labels or metrics["confusion_summed_over_seeds"] != counted:
        raise UserError(f"{path}: is not the score of the predictions beside it; run stage 5 again")


def by_speaker(experiment: Experiment, resamples: int) -> dict[str, dict[str, Any]]:
    """Scores of each speaker, as :func:`m4ser.scoring.report.pooled` gives them."""
    return {
        speaker: report.rounded(report.pooled(experiment, experiment.speakers == speaker, resamples))
        for speaker in sorted(set(experiment.speakers.tolist()))
    }


def matrix(counts: np.ndarray, labels: list[str]) -> list[dict[str, Any]]:
    """Rows of a confusion matrix: label, total, cells with count and share of the row."""
    rows = []
    for label, row in zip(labels, np.asarray(counts), strict=True):
        total = int(row.sum())
        cells = [{"count": int(n), "share": float(n / total) if total else 0.0} for n in row]
        rows.append({"label": label, "total": total, "cells": cells})
    return rows


def fold_matrices(experiment: Experiment) -> dict[str, list[dict[str, Any]]]:
    """The confusion matrix of every fold, summed over seeds."""
    found = {}
    for name in experiment.folds:
        at = experiment.fold == name
        counts = sum(
            confusion(experiment.ref[at & (hyp >= 0)], hyp[at & (hyp >= 0)], len(experiment.labels))
            for hyp in experiment.hyp
        )
        found[name] = matrix(counts, experiment.labels)
    return found


def describe_mistakes(
    found: list[mistakes.Mistake],
    corpus: Corpus,
    heard: dict[str, str] | None,
    normalise: str,
    audio: dict[str, str],
    max_bytes: int,
    note: Callable[[str], None],
) -> list[dict[str, Any]]:
    """What the page shows of each mistake: texts and their differences, and the sound as long as there is room."""
    clean = normaliser(normalise)
    shown, used = [], 0
    for mistake in found:
        said = corpus.text.get(mistake.utt, "")
        item: dict[str, Any] = {"mistake": mistake, "said": said}
        if heard is not None and mistake.utt in heard:
            item["heard"] = heard[mistake.utt]
            item["differences"] = mistakes.word_differences(clean(said), clean(heard[mistake.utt]))
        if mistake.utt in audio and used < max_bytes:
            try:
                address, seconds, whole = mistakes.clip(audio[mistake.utt])
            except UserError as error:
                note(str(error))
            else:
                if used + len(address) <= max_bytes:
                    item |= {"address": address, "seconds": seconds, "whole": whole}
                used += len(address)
        shown.append(item)
    return shown


def _with_titles(drawing: str, chart: dict[str, Any], labels: list[str]) -> str:
    """Let every point of the map say which utterance it is when it is pointed at."""
    kinds = [list(panel["points"]) for panel in chart["panels"]]
    chunks = re.split(r'(?=<g id="map\d-points-)', drawing)
    for i, chunk in enumerate(chunks):
        if not (group := re.match(r'<g id="map\d-points-(\d+)-(\d+)-(\d+)"', chunk)):
            continue
        panel, kind, label = map(int, group.groups())
        titles = [
            f"{utt}, {kinds[panel][kind]}: {labels[ref]}" + (f", taken for {labels[hyp]}" if ref != hyp else "")
            for utt, ref, hyp in zip(chart["utts"], chart["ref"], chart["hyp"], strict=True)
            if ref == label
        ]
        left = iter(titles)  # bound as a default: the function is used before the loop goes on
        chunks[i] = re.sub(
            r"(<use [^>]*)/>",
            lambda use, left=left: f"{use[1]}><title>{Markup.escape(next(left))}</title></use>",
            chunk,
            count=len(titles),
        )
    return "".join(chunks)


def render(
    metrics: dict[str, Any],
    experiment: Experiment,
    speakers: dict[str, dict[str, Any]],
    histories: list[dict[str, Any]],
    chart: dict[str, Any] | None,
    wrong: list[dict[str, Any]],
    remarks: list[str],
) -> str:
    """The whole page."""
    drawn: dict[str, Any] = {"per_speaker": figures.svg("speakers", figures.per_speaker, metrics, speakers)}
    if len(metrics["per_fold"]) > 1:
        drawn["per_fold"] = figures.svg("folds", figures.per_fold, metrics)
    if metrics["by_wer"]:
        drawn["wer_bins"] = figures.svg("wer", figures.wer_bins, metrics)
    if histories:
        drawn["training"] = [
            figures.svg(f"training{i}", figures.training, metrics, histories, [title])
            for i, title in enumerate(figures.training_panels(histories))
        ]
    if chart:  # a drawing for each panel: on a phone they stand below each other
        drawn["map"] = []
        for i, panel in enumerate(chart["panels"]):
            one = chart | {"panels": [panel]}
            drawing = figures.svg(f"map{i}", figures.vector_map, metrics, one)
            drawn["map"].append(_with_titles(drawing, one, metrics["labels"]))
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("m4ser.scoring", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": tables.percent,
        "interval": tables.interval,
        "signed": tables.signed,
        "p_value": tables.p_value,
        "shown": report.shown,
    }
    return environment.get_template(TEMPLATE).render(
        metrics=metrics,
        names=NAMES,
        setup_names=report.SETUP,
        partial=report.partial_line(metrics).replace("**", "").strip(),
        pooled_matrix=matrix(metrics["confusion_summed_over_seeds"], metrics["labels"]),
        fold_matrices=fold_matrices(experiment) if len(metrics["per_fold"]) > 1 else {},
        dark_cell=DARK_CELL,
        speakers=speakers,
        histories=histories,
        chart=chart,
        wrong=wrong,
        remarks=remarks,
        figures={
            name: Markup(text) if isinstance(text, str) else list(map(Markup, text)) for name, text in drawn.items()
        },
        trained=report.trained_lines(metrics["trained_with"]),
        made_by=made_by(),
        count=tables.count,
        plus_minus=lambda value: tables.plus_minus(value["mean"], value["sd"]),
    )
