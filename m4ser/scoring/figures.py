"""Figures of a result, drawn from tables and from what `metrics.json` holds.

A figure is a function that returns a matplotlib figure; :func:`save` makes a PNG of it, :func:`svg` text for a page.
"""

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from m4ser.scoring.table import Score, Table
from m4ser.training.metrics import NAMES
from m4ser.training.result_files import Metrics
from m4ser.utils.files import atomic_path

plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False})
plt.rcParams["text.parse_math"] = False  # a `$` in somebody's file name is no formula
COLOURS = {"wa": "#4477aa", "ua": "#ee6677"}  # Paul Tol's bright scheme, distinct for colour-blind readers
GREY = "#777777"
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


INK = "#010203"  # stands for the text colour of the page that a drawing is put into


def save(figure: plt.Figure, path: Path) -> None:
    """Write a figure as PNG."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150, metadata={"Software": None})
    plt.close(figure)


def svg(name: str, function: Callable[..., plt.Figure], *args: Any) -> str:
    """A figure as an ``<svg>`` element that takes the text colour and font of its page and has no title of its own.

    ``name`` must be unique in the page: the element's ids start with it.
    """
    ink = dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK)
    fixed = {"svg.fonttype": "none", "svg.hashsalt": name}
    with plt.rc_context(ink | fixed):
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
    width, height = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', content).groups()
    content = re.sub(r"<svg [^>]*>", f'<svg viewBox="0 0 {width} {height}" role="img">', content, count=1)
    return content.replace(INK, "currentColor").replace("xlink:href", "href")


def _title(metrics: Metrics) -> str:
    return f"{metrics['tag']}, {metrics['partition']}" + (" (PARTIAL)" if metrics["partial"] else "")


def confusion(metrics: Metrics) -> plt.Figure:
    """Row-normalised confusion matrix with per cent and counts."""
    labels, counts = metrics["labels"], np.array(metrics["confusion_summed_over_seeds"])
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    size = max(4.5, 1.2 + 0.72 * len(labels))
    figure, axes = plt.subplots(figsize=(size + 0.9, size), layout="constrained")
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for i, j in np.ndindex(*counts.shape):
        colour = "white" if share[i, j] > 0.55 else "black"
        text = f"{100 * share[i, j]:.0f}\n({counts[i, j]})" if counts[i, j] else "0"
        axes.text(j, i, text, ha="center", va="center", color=colour, fontsize=8)
    axes.set_xticks(range(len(labels)), labels, rotation=45, ha="right")
    axes.set_yticks(range(len(labels)), labels)
    seeds = len(metrics["seeds"])
    axes.set_xlabel("recognised")
    axes.set_ylabel("reference")
    figure.suptitle(
        f"{_title(metrics)}\n% of the reference (count{f', {seeds} seeds summed' if seeds > 1 else ''})", fontsize=10
    )
    figure.colorbar(image, ax=axes, shrink=0.8, label="share of the reference class")
    return figure


def per_fold(metrics: Metrics) -> plt.Figure:
    """WA and UA of each fold, error bars over seeds; lines: pooled, majority class."""
    folds = metrics["per_fold"]
    x = np.arange(len(folds))
    figure, axes = plt.subplots(figsize=(max(5.5, 1.8 + 0.7 * len(folds)), 4), layout="constrained")
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
    axes.set_xlabel("fold")
    axes.set_ylabel("per cent")
    axes.set_ylim(0, 100)
    figure.suptitle(_title(metrics), fontsize=10)
    figure.legend(loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    return figure


def wer_bins(metrics: Metrics) -> plt.Figure:
    """WA and UA against the word error rate of the utterance, with 95 % intervals."""
    bins = metrics["by_wer"]
    x = np.arange(len(bins))
    figure, axes = plt.subplots(figsize=(max(5.5, 1.6 + 1.05 * len(bins)), 4), layout="constrained")
    for k, (name, colour) in enumerate(COLOURS.items()):
        mean = np.array([value[name]["mean"] for value in bins.values()])
        ends = np.array([value[name]["ci"] for value in bins.values()])
        reach = np.clip([mean - ends[:, 0], ends[:, 1] - mean], 0, None)
        axes.errorbar(
            x + (k - 0.5) * 0.12, 100 * mean, 100 * reach, color=colour, marker="o", capsize=3, label=NAMES[name]
        )
    axes.set_xticks(x, [f"{name}\n(n={value['utterances']})" for name, value in bins.items()])
    axes.set_xlim(-0.5, len(bins) - 0.5)
    axes.set_xlabel("WER of the utterance, %")
    axes.set_ylabel("per cent (95 % CI)")
    axes.set_ylim(0, 100)
    wer = metrics["asr_word_errors"]
    figure.suptitle(f"{_title(metrics)}; {metrics['setup']['asr']}, WER {100 * wer['wer']:.1f} %", fontsize=10)
    axes.grid(axis="y", alpha=0.3)
    axes.legend(fontsize=8, frameon=False)
    return figure


def per_speaker(metrics: Metrics, speakers: dict[str, dict[str, Any]]) -> plt.Figure:
    """UA of each speaker with its 95 % interval, best on top; of many speakers a histogram.

    ``speakers``: name to what :func:`m4ser.scoring.report.pooled` says of the speaker's utterances.
    """
    pooled = 100 * metrics["pooled"]["ua"]["mean"]
    mean = {name: 100 * value["ua"]["mean"] for name, value in speakers.items()}
    line = {"color": GREY, "linestyle": "--", "linewidth": 1, "label": f"all speakers: {pooled:.1f}"}
    if len(speakers) > MAX_SPEAKERS:
        figure, axes = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
        axes.hist(list(mean.values()), bins=np.arange(0, 101, 5), color=COLOURS["ua"])
        axes.axvline(pooled, **line)
        axes.set_ylabel("speakers")
    else:
        order = sorted(mean, key=lambda name: (mean[name], name))
        figure, axes = plt.subplots(figsize=(6.4, 1.3 + 0.21 * len(order)), layout="constrained")
        value = np.array([mean[name] for name in order])
        ends = 100 * np.array([speakers[name]["ua"]["ci"] for name in order])
        y = np.arange(len(order))
        axes.barh(y, value, 0.72, color=COLOURS["ua"], alpha=0.75)
        reach = np.clip([value - ends[:, 0], ends[:, 1] - value], 0, None)
        axes.errorbar(value, y, xerr=reach, fmt="none", ecolor=plt.rcParams["text.color"], elinewidth=1, capsize=2)
        axes.axvline(pooled, **line)
        axes.set_yticks(y, [f"{name} ({speakers[name]['utterances']})" for name in order], fontsize=8)
        axes.set_ylim(-0.6, len(order) - 0.4)
    axes.set_xlim(0, 100)
    axes.set_xlabel("UA of the speaker, % (utterances in brackets)")
    figure.suptitle(_title(metrics), fontsize=10)
    figure.legend(loc="outside lower center", fontsize=8, frameon=False)
    return figure


def training_panels(histories: list[dict[str, Any]]) -> list[str]:
    """Titles in ``CURVES`` of which these runs have numbers."""
    kept = {
        (phase, name)
        for history in histories
        for phases in history["epochs"].values()
        for phase, stats in phases.items()
        for name in stats
    }
    return [title for title, curves in CURVES.items() if any(curve[:2] in kept for curve in curves)]


def training(metrics: Metrics, histories: list[dict[str, Any]], panels: list[str] | None = None) -> plt.Figure:
    """Curves over epochs: mean of the runs, shaded from the lowest to the highest; dots: each run's best epoch."""
    panels = training_panels(histories) if panels is None else panels
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    size = (0.2 + 3.5 * columns, 0.3 + 2.4 * rows)
    figure, grid = plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)
    for axes in grid.flat[len(panels) :]:
        axes.axis("off")
    for axes, title in zip(grid.flat, panels, strict=False):
        scale = 100 if "%" in title else 1
        for (phase, name, label), colour in zip(CURVES[title], PALETTE, strict=False):
            _curve(axes, histories, phase, name, scale, colour, label)
        axes.set_title(title, fontsize=9)
        axes.tick_params(labelsize=8)
        axes.grid(alpha=0.3)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_xlabel("epoch", fontsize=8)
        axes.legend(fontsize=7, frameon=False)
    figure.suptitle(_title(metrics), fontsize=10)
    return figure


def _curve(axes: plt.Axes, histories: list, phase: str, name: str, scale: float, colour: str, label: str) -> None:
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
        low, high = ([end(by_epoch[e]) for e in epochs] for end in (min, max))
        axes.fill_between(epochs, low, high, color=colour, alpha=0.18, linewidth=0)
    if chosen:
        axes.plot(*zip(*chosen, strict=True), "o", color=colour, markersize=4)


def vector_map(metrics: Metrics, chart: dict[str, Any]) -> plt.Figure:
    """Utterance vectors in two dimensions, and, of a model that has them, specific and invariant representations.

    ``chart``: what :func:`m4ser.scoring.vectors.chart` returns. Every group of points has the id
    ``points-<panel>-<kind>-<class>`` in an SVG, its points in the order of the utterances.
    """
    labels, panels = metrics["labels"], chart["panels"]
    figure, grid = plt.subplots(
        1, len(panels), figsize=(4.1 * len(panels) + 0.2, 4.6), layout="constrained", squeeze=False
    )
    ref = np.array(chart["ref"])
    for p, (axes, panel) in enumerate(zip(grid.flat, panels, strict=True)):
        several = len(panel["points"]) > 1
        for k, (kind, points) in enumerate(panel["points"].items()):
            for c in sorted(set(ref)):
                at = np.asarray(points)[ref == c]
                marker = MARKERS[(k if several else c) % len(MARKERS)]
                dots = axes.scatter(
                    *at.T, s=14, marker=marker, color=PALETTE[c % len(PALETTE)], alpha=0.75, linewidths=0
                )
                dots.set_gid(f"points-{p}-{k}-{c}")
            if several:
                axes.scatter([], [], s=18, marker=MARKERS[k], color=GREY, label=kind)
        axes.set_title(panel["title"], fontsize=9)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_visible(True)
        if several:
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, 0), ncols=3, fontsize=8, frameon=False)
    handles = [
        plt.Line2D([], [], linestyle="", marker=MARKERS[c % len(MARKERS)], color=PALETTE[c % len(PALETTE)])
        for c in sorted(set(ref))
    ]
    names = [labels[c] for c in sorted(set(ref))]
    figure.legend(handles, names, loc="outside lower center", ncols=min(4, len(names)), fontsize=8, frameon=False)
    figure.suptitle(f"{_title(metrics)}; {chart['of']}", fontsize=10)
    return figure


def comparison(table: Table) -> plt.Figure:
    """UA and WA of each system with 95 % intervals, one line per system."""
    names = [str(row[0]) for row in table.rows]
    y = np.arange(len(names))[::-1]
    figure, axes = plt.subplots(figsize=(7, 1.4 + 0.45 * len(names)), layout="constrained")
    for k, (name, colour) in enumerate(COLOURS.items()):
        scores = [table.cell(row, name) for row in names]
        mean, ends = np.array([s.value for s in scores]), np.array([s.ci for s in scores])
        reach = np.clip([mean - ends[:, 0], ends[:, 1] - mean], 0, None)
        axes.errorbar(
            100 * mean, y + (0.5 - k) * 0.24, xerr=100 * reach, fmt="o", color=colour, capsize=3, label=NAMES[name]
        )
    partial = [s.partial for s in scores]
    axes.set_yticks(y, [name + (" (partial)" if one else "") for name, one in zip(names, partial, strict=True)])
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.set_xlabel(f"per cent (95 % CI); protocol {table.about['protocol']}, {table.about['partition']}")
    axes.grid(axis="x", alpha=0.3)
    figure.legend(loc="outside upper center", ncols=2, fontsize=8, frameon=False)
    return figure


def crossed(table: Table) -> plt.Figure:
    """A score of crossed corpora as a heat map; bold: other speakers of a corpus that was trained on."""
    rows = [row for row in table.rows if any(isinstance(cell, Score) and cell.ci for cell in row)]
    names, columns = [str(row[0]) for row in rows], [column.name for column in table.columns[1:]]
    size = (2.6 + 1.25 * len(columns) + 0.07 * max(map(len, names)), 1.6 + 0.7 * len(rows))
    figure, axes = plt.subplots(figsize=size, layout="constrained")
    values = np.full((len(rows), len(columns)), np.nan)
    for i, j in np.ndindex(*values.shape):
        if isinstance(cell := rows[i][j + 1], Score):
            values[i, j] = score = 100 * cell.value
            low, high = (100 * end for end in cell.ci)
            weight, colour = ("bold" if cell.bold else "normal"), ("white" if score > 60 else "black")
            text = f"{score:.1f}\n[{low:.0f}, {high:.0f}]"
            axes.text(j, i, text, ha="center", va="center", color=colour, fontsize=8, fontweight=weight)
    image = axes.imshow(values, cmap="Blues", vmin=0, vmax=100, aspect="auto")
    axes.set_xticks(range(len(columns)), columns, rotation=30, ha="right")
    axes.set_yticks(range(len(rows)), names)
    axes.set_xlabel("tested on")
    axes.set_ylabel("trained on")
    partial = " (PARTIAL)" if table.about["partial"] else ""
    axes.set_title(f"{table.about['tag']}{partial}: {table.title}, per cent [95 % CI]", fontsize=10)
    figure.colorbar(image, ax=axes, shrink=0.9)
    return figure


def robustness(table: Table) -> plt.Figure:
    """Scores of each system against the word error rate; bars: sd over seeds."""
    tables = [one for one in (table, *table.more) if not one.columns[0].name.startswith("Δ")]
    figure, panels = plt.subplots(1, len(tables), figsize=(11, 5.2), sharex=True, layout="constrained", squeeze=False)
    for axes, one in zip(panels[0], tables, strict=True):
        rows = sorted(one.rows, key=lambda row: row[1].value)
        wer = [100 * row[1].value for row in rows]
        for number, column in enumerate(one.columns[2:]):
            scores = [row[number + 2] for row in rows]
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
        axes.set_ylabel(f"{one.columns[0].name.removesuffix(', text')}, %")
        axes.set_xlabel("word error rate, %")
        axes.grid(alpha=0.3)
        top = axes.secondary_xaxis("top")
        ticks = _ticks(wer, [str(row[0]).removesuffix(" (partial)") for row in rows])
        top.set_xticks(list(ticks), list(ticks.values()), rotation=60, ha="left", fontsize=7)
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


def illustrated(table: Table, out: Path, draw: Callable[[Table], plt.Figure]) -> Table:
    """Draw OUT.png; the table with the name of that file."""
    path = out.with_name(f"{out.name}.png")
    save(draw(table), path)
    return replace(table, figure=path.name)


def draw(metrics: Metrics, folder: Path, suffix: str = "") -> list[str]:
    """Draw the figures of one experiment into `folder`; returns their file names."""
    figures = {f"confusion{suffix}.png": confusion}
    if len(metrics["per_fold"]) > 1:
        figures[f"per_fold{suffix}.png"] = per_fold
    if metrics["by_wer"]:
        figures[f"wer_bins{suffix}.png"] = wer_bins
    for name, function in figures.items():
        save(function(metrics), folder / name)
    return list(figures)
