"""Figures of a result, drawn from tables and from what `metrics.json` holds.

A figure is a function that returns a matplotlib figure; :func:`save` makes a PNG of it, :func:`svg` text for a page.
"""

import io
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from m4ser.scoring.table import Score, Table
from m4ser.training.experiment import History
from m4ser.training.metrics import NAMES, Metric
from m4ser.training.result_files import Metrics, Pooled
from m4ser.utils.files import atomic_path

plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "figure.constrained_layout.use": True})
plt.rcParams.update({"figure.titlesize": 10, "legend.fontsize": 8, "legend.frameon": False, "errorbar.capsize": 3})
plt.rcParams["text.parse_math"] = False  # a `$` in somebody's file name is no formula
COLOURS: dict[Metric, str] = {"wa": "#4477aa", "ua": "#ee6677"}  # Paul Tol's bright scheme, for colour-blind readers
GREY = "#777777"
INK = "#010203"  # stands for the text colour of the page that a drawing is put into
# Of classes: told apart on white and on black; every class has a marker of its own as well.
PALETTE = ("#4477aa", "#ee6677", "#228833", "#b8860b", "#aa3377", "#2aa5b8", "#e07b39", "#8c6bb1", "#7f7f7f", "#a05a2c")
MARKERS = "o^sDvPX*<>"
BELOW: Final = "outside lower center"  # of the axes: a legend
MAX_SPEAKERS = 60  # more are drawn as a histogram
# Panels of the training figure: title, and what the legend calls a statistic of a phase.
CURVES = {
    "loss": {"train loss": "train", "valid loss": "dev"},
    "dev scores, %": {"valid ua": "UA", "valid wa": "WA", "valid macro_f1": "macro-F1"},
    "emotion loss": {"train loss_emotion": "train", "valid loss_emotion": "dev"},
    "dev error detection, F1": {f"valid aed_f1_{tag.lower()}": tag for tag in ("KEEP", "DELETE", "CHANGE")},
    "dev WER, %": {"valid wer_asr": "of the ASR", "valid wer_aec": "corrected"},
    "dev discriminator": {
        "valid disc_acc_speech": "right on speech",
        "valid disc_acc_text": "right on text",
        "valid disc_invariant": "on invariant (aim 0.5)",
    },
    "dev cosine in the contrastive space": {
        "valid cosine_same_class": "same class",
        "valid cosine_other_class": "other class",
    },
}


def save(figure: Figure, path: Path) -> str:
    """Write a figure as PNG; returns the name of the file."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150, metadata={"Software": None})
    plt.close(figure)
    return path.name


def illustrated(table: Table, out: Path, draw: Callable[[Table], Figure]) -> Table:
    """Draw OUT.png; the table with the name of that file."""
    return replace(table, figure=save(draw(table), out.with_name(f"{out.name}.png")))


def draw(metrics: Metrics, folder: Path, suffix: str = "") -> list[str]:
    """Draw the figures of one experiment into `folder`; returns their file names."""
    return [save(figure(metrics), folder / f"{name}{suffix}.png") for name, figure in of_result(metrics).items()]


def of_result(metrics: Metrics) -> dict[str, Callable[[Metrics], Figure]]:
    """Those figures that say something of an experiment, by name."""
    figures: dict[str, Callable[[Metrics], Figure]] = {"confusion": confusion}
    if len(metrics["per_fold"]) > 1:
        figures["per_fold"] = per_fold
    if metrics["by_wer"]:
        figures["wer_bins"] = wer_bins
    return figures


def svg(name: str, function: Callable[..., Figure], *args: Any) -> str:
    """A figure as an ``<svg>`` element that takes the text colour and font of its page and has no title of its own.

    ``name`` must be unique in the page: the element's ids start with it. The address of a point becomes its title,
    shown when it is pointed at.
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
    content = re.sub(r'<a xlink:href="([^"]*)"[^>]*>(.*?)</a>', r"<g><title>\1</title>\2</g>", content, flags=re.DOTALL)
    content = re.sub(r' id="(?:figure|axes|patch|line2d|text|legend|matplotlib|xtick|ytick)[^"]*"', "", content)
    content = re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{name}-", content)
    content = re.sub(r"font: ([^;\"']*?[\d.]+px)[^;\"]*", r"font: \1 sans-serif", content)
    content = re.sub(r' (?:d|x|y)="[^"]*"', lambda place: re.sub(r"(\.\d\d)\d+", r"\1", place[0]), content)
    content = re.sub(r"<svg [^>]*(viewBox=\"[^\"]*\")[^>]*>", r'<svg \1 role="img">', content, count=1)
    return content.replace(INK, "currentColor").replace("xlink:href", "href")


def _titled(figure: Figure, metrics: Metrics, more: str = "") -> Figure:
    partial = " (PARTIAL)" if metrics["partial"] else ""
    figure.suptitle(f"{metrics['tag']}, {metrics['partition']}{partial}{more}")
    return figure


def _measured(scores: Iterable[Score]) -> tuple[np.ndarray, np.ndarray]:
    """Scores in per cent and how far their 95 % intervals reach down and up. Shape: (N,), (2, N)."""
    mean, low, high = 100 * np.array([(score.value, *(score.ci or ())) for score in scores]).T
    return mean, np.clip([mean - low, high - mean], 0, None)


def _style(number: int) -> dict[str, Any]:
    return {"color": PALETTE[number % len(PALETTE)], "marker": MARKERS[number % len(MARKERS)]}


def _heat_map(
    shares: np.ndarray, texts: Mapping[tuple[int, int], str], size: tuple[float, float]
) -> tuple[Figure, Axes]:
    """Shares as colours, each with its text."""
    figure, axes = plt.subplots(figsize=size)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (i, j), text in texts.items():
        colour = "white" if shares[i, j] > 0.6 else "black"
        axes.text(j, i, text, ha="center", va="center", color=colour, fontsize=8)
    figure.colorbar(image, shrink=0.9, format=PercentFormatter(1, symbol=""))
    return figure, axes


def confusion(metrics: Metrics) -> Figure:
    """Row-normalised confusion matrix with per cent and counts."""
    labels, counts = metrics["labels"], np.array(metrics["confusion_summed_over_seeds"])
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    texts = {at: f"{100 * shares[at]:.0f}\n({n})" if n else "0" for at, n in np.ndenumerate(counts)}
    size = max(4.5, 1.2 + 0.72 * len(labels))
    figure, axes = _heat_map(shares, texts, (size + 0.9, size))
    axes.set_xticks(range(len(labels)), labels, rotation=45, ha="right")
    axes.set_yticks(range(len(labels)), labels)
    axes.set(xlabel="recognised", ylabel="reference", aspect="equal")
    summed = f", {len(metrics['seeds'])} seeds summed" if len(metrics["seeds"]) > 1 else ""
    return _titled(figure, metrics, f"\n% of the reference (count{summed})")


def per_fold(metrics: Metrics) -> Figure:
    """WA and UA of each fold, error bars over seeds; lines: pooled, majority class."""
    folds, several = metrics["per_fold"], len(metrics["seeds"]) > 1
    x = np.arange(len(folds))
    figure, axes = plt.subplots(figsize=(max(5.5, 1.8 + 0.7 * len(folds)), 4))
    for k, (name, colour) in enumerate(COLOURS.items()):
        mean, sd = 100 * np.array([(value[name]["mean"], value[name]["sd"] or 0) for value in folds.values()]).T
        spread = {"yerr": sd, "ecolor": plt.rcParams["text.color"]} if several else {}
        axes.bar(x + (k - 0.5) * 0.38, mean, 0.36, color=colour, label=NAMES[name], **spread)
        pooled = 100 * metrics["pooled"][name]["mean"]
        axes.axhline(pooled, color=colour, linestyle="--", linewidth=1, label=f"{NAMES[name]} pooled: {pooled:.1f}")
    majority = 100 * metrics["majority"]["ua"]
    axes.axhline(majority, color=GREY, linestyle=":", linewidth=1.2, label=f"UA of the majority class: {majority:.1f}")
    axes.set_xticks(x, folds)
    axes.set(xlabel="fold", ylabel="per cent", ylim=(0, 100))
    figure.legend(loc=BELOW, ncols=3)
    return _titled(figure, metrics)


def wer_bins(metrics: Metrics) -> Figure:
    """WA and UA against the word error rate of the utterance, with 95 % intervals."""
    bins, wer = metrics["by_wer"], metrics["asr_word_errors"]
    x = np.arange(len(bins))
    figure, axes = plt.subplots(figsize=(max(5.5, 1.6 + 1.05 * len(bins)), 4))
    for k, (name, colour) in enumerate(COLOURS.items()):
        mean, reach = _measured(Score.of(value[name]) for value in bins.values())
        axes.errorbar(x + (k - 0.5) * 0.12, mean, reach, color=colour, marker="o", label=NAMES[name])
    axes.set_xticks(x, [f"{name}\n(n={value['utterances']})" for name, value in bins.items()])
    axes.set(xlim=(-0.5, len(bins) - 0.5), ylim=(0, 100))
    axes.set(xlabel="WER of the utterance, %", ylabel="per cent (95 % CI)")
    axes.grid(axis="y", alpha=0.3)
    axes.legend()
    return _titled(figure, metrics, f"; {metrics['setup']['asr']}, WER {100 * wer['wer']:.1f} %" if wer else "")


def per_speaker(metrics: Metrics, speakers: Mapping[str, Pooled]) -> Figure:
    """UA of each speaker with its 95 % interval, best on top; of many speakers a histogram.

    ``speakers``: name to what :func:`m4ser.scoring.evaluation.pooled` says of the speaker's utterances.
    """
    pooled = 100 * metrics["pooled"]["ua"]["mean"]
    order = sorted(speakers, key=lambda name: (speakers[name]["ua"]["mean"], name))
    mean, reach = _measured(Score.of(speakers[name]["ua"]) for name in order)
    if len(order) > MAX_SPEAKERS:
        figure, axes = plt.subplots(figsize=(6.4, 3.6))
        axes.hist(mean, bins=list(range(0, 101, 5)), color=COLOURS["ua"])
        axes.set_ylabel("speakers")
    else:
        figure, axes = plt.subplots(figsize=(6.4, 1.3 + 0.21 * len(order)))
        bars = {"ecolor": plt.rcParams["text.color"], "error_kw": {"elinewidth": 1, "capsize": 2}}
        names = [f"{name} ({speakers[name]['utterances']})" for name in order]
        axes.barh(names, mean, 0.72, xerr=reach, color=COLOURS["ua"], alpha=0.75, **bars)
        axes.tick_params(axis="y", labelsize=8)
        axes.set_ylim(-0.6, len(order) - 0.4)
    axes.axvline(pooled, color=GREY, linestyle="--", linewidth=1, label=f"all speakers: {pooled:.1f}")
    axes.set(xlim=(0, 100), xlabel="UA of the speaker, % (utterances in brackets)")
    figure.legend(loc=BELOW)
    return _titled(figure, metrics)


def _by_epoch(histories: Iterable[History]) -> dict[str, dict[int, list[float]]]:
    """What the runs have of each statistic, named as in ``CURVES``, after each epoch."""
    values: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for history in histories:
        for epoch, phases in history["epochs"].items():
            for phase, statistics in phases.items():
                for name, value in statistics.items():
                    values[f"{phase} {name}"][int(epoch)].append(value)
    return values


def training_panels(histories: Sequence[History]) -> list[str]:
    """Titles in ``CURVES`` of which these runs have numbers."""
    kept = _by_epoch(histories).keys()
    return [title for title, curves in CURVES.items() if curves.keys() & kept]


def training(metrics: Metrics, histories: Sequence[History], panels: Sequence[str] = ()) -> Figure:
    """Curves over epochs: mean of the runs, shaded from the lowest to the highest; dots: each run's best epoch."""
    panels = panels or training_panels(histories)
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    size = (0.2 + 3.5 * columns, 0.3 + 2.4 * rows)
    figure, grid = plt.subplots(rows, columns, figsize=size, squeeze=False)
    for axes in grid.flat[len(panels) :]:
        axes.axis("off")
    for axes, title in zip(grid.flat, panels, strict=False):
        for (statistic, label), colour in zip(CURVES[title].items(), PALETTE, strict=False):
            _curve(axes, histories, statistic, 100 if "%" in title else 1, color=colour, label=label)
        axes.set_title(title, fontsize=9)
        axes.tick_params(labelsize=8)
        axes.grid(alpha=0.3)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_xlabel("epoch", fontsize=8)
        axes.legend(fontsize=7)
    return _titled(figure, metrics)


def _curve(axes: Axes, histories: Sequence[History], statistic: str, scale: float, color: str, label: str) -> None:
    by_epoch = {epoch: scale * np.array(values) for epoch, values in sorted(_by_epoch(histories)[statistic].items())}
    if not by_epoch:
        return
    axes.plot(list(by_epoch), [values.mean() for values in by_epoch.values()], color=color, linewidth=1.5, label=label)
    if len(histories) > 1:
        low, high = zip(*((values.min(), values.max()) for values in by_epoch.values()), strict=True)
        axes.fill_between(list(by_epoch), low, high, color=color, alpha=0.18, linewidth=0)
    if statistic.startswith("valid "):
        for history in histories:
            best = history["best_epoch"] or 0  # epochs count from 1
            for value in _by_epoch([history])[statistic][best]:
                axes.plot(best, scale * value, "o", color=color, markersize=4)


def vector_map(metrics: Metrics, chart: Mapping[str, Any]) -> Figure:
    """Utterance vectors in two dimensions, and, of a model that has them, specific and invariant representations.

    ``chart``: what :func:`m4ser.scoring.vectors.chart` returns. The address of a point says which utterance it is.
    """
    labels, panels, ref = metrics["labels"], chart["panels"], np.array(chart["ref"])
    classes = sorted(set(chart["ref"]))
    figure, grid = plt.subplots(1, len(panels), figsize=(4.1 * len(panels) + 0.2, 4.6), squeeze=False)
    for axes, panel in zip(grid.flat, panels, strict=True):
        several = len(panel["points"]) > 1
        for k, (representation, points) in enumerate(panel["points"].items()):
            for c in classes:
                style = _style(c) | ({"marker": MARKERS[k]} if several else {})
                dots = axes.scatter(*np.asarray(points)[ref == c].T, s=14, alpha=0.75, linewidths=0, **style)
                answers = [(chart["utts"][i], labels[chart["hyp"][i]]) for i in np.flatnonzero(ref == c)]
                wrong = [f", taken for {hyp}" if hyp != labels[c] else "" for _, hyp in answers]
                dots.set_urls(
                    [f"{utt}, {representation}: {labels[c]}{w}" for (utt, _), w in zip(answers, wrong, strict=True)]
                )
            if several:
                axes.scatter([], [], s=18, marker=MARKERS[k], color=GREY, label=representation)
        axes.set_title(panel["title"], fontsize=9)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(True)
        if several:
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, 0), ncols=3)
    handles = [Line2D([], [], linestyle="", label=labels[c], **_style(c)) for c in classes]
    figure.legend(handles=handles, loc=BELOW, ncols=min(4, len(classes)))
    return _titled(figure, metrics, f"; {chart['of']}")


def comparison(table: Table) -> Figure:
    """UA and WA of each system with 95 % intervals, one line per system."""
    names = [
        f"{row[0]}{' (partial)' * score.partial}" for row, score in zip(table.rows, table.scores("ua"), strict=True)
    ]
    y = np.arange(len(names))[::-1]
    figure, axes = plt.subplots(figsize=(7, 1.4 + 0.45 * len(names)))
    for k, (name, colour) in enumerate(COLOURS.items()):
        mean, reach = _measured(table.scores(name))
        axes.errorbar(mean, y + (0.5 - k) * 0.24, xerr=reach, fmt="o", color=colour, label=NAMES[name])
    axes.set_yticks(y, names)
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.set_xlabel(f"per cent (95 % CI); protocol {table.about['protocol']}, {table.about['partition']}")
    axes.grid(axis="x", alpha=0.3)
    figure.legend(loc="outside upper center", ncols=2)
    return figure


def crossed(table: Table) -> Figure:
    """A score of crossed corpora as a heat map; bold: other speakers of a corpus that was trained on."""
    rows = [row for row in table.rows if any(isinstance(cell, Score) and cell.ci for cell in row)]
    names, columns = [str(row[0]) for row in rows], [column.name for column in table.columns[1:]]
    cells = {(i, j): cell for i, row in enumerate(rows) for j, cell in enumerate(row[1:]) if isinstance(cell, Score)}
    shares = np.full((len(rows), len(columns)), np.nan)
    texts = {}
    for at, cell in cells.items():
        low, high = (100 * end for end in cell.ci or ())
        shares[at], texts[at] = cell.value, f"{100 * cell.value:.1f}\n[{low:.0f}, {high:.0f}]"
    size = (2.6 + 1.25 * len(columns) + 0.07 * max(map(len, names)), 1.6 + 0.7 * len(rows))
    figure, axes = _heat_map(shares, texts, size)
    for text, cell in zip(axes.texts, cells.values(), strict=True):
        text.set_fontweight("bold" if cell.bold else "normal")
    axes.set_xticks(range(len(columns)), columns, rotation=30, ha="right")
    axes.set_yticks(range(len(rows)), names)
    axes.set(xlabel="tested on", ylabel="trained on")
    partial = " (PARTIAL)" if table.about["partial"] else ""
    axes.set_title(f"{table.about['tag']}{partial}: {table.title}, per cent [95 % CI]", fontsize=10)
    return figure


def robustness(table: Table) -> Figure:
    """Scores of each system against the word error rate; bars: sd over seeds."""
    tables = [one for one in (table, *table.more) if not one.columns[0].name.startswith("Δ")]
    figure, panels = plt.subplots(1, len(tables), figsize=(11, 5.2), squeeze=False)
    for axes, one in zip(panels.flat, tables, strict=True):
        rates = np.array([100 * score.value for score in one.scores("wer")])
        order = np.argsort(rates, kind="stable")
        for number, column in enumerate(one.columns[2:]):
            mean, sd = 100 * np.array([(score.value, score.sd or 0) for score in one.scores(column.name)])[order].T
            width = 2 if column.name == table.about["reference"] else 1
            style = {"linewidth": width, "markersize": 5, "capsize": 2, "label": column.name, **_style(number)}
            axes.errorbar(rates[order], mean, sd, **style)
        axes.set(ylabel=f"{one.columns[0].name.removesuffix(', text')}, %", xlabel="word error rate, %")
        axes.grid(alpha=0.3)
        ticks = _ticks(rates[order].tolist(), [str(one.rows[i][0]).removesuffix(" (partial)") for i in order])
        axes.secondary_xaxis("top").set_xticks(list(ticks), list(ticks.values()), rotation=60, ha="left", fontsize=7)
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc=BELOW, ncols=5)
    return figure


def adaptation(table: Table) -> Figure:
    """UA against the number of examples for each label, a panel for each corpus; bars: 95 % interval over speakers."""
    keys = [key for key in list(table.keys()) if key == "adapted" or key.startswith("scratch_")]
    corpora = list(dict.fromkeys(str(row[0]) for row in table.rows))
    figure, panels = plt.subplots(1, len(corpora), figsize=(3.6 * len(corpora), 3.6), squeeze=False, sharey=True)
    for axes, corpus in zip(panels.flat, corpora, strict=True):
        rows = [dict(zip(table.keys(), row, strict=True)) for row in table.rows if row[0] == corpus]
        for number, key in enumerate(keys):
            cells = [row[key] for row in rows]
            scores = {place: cell for place, cell in enumerate(cells) if isinstance(cell, Score) and cell.ci}
            name = next(column.name for column in table.columns if (column.key or column.name) == key)
            label = name.removeprefix("UA ").removesuffix(" [95 % CI]")
            axes.errorbar(list(scores), *_measured(scores.values()), capsize=2, label=label, **_style(number))
        axes.set_xticks(range(len(rows)), [str(row["k"]) for row in rows])
        axes.set(title=corpus, xlabel="labelled utterances for each emotion")
        axes.grid(alpha=0.3)
    panels[0, 0].set(ylabel="UA, %")
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc=BELOW, ncols=len(keys))
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
