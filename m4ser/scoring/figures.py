"""Figures of a result, drawn from tables and from what `metrics.json` holds.

A figure is a function that returns a matplotlib figure; :func:`save` makes a PNG of it, :func:`svg` text for a page.
"""

import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from m4ser.scoring.table import Score, Table
from m4ser.training.experiment import History
from m4ser.training.metrics import NAMES, Metric
from m4ser.training.result_files import Metrics, Pooled
from m4ser.utils.files import atomic_path

plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False})
plt.rcParams["text.parse_math"] = False  # a `$` in somebody's file name is no formula
COLOURS: dict[Metric, str] = {"wa": "#4477aa", "ua": "#ee6677"}  # Paul Tol's bright scheme, for colour-blind readers
GREY = "#777777"
INK = "#010203"  # stands for the text colour of the page that a drawing is put into
# Of classes: told apart on white and on black; every class has a marker of its own as well.
PALETTE = ("#4477aa", "#ee6677", "#228833", "#b8860b", "#aa3377", "#2aa5b8", "#e07b39", "#8c6bb1", "#7f7f7f", "#a05a2c")
MARKERS = "o^sDvPX*<>"
MAX_SPEAKERS = 60  # more are drawn as a histogram
# Panels of the training figure: title and statistics, as (phase, name, what the legend says).
CURVES = {
    "loss": [("train", "loss", "train"), ("valid", "loss", "dev")],
    "dev scores, %": [("valid", "ua", "UA"), ("valid", "wa", "WA"), ("valid", "macro_f1", "macro-F1")],
    "emotion loss": [("train", "loss_emotion", "train"), ("valid", "loss_emotion", "dev")],
    "dev error detection, F1": [
        ("valid", "aed_f1_keep", "KEEP"),
        ("valid", "aed_f1_delete", "DELETE"),
        ("valid", "aed_f1_change", "CHANGE"),
    ],
    "dev WER, %": [("valid", "wer_asr", "of the ASR"), ("valid", "wer_aec", "corrected")],
    "dev discriminator": [
        ("valid", "disc_acc_speech", "right on speech"),
        ("valid", "disc_acc_text", "right on text"),
        ("valid", "disc_invariant", "on invariant (aim 0.5)"),
    ],
    "dev cosine in the contrastive space": [
        ("valid", "cosine_same_class", "same class"),
        ("valid", "cosine_other_class", "other class"),
    ],
}


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150, metadata={"Software": None})
    plt.close(figure)


def illustrated(table: Table, out: Path, draw: Callable[[Table], Figure]) -> Table:
    """Draw OUT.png; the table with the name of that file."""
    path = out.with_name(f"{out.name}.png")
    save(draw(table), path)
    return replace(table, figure=path.name)


def draw(metrics: Metrics, folder: Path, suffix: str = "") -> list[str]:
    """Draw the figures of one experiment into `folder`; returns their file names."""
    figures: dict[str, Callable[[Metrics], Figure]] = {"confusion": confusion}
    if len(metrics["per_fold"]) > 1:
        figures["per_fold"] = per_fold
    if metrics["by_wer"]:
        figures["wer_bins"] = wer_bins
    for name, function in figures.items():
        save(function(metrics), folder / f"{name}{suffix}.png")
    return [f"{name}{suffix}.png" for name in figures]


def svg(name: str, function: Callable[..., Figure], *args: Any) -> str:
    """A figure as an ``<svg>`` element that takes the text colour and font of its page and has no title of its own.

    ``name`` must be unique in the page: the element's ids start with it.
    """
    ink = dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK)
    style: dict[Any, str] = {**ink, "svg.fonttype": "none", "svg.hashsalt": name}
    with plt.rc_context(style):
        figure = function(*args)
        if figure.get_suptitle():
            figure.suptitle("")
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
        plt.close(figure)
    content = text.getvalue()
    content = content[content.index("<svg") :]
    content = re.sub(r"<metadata>.*?</metadata>", "", content, flags=re.DOTALL)
    content = re.sub(r' id="(?:figure|axes|patch|line2d|text|legend|matplotlib|xtick|ytick)[^"]*"', "", content)
    content = re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{name}-", content)
    content = re.sub(r"font: ([^;\"']*?[\d.]+px)[^;\"]*", r"font: \1 sans-serif", content)
    content = re.sub(r' (?:d|x|y)="[^"]*"', lambda place: re.sub(r"(\.\d\d)\d+", r"\1", place[0]), content)
    content = re.sub(r"<svg [^>]*(viewBox=\"[^\"]*\")[^>]*>", r'<svg \1 role="img">', content, count=1)
    return content.replace(INK, "currentColor").replace("xlink:href", "href")


def _axes(width: float, height: float) -> tuple[Figure, Axes]:
    return plt.subplots(figsize=(width, height), layout="constrained")


def _finish(figure: Figure, metrics: Metrics, more: str = "", columns: int = 0) -> Figure:
    """Title of the experiment, and a legend below if it has columns."""
    partial = " (PARTIAL)" if metrics["partial"] else ""
    figure.suptitle(f"{metrics['tag']}, {metrics['partition']}{partial}{more}", fontsize=10)
    if columns:
        figure.legend(loc="outside lower center", ncols=columns, fontsize=8, frameon=False)
    return figure


def _intervals(axes: Axes, at: np.ndarray, scores: Sequence[Score], across: bool = False, **style: Any) -> None:
    """Scores in per cent with the reach of their 95 % intervals, upwards or ``across``."""
    mean, ends = np.array([score.value for score in scores]), np.array([score.ci for score in scores])
    reach = 100 * np.clip([mean - ends[:, 0], ends[:, 1] - mean], 0, None)
    if across:
        axes.errorbar(100 * mean, at, xerr=reach, **style)
    else:
        axes.errorbar(at, 100 * mean, yerr=reach, **style)


def confusion(metrics: Metrics) -> Figure:
    """Row-normalised confusion matrix with per cent and counts."""
    labels, counts = metrics["labels"], np.array(metrics["confusion_summed_over_seeds"])
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    size = max(4.5, 1.2 + 0.72 * len(labels))
    figure, axes = _axes(size + 0.9, size)
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for i, j in np.ndindex(*counts.shape):
        colour = "white" if share[i, j] > 0.55 else "black"
        text = f"{100 * share[i, j]:.0f}\n({counts[i, j]})" if counts[i, j] else "0"
        axes.text(j, i, text, ha="center", va="center", color=colour, fontsize=8)
    axes.set_xticks(range(len(labels)), labels, rotation=45, ha="right")
    axes.set_yticks(range(len(labels)), labels)
    axes.set(xlabel="recognised", ylabel="reference")
    figure.colorbar(image, ax=axes, shrink=0.8, label="share of the reference class")
    summed = f", {len(metrics['seeds'])} seeds summed" if len(metrics["seeds"]) > 1 else ""
    return _finish(figure, metrics, f"\n% of the reference (count{summed})")


def per_fold(metrics: Metrics) -> Figure:
    """WA and UA of each fold, error bars over seeds; lines: pooled, majority class."""
    folds = metrics["per_fold"]
    x = np.arange(len(folds))
    figure, axes = _axes(max(5.5, 1.8 + 0.7 * len(folds)), 4)
    for k, (name, colour) in enumerate(COLOURS.items()):
        mean = [100 * value[name]["mean"] for value in folds.values()]
        sd = [100 * (value[name]["sd"] or 0) for value in folds.values()]
        several = len(metrics["seeds"]) > 1
        bars = {"yerr": sd, "capsize": 3, "ecolor": plt.rcParams["text.color"]} if several else {}
        axes.bar(x + (k - 0.5) * 0.38, mean, 0.36, color=colour, label=NAMES[name], **bars)
        pooled = 100 * metrics["pooled"][name]["mean"]
        axes.axhline(pooled, color=colour, linestyle="--", linewidth=1, label=f"{NAMES[name]} pooled: {pooled:.1f}")
    majority = 100 * metrics["majority"]["ua"]
    axes.axhline(majority, color=GREY, linestyle=":", linewidth=1.2, label=f"UA of the majority class: {majority:.1f}")
    axes.set_xticks(x, folds)
    axes.set(xlabel="fold", ylabel="per cent", ylim=(0, 100))
    return _finish(figure, metrics, columns=3)


def wer_bins(metrics: Metrics) -> Figure:
    """WA and UA against the word error rate of the utterance, with 95 % intervals."""
    bins, wer = metrics["by_wer"], metrics["asr_word_errors"]
    x = np.arange(len(bins))
    figure, axes = _axes(max(5.5, 1.6 + 1.05 * len(bins)), 4)
    for k, (name, colour) in enumerate(COLOURS.items()):
        scores = [Score.of(value[name]) for value in bins.values()]
        _intervals(axes, x + (k - 0.5) * 0.12, scores, color=colour, marker="o", capsize=3, label=NAMES[name])
    axes.set_xticks(x, [f"{name}\n(n={value['utterances']})" for name, value in bins.items()])
    axes.set(xlim=(-0.5, len(bins) - 0.5), ylim=(0, 100))
    axes.set(xlabel="WER of the utterance, %", ylabel="per cent (95 % CI)")
    axes.grid(axis="y", alpha=0.3)
    axes.legend(fontsize=8, frameon=False)
    return _finish(figure, metrics, f"; {metrics['setup']['asr']}, WER {100 * wer['wer']:.1f} %" if wer else "")


def per_speaker(metrics: Metrics, speakers: Mapping[str, Pooled]) -> Figure:
    """UA of each speaker with its 95 % interval, best on top; of many speakers a histogram.

    ``speakers``: name to what :func:`m4ser.scoring.evaluation.pooled` says of the speaker's utterances.
    """
    pooled = 100 * metrics["pooled"]["ua"]["mean"]
    order = sorted(speakers, key=lambda name: (speakers[name]["ua"]["mean"], name))
    scores = [Score.of(speakers[name]["ua"]) for name in order]
    values, y = [100 * score.value for score in scores], np.arange(len(order))
    many = len(speakers) > MAX_SPEAKERS
    figure, axes = _axes(6.4, 3.6 if many else 1.3 + 0.21 * len(order))
    if many:
        axes.hist(values, bins=list(range(0, 101, 5)), color=COLOURS["ua"])
        axes.set_ylabel("speakers")
    else:
        axes.barh(y, values, 0.72, color=COLOURS["ua"], alpha=0.75)
        style = {"fmt": "none", "ecolor": plt.rcParams["text.color"], "elinewidth": 1, "capsize": 2}
        _intervals(axes, y, scores, across=True, **style)
        axes.set_yticks(y, [f"{name} ({speakers[name]['utterances']})" for name in order], fontsize=8)
        axes.set_ylim(-0.6, len(order) - 0.4)
    axes.axvline(pooled, color=GREY, linestyle="--", linewidth=1, label=f"all speakers: {pooled:.1f}")
    axes.set(xlim=(0, 100), xlabel="UA of the speaker, % (utterances in brackets)")
    return _finish(figure, metrics, columns=1)


def training_panels(histories: Sequence[History]) -> list[str]:
    """Titles in ``CURVES`` of which these runs have numbers."""
    epochs = [phases for history in histories for phases in history["epochs"].values()]
    kept = {(phase, name) for phases in epochs for phase, stats in phases.items() for name in stats}
    return [title for title, curves in CURVES.items() if any(curve[:2] in kept for curve in curves)]


def training(metrics: Metrics, histories: Sequence[History], panels: Sequence[str] = ()) -> Figure:
    """Curves over epochs: mean of the runs, shaded from the lowest to the highest; dots: each run's best epoch."""
    panels = panels or training_panels(histories)
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    size = (0.2 + 3.5 * columns, 0.3 + 2.4 * rows)
    figure, grid = plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)
    for axes in grid.flat[len(panels) :]:
        axes.axis("off")
    for axes, title in zip(grid.flat, panels, strict=False):
        for (phase, name, label), colour in zip(CURVES[title], PALETTE, strict=False):
            _curve(axes, histories, (phase, name), 100 if "%" in title else 1, colour, label)
        axes.set_title(title, fontsize=9)
        axes.tick_params(labelsize=8)
        axes.grid(alpha=0.3)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_xlabel("epoch", fontsize=8)
        axes.legend(fontsize=7, frameon=False)
    return _finish(figure, metrics)


def _curve(
    axes: Axes, histories: Sequence[History], statistic: tuple[str, str], scale: float, colour: str, label: str
) -> None:
    phase, name = statistic
    by_epoch: dict[int, list[float]] = {}
    chosen = []
    for history in histories:
        for epoch, phases in history["epochs"].items():
            if name in (phases.get(phase) or {}):
                by_epoch.setdefault(int(epoch), []).append(scale * phases[phase][name])
                if phase == "valid" and int(epoch) == history["best_epoch"]:
                    chosen.append((int(epoch), scale * phases[phase][name]))
    if not by_epoch:
        return
    epochs = sorted(by_epoch)
    axes.plot(epochs, [np.mean(by_epoch[e]) for e in epochs], color=colour, linewidth=1.5, label=label)
    if len(histories) > 1:
        low, high = [min(by_epoch[e]) for e in epochs], [max(by_epoch[e]) for e in epochs]
        axes.fill_between(epochs, low, high, color=colour, alpha=0.18, linewidth=0)
    if chosen:
        axes.plot(*zip(*chosen, strict=True), "o", color=colour, markersize=4)


def vector_map(metrics: Metrics, chart: Mapping[str, Any]) -> Figure:
    """Utterance vectors in two dimensions, and, of a model that has them, specific and invariant representations.

    ``chart``: what :func:`m4ser.scoring.vectors.chart` returns. Every group of points has the id
    ``points-<panel>-<kind>-<class>`` in an SVG, its points in the order of the utterances.
    """
    panels, ref = chart["panels"], np.array(chart["ref"])
    classes = sorted(set(chart["ref"]))
    size = (4.1 * len(panels) + 0.2, 4.6)
    figure, grid = plt.subplots(1, len(panels), figsize=size, layout="constrained", squeeze=False)
    for p, (axes, panel) in enumerate(zip(grid.flat, panels, strict=True)):
        several = len(panel["points"]) > 1
        for k, (kind, points) in enumerate(panel["points"].items()):
            for c in classes:
                marker, colour = MARKERS[(k if several else c) % len(MARKERS)], PALETTE[c % len(PALETTE)]
                dots = axes.scatter(
                    *np.asarray(points)[ref == c].T, s=14, marker=marker, color=colour, alpha=0.75, linewidths=0
                )
                dots.set_gid(f"points-{p}-{k}-{c}")
            if several:
                axes.scatter([], [], s=18, marker=MARKERS[k], color=GREY, label=kind)
        axes.set_title(panel["title"], fontsize=9)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(True)
        if several:
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, 0), ncols=3, fontsize=8, frameon=False)
    handles = [
        Line2D([], [], linestyle="", marker=MARKERS[c % len(MARKERS)], color=PALETTE[c % len(PALETTE)]) for c in classes
    ]
    names = [metrics["labels"][c] for c in classes]
    figure.legend(handles, names, loc="outside lower center", ncols=min(4, len(names)), fontsize=8, frameon=False)
    return _finish(figure, metrics, f"; {chart['of']}")


def comparison(table: Table) -> Figure:
    """UA and WA of each system with 95 % intervals, one line per system."""
    names = [str(row[0]) for row in table.rows]
    y = np.arange(len(names))[::-1]
    figure, axes = _axes(7, 1.4 + 0.45 * len(names))
    for k, (name, colour) in enumerate(COLOURS.items()):
        style = {"fmt": "o", "color": colour, "capsize": 3, "label": NAMES[name]}
        _intervals(axes, y + (0.5 - k) * 0.24, table.scores(name), across=True, **style)
    partial = [" (partial)" if score.partial else "" for score in table.scores("ua")]
    axes.set_yticks(y, [name + more for name, more in zip(names, partial, strict=True)])
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.set_xlabel(f"per cent (95 % CI); protocol {table.about['protocol']}, {table.about['partition']}")
    axes.grid(axis="x", alpha=0.3)
    figure.legend(loc="outside upper center", ncols=2, fontsize=8, frameon=False)
    return figure


def crossed(table: Table) -> Figure:
    """A score of crossed corpora as a heat map; bold: other speakers of a corpus that was trained on."""
    rows = [row for row in table.rows if any(isinstance(cell, Score) and cell.ci for cell in row)]
    names, columns = [str(row[0]) for row in rows], [column.name for column in table.columns[1:]]
    figure, axes = _axes(2.6 + 1.25 * len(columns) + 0.07 * max(map(len, names)), 1.6 + 0.7 * len(rows))
    values = np.full((len(rows), len(columns)), np.nan)
    for i, j in np.ndindex(*values.shape):
        if isinstance(cell := rows[i][j + 1], Score):
            values[i, j] = score = 100 * cell.value
            low, high = (100 * end for end in cell.ci or ())
            weight, colour = ("bold" if cell.bold else "normal"), ("white" if score > 60 else "black")
            text = f"{score:.1f}\n[{low:.0f}, {high:.0f}]"
            axes.text(j, i, text, ha="center", va="center", color=colour, fontsize=8, fontweight=weight)
    image = axes.imshow(values, cmap="Blues", vmin=0, vmax=100, aspect="auto")
    axes.set_xticks(range(len(columns)), columns, rotation=30, ha="right")
    axes.set_yticks(range(len(rows)), names)
    axes.set(xlabel="tested on", ylabel="trained on")
    partial = " (PARTIAL)" if table.about["partial"] else ""
    axes.set_title(f"{table.about['tag']}{partial}: {table.title}, per cent [95 % CI]", fontsize=10)
    figure.colorbar(image, ax=axes, shrink=0.9)
    return figure


def robustness(table: Table) -> Figure:
    """Scores of each system against the word error rate; bars: sd over seeds."""
    tables = [one for one in (table, *table.more) if not one.columns[0].name.startswith("Δ")]
    figure, panels = plt.subplots(1, len(tables), figsize=(11, 5.2), sharex=True, layout="constrained", squeeze=False)
    for axes, one in zip(panels[0], tables, strict=True):
        rates = [100 * score.value for score in one.scores("wer")]
        order = sorted(range(len(rates)), key=rates.__getitem__)
        wer = [rates[i] for i in order]
        for number, column in enumerate(one.columns[2:]):
            scores = [one.scores(column.name)[i] for i in order]
            axes.errorbar(
                wer,
                [100 * score.value for score in scores],
                yerr=[100 * (score.sd or 0.0) for score in scores],
                color=PALETTE[number % len(PALETTE)],
                marker=MARKERS[number % len(MARKERS)],
                linewidth=2.0 if column.name == table.about["reference"] else 1.0,
                markersize=5,
                capsize=2,
                label=column.name,
            )
        axes.set(ylabel=f"{one.columns[0].name.removesuffix(', text')}, %", xlabel="word error rate, %")
        axes.grid(alpha=0.3)
        ticks = _ticks(wer, [str(one.rows[i][0]).removesuffix(" (partial)") for i in order])
        axes.secondary_xaxis("top").set_xticks(list(ticks), list(ticks.values()), rotation=60, ha="left", fontsize=7)
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, fontsize=8, frameon=False)
    return figure


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
