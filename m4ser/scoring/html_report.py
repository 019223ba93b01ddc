"""The result of one experiment as a single HTML page without any other file or network access.

Numbers are those of `metrics.json`; nothing is scored here a second time but speakers one by one.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import jinja2
import numpy as np
from markupsafe import Markup
from numpy.typing import ArrayLike

from m4ser.asr.alignment import word_differences
from m4ser.asr.normalise import normaliser
from m4ser.data.corpus import Corpus
from m4ser.scoring import figures, mistakes
from m4ser.scoring.evaluation import pooled
from m4ser.scoring.results import partial_line
from m4ser.scoring.runs import Experiment, collect
from m4ser.scoring.table import Score, count, interval, p_value, percent, signed
from m4ser.training.experiment import HISTORY, History
from m4ser.training.metrics import NAMES
from m4ser.training.result_files import Metrics, Pooled, read_metrics
from m4ser.training.setup import SETUP, shown, trained_text
from m4ser.utils.errors import UserError
from m4ser.utils.files import atomic_write, read_json, rounded
from m4ser.utils.provenance import made_by

TEMPLATE = "html_report.html.jinja"
NO_ASR = ("", "none", None)
# From this share on the cell of a confusion matrix is dark and its text white.
DARK_CELL = 0.72


def write(
    exp: Path,
    data: Path | None = None,
    dump: Path | None = None,
    out: Path | None = None,
    most_mistakes: int = 20,
    audio: bool = True,
    max_audio_mb: float = 8.0,
    method: str = "tsne",
    map_fold: str = "",
    note: Callable[[str], None] = lambda line: None,
) -> list[Path]:
    """Write the page of `exp/<tag>` (default: `report.html` in there) and its figures as PNG beside it.

    ``data`` and ``dump`` default to those of the same recipe; ``method`` of the map of utterance vectors is ``tsne``,
    ``pca`` or ``none``; ``map_fold`` names the fold whose model makes it (default: the first).

    Returns:
        The page and the figures.

    Raises:
        UserError: the experiment is not scored, or its predictions are not those that were scored.
    """
    if most_mistakes < 0 or max_audio_mb < 0:
        raise UserError("--mistakes and --max-audio-mb must not be negative")
    metrics = read_metrics(exp)
    recipe = exp.resolve().parents[1]
    data, dump, out = data or recipe / "data", dump or recipe / "dump", out or exp / "report.html"
    remarks: list[str] = []

    def remark(line: str) -> None:
        note(line)
        remarks.append(line)

    corpus = Corpus.read(data, dump / "audio")
    experiment = collect(exp, corpus, metrics["partition"], metrics["seeds"], metrics["folds"])
    if metrics["labels"] != experiment.labels or (
        metrics["confusion_summed_over_seeds"] != experiment.confusions().sum(0).tolist()
    ):
        raise UserError(f"{exp / 'metrics.json'}: is not the score of the predictions beside it; run stage 5 again")
    speakers = {
        speaker: rounded(pooled(experiment.part(experiment.speakers == speaker), int(metrics["ci"]["resamples"])))
        for speaker in sorted(set(experiment.speakers.tolist()))
    }
    runs = [exp / f"fold{fold}" / f"seed{seed}" for seed in experiment.seeds for fold in experiment.folds]
    histories = [cast(History, read_json(run / HISTORY)) for run in runs if (run / HISTORY).exists()]
    if map_fold and map_fold not in experiment.folds and method != "none":
        raise UserError(f"--map-fold {map_fold}: the folds are {', '.join(experiment.folds)}")
    chart = _chart(experiment, method, map_fold or experiment.folds[0], remark) if method != "none" else None
    sounds = corpus.joined(dump / "audio", "wav.scp") if audio else {}
    if audio and not sounds:
        remark(f"no sound: {dump / 'audio'} is not there; run stage 1 again or give --dump")
    wrong = describe_mistakes(
        mistakes.most_confident(experiment, most_mistakes),
        corpus,
        _recognised(dump, metrics, corpus),
        metrics["asr_word_errors"]["normaliser"] if metrics["asr_word_errors"] else "none",
        sounds,
        int(max_audio_mb * 1e6),
        remark,
    )
    with atomic_write(out) as file:
        file.write(render(metrics, experiment, speakers, histories, chart, wrong, remarks))
    drawn = [out.parent / name for name in figures.draw(metrics, out.parent)]
    more = {"per_speaker": figures.per_speaker(metrics, speakers)}
    if histories:
        more["training"] = figures.training(metrics, histories)
    if chart:
        more["vectors"] = figures.vector_map(metrics, chart)
    for name, figure in more.items():
        drawn.append(out.parent / f"{name}.png")
        figures.save(figure, drawn[-1])
    return [out, *drawn]


def _recognised(dump: Path, metrics: Metrics, corpus: Corpus) -> dict[str, str] | None:
    """ASR text by utterance, None for an experiment without."""
    if metrics["asr_word_errors"] is None or metrics["setup"].get("asr") in NO_ASR:
        return None
    return corpus.joined(dump / "asr" / metrics["setup"]["asr"], "text", allow_empty=True)


def _chart(experiment: Experiment, method: str, fold: str, note: Callable[[str], None]) -> dict[str, Any] | None:
    """The map of the test part of a fold by its model of the first seed; None where model or features are gone."""
    from m4ser.scoring.vectors import chart
    from m4ser.training.vectors import run_vectors  # with torch

    seed = experiment.seeds[0]
    try:
        vectors = run_vectors(experiment.path / f"fold{fold}" / f"seed{seed}", experiment.partition)
    except (UserError, FileNotFoundError) as error:
        note(f"no map of utterance vectors: {error}")
        return None
    return chart(vectors, method, f"the model of fold {fold}, seed {seed}")


def matrix(counts: ArrayLike, labels: list[str]) -> list[dict[str, Any]]:
    """Rows of a confusion matrix: label, total, cells with count and share of the row."""
    rows = []
    for label, row in zip(labels, np.asarray(counts), strict=True):
        total = int(row.sum())
        cells = [{"count": int(n), "share": float(n / total) if total else 0.0} for n in row]
        rows.append({"label": label, "total": total, "cells": cells})
    return rows


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
            item["differences"] = word_differences(clean(said), clean(heard[mistake.utt]))
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
    metrics: Metrics,
    experiment: Experiment,
    speakers: Mapping[str, Pooled],
    histories: list[History],
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
    environment.filters |= {f.__name__: f for f in (percent, interval, signed, p_value, shown)}
    by_fold = {name: experiment.part(experiment.fold == name).confusions().sum(0) for name in experiment.folds}
    return environment.get_template(TEMPLATE).render(
        metrics=metrics,
        names=NAMES,
        setup_names=SETUP,
        partial=partial_line(metrics["missing"]).replace("**", "").strip(),
        pooled_matrix=matrix(metrics["confusion_summed_over_seeds"], metrics["labels"]),
        fold_matrices={name: matrix(counts, experiment.labels) for name, counts in by_fold.items()}
        if len(by_fold) > 1
        else {},
        dark_cell=DARK_CELL,
        speakers=speakers,
        histories=histories,
        chart=chart,
        wrong=wrong,
        remarks=remarks,
        figures={
            name: Markup(text) if isinstance(text, str) else list(map(Markup, text)) for name, text in drawn.items()
        },
        trained=trained_text(metrics["trained_with"]),
        made_by=made_by(),
        count=count,
        plus_minus=lambda value: Score(value["mean"], value["sd"]),
    )
