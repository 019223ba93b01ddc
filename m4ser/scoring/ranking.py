"""How well systems rank, wherever their thresholds lie: area under the ROC curve (AUC).

Scores of answers (WA, UA, F1) also move with how readily a system answers the frequent class: two systems can differ in
weighted F1 and rank alike.
"""

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from m4ser.data.corpus import Corpus
from m4ser.scoring.evaluation import describe
from m4ser.scoring.intervals import MIN_CONDITIONS, RESAMPLES, clusters, mean_interval, percentiles, resampled
from m4ser.scoring.runs import Experiment, collect
from m4ser.scoring.table import Cell, Column, Score, Table, percent
from m4ser.training.metrics import macro_auc
from m4ser.utils.errors import UserError


def values(ref: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Macro AUC of each seed. Shape: ref (N,), probabilities (seeds, N, C) -> (seeds,)."""
    once = np.ones((1, len(ref)))
    return np.array([macro_auc(ref, answers, once)[0] for answers in probabilities])


def distribution(
    speakers: np.ndarray, ref: np.ndarray, probabilities: np.ndarray, resamples: int = RESAMPLES, seed: int = 0
) -> np.ndarray:
    """Macro AUC of resampled speakers, mean over seeds; the same ``seed`` draws the same speakers.

    Shape: speakers, ref (N,), probabilities (seeds, N, C) -> (resamples,).
    """
    index, _ = clusters(speakers)
    drawn = resampled(int(index.max()) + 1, resamples, seed)
    parts = [[macro_auc(ref, answers, weights[:, index]) for answers in probabilities] for weights in drawn]
    return np.concatenate([np.mean(part, axis=0) for part in parts])


def table(
    folders: Sequence[Path],
    corpus: Corpus,
    names: Sequence[str] = (),
    against: str = "",
    partition: str = "test",
    seeds: Sequence[str] | None = None,
    resamples: int = RESAMPLES,
) -> Table:
    """Macro AUC of several experiments; ``against`` is a tag: each is compared with the folder of this name beside it.

    A tag in several places gets the mean of its differences with two intervals: over other speakers, in all of its
    places at once, and over other places.

    Raises:
        UserError: an experiment or one of its runs is missing.
    """

    @functools.cache  # what others are compared with is read once
    def read(folder: Path) -> tuple[Experiment, np.ndarray, np.ndarray]:
        """Answers, macro AUC of each seed, and mean over seeds in resamples."""
        one = collect(folder, corpus, partition, seeds)
        if one.partial:
            seed, fold = one.missing[0]
            raise UserError(f"{folder}/fold{fold}/seed{seed}: is missing; run stages 4 and 5 for it")
        ref, probabilities = one.ref, one.probabilities
        return one, values(ref, probabilities), distribution(one.speakers, ref, probabilities, resamples)

    first, *_ = read(folders[0])
    frequent = int(np.bincount(first.ref).argmax())
    _, unit = clusters(first.speakers)
    rows: list[list[Cell]] = []
    differences: dict[str, list[tuple[float, np.ndarray]]] = {}  # of each tag's places: difference, in resamples
    for name, folder in zip(names or [folder.name for folder in folders], folders, strict=True):
        one, aucs, drawn = read(folder)
        spread = describe(aucs)
        row: list[Cell] = [name, Score(spread["mean"], spread["sd"], percentiles(drawn))]
        if against == folder.name:
            row.append("reference")
        elif against:
            _, theirs, theirs_drawn = read(folder.parent / against)
            difference, in_resamples = float(aucs.mean() - theirs.mean()), drawn - theirs_drawn
            differences.setdefault(folder.name, []).append((difference, in_resamples))
            row.append(Score(difference, ci=percentiles(in_resamples), difference=True))
        rows.append([*row, Score(float((one.hyp == frequent).mean()))])
    means = {tag: deltas for tag, deltas in differences.items() if len(deltas) >= MIN_CONDITIONS}
    for tag, deltas in means.items():
        mean, other_places = mean_interval([of_place for of_place, _ in deltas])
        resampled_ends = percentiles(np.mean([in_resamples for _, in_resamples in deltas], axis=0))
        for what, ends in ((f"{unit}s", resampled_ends), ("places", other_places)):
            cell = Score(mean, ci=ends, difference=True)
            rows.append([f"mean of {len(deltas)}, {tag}: other {what}", "", cell, ""])
    columns = [Column("system"), Column("macro AUC [95 % CI]", "auc")]
    columns += [Column(f"Δ to {against} [95 % CI]", "d_auc")] if against else []
    label, share = first.labels[frequent], percent((first.ref == frequent).mean())
    notes = [
        "AUC: area under the ROC curve of one class against the rest, mean over classes; 50 is chance.",
        f'Answers "{label}": how often the most frequent class is answered; it is {share} % of the references.',
        f"Interval: bootstrap over {unit}s"
        + (", that of a difference paired and not corrected for the number of rows." if against else "."),
    ]
    if means:
        notes.append(
            f"Mean of a tag's differences: for other {unit}s by the same bootstrap, all its places at once; for other "
            "places Student's interval over those that there are."
        )
    caption = (
        f"Protocol `{corpus.folds.protocol}`, {partition}, seeds {' '.join(first.seeds)}. Macro AUC in per cent, all "
        "folds pooled, mean over seeds (± sd where several)."
    )
    return Table([*columns, Column(f'answers "{label}"', "frequent")], rows, caption=caption, notes=notes)
