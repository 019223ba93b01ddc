"""Figures of a result, drawn from the dictionaries that `metrics.json` and `comparison.json` hold."""

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from m4ser.files import atomic_path
from m4ser.scoring.metrics import NAMES

COLOURS = {"wa": "#4477aa", "ua": "#ee6677"}  # Paul Tol's bright scheme, distinct for colour-blind readers
GREY = "#777777"


def _save(figure: plt.Figure, path: Path) -> None:
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150, metadata={"Software": None})
    plt.close(figure)


def _title(metrics: dict[str, Any]) -> str:
    return f"{metrics['tag']}, {metrics['partition']}" + (" (PARTIAL)" if metrics["partial"] else "")


def confusion(metrics: dict[str, Any], path: Path) -> None:
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
    axes.set_title(
        f"{_title(metrics)}\n% of the reference (count{f', {seeds} seeds summed' if seeds > 1 else ''})", fontsize=10
    )
    figure.colorbar(image, ax=axes, shrink=0.8, label="share of the reference class")
    _save(figure, path)


def per_fold(metrics: dict[str, Any], path: Path) -> None:
    """WA and UA of each fold, error bars over seeds; lines: pooled, majority class."""
    folds = metrics["per_fold"]
    x = np.arange(len(folds))
    figure, axes = plt.subplots(figsize=(max(5.5, 1.8 + 0.7 * len(folds)), 4), layout="constrained")
    for k, (name, colour) in enumerate(COLOURS.items()):
        mean = [100 * value[name]["mean"] for value in folds.values()]
        sd = [100 * (value[name]["sd"] or 0) for value in folds.values()]
        several = len(metrics["seeds"]) > 1
        bars = {"yerr": sd, "capsize": 3} if several else {}
        axes.bar(x + (k - 0.5) * 0.38, mean, 0.36, color=colour, label=NAMES[name], **bars)
        pooled = 100 * metrics["pooled"][name]["mean"]
        axes.axhline(pooled, color=colour, linestyle="--", linewidth=1, label=f"{NAMES[name]} pooled: {pooled:.1f}")
    majority = 100 * metrics["majority"]["ua"]
    axes.axhline(majority, color=GREY, linestyle=":", linewidth=1.2, label=f"UA of the majority class: {majority:.1f}")
    axes.set_xticks(x, folds)
    axes.set_xlabel("fold")
    axes.set_ylabel("per cent")
    axes.set_ylim(0, 100)
    axes.set_title(_title(metrics), fontsize=10)
    figure.legend(loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    _save(figure, path)


def wer_bins(metrics: dict[str, Any], path: Path) -> None:
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
    axes.set_title(f"{_title(metrics)}; {metrics['setup']['asr']}, WER {100 * wer['wer']:.1f} %", fontsize=10)
    axes.grid(axis="y", alpha=0.3)
    axes.legend(fontsize=8, frameon=False)
    _save(figure, path)


def comparison(result: dict[str, Any], path: Path) -> None:
    """UA and WA of each system with 95 % intervals, one line per system."""
    rows = result["systems"]
    y = np.arange(len(rows))[::-1]
    figure, axes = plt.subplots(figsize=(7, 1.4 + 0.45 * len(rows)), layout="constrained")
    for k, (name, colour) in enumerate(COLOURS.items()):
        mean = np.array([row["pooled"][name]["mean"] for row in rows])
        ends = np.array([row["pooled"][name]["ci"] for row in rows])
        reach = np.clip([mean - ends[:, 0], ends[:, 1] - mean], 0, None)
        axes.errorbar(
            100 * mean, y + (0.5 - k) * 0.24, xerr=100 * reach, fmt="o", color=colour, capsize=3, label=NAMES[name]
        )
    axes.set_yticks(y, [row["system"] + (" (partial)" if row["partial"] else "") for row in rows])
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.set_xlabel(f"per cent (95 % CI); protocol {result['protocol']}, {result['partition']}")
    axes.grid(axis="x", alpha=0.3)
    figure.legend(loc="outside upper center", ncols=2, fontsize=8, frameon=False)
    _save(figure, path)


def draw(metrics: dict[str, Any], folder: Path, suffix: str = "") -> list[str]:
    """Draw the figures of one experiment into `folder`; returns their file names."""
    figures = {f"confusion{suffix}.png": confusion}
    if len(metrics["per_fold"]) > 1:
        figures[f"per_fold{suffix}.png"] = per_fold
    if metrics["by_wer"]:
        figures[f"wer_bins{suffix}.png"] = wer_bins
    for name, function in figures.items():
        function(metrics, folder / name)
    return list(figures)
