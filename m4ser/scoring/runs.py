"""The runs of one `exp/<tag>` read back: prediction files, checked against the corpus and the folds."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from m4ser.data.corpus import Corpus
from m4ser.models.description import PLAN
from m4ser.scoring.intervals import cluster_confusions, clusters
from m4ser.training.experiment import choose_folds
from m4ser.training.metrics import confusion
from m4ser.training.predictions import check_references, read_predictions
from m4ser.training.setup import read_run, shown
from m4ser.utils.cli import note
from m4ser.utils.errors import UserError

NOT_PREDICTED = -1


@dataclass(frozen=True)
class Answers:
    """What the models of several seeds say of some utterances; -1 where a run is missing.

    Shape: speakers, ref (N,); hyp (seeds, N).
    """

    labels: list[str]
    speakers: np.ndarray
    ref: np.ndarray
    hyp: np.ndarray

    def part(self, keep: np.ndarray) -> "Answers":
        """Some of the utterances, with the seeds that have predicted any of them. Shape: keep (N,)."""
        hyp = self.hyp[:, keep]
        return Answers(self.labels, self.speakers[keep], self.ref[keep], hyp[(hyp != NOT_PREDICTED).any(-1)])

    def confusions(self) -> np.ndarray:
        """One matrix for each seed. Shape: (seeds, C, C)."""
        known = self.hyp != NOT_PREDICTED
        pairs = zip(self.hyp, known, strict=True)
        return np.stack([confusion(self.ref[mask], hyp[mask], len(self.labels)) for hyp, mask in pairs])

    def cluster_confusions(self) -> tuple[np.ndarray, str]:
        """The same split into clusters, (seeds, clusters, C, C), and what a cluster is: speaker or utterance."""
        index, unit = clusters(self.speakers)
        return cluster_confusions(index, self.ref, self.hyp, len(self.labels)), unit


@dataclass(frozen=True)
class Experiment(Answers):
    """The answers of all folds and seeds on one partition, side by side.

    An item is an utterance in a fold (dev utterances may occur in several folds, test utterances may not).
    Shape: items, fold (N,); probabilities (seeds, N, C).
    """

    path: Path
    run: dict[str, Any]
    partition: str
    seeds: list[str]
    folds: list[str]
    missing: list[tuple[str, str]]  # (seed, fold)
    items: list[str]
    fold: np.ndarray
    probabilities: np.ndarray

    @property
    def tag(self) -> str:
        """Name of the experiment."""
        return str(self.run.get("tag") or self.path.name)

    @property
    def partial(self) -> bool:
        """Whether a run is missing."""
        return bool(self.missing)


def sort_key(name: str) -> tuple[int, int, str]:
    """Numbers by value, before other names."""
    return (0, int(name), "") if name.isdigit() else (1, 0, name)


def check_run(path: Path, run: dict[str, Any], corpus: Corpus) -> None:
    """An experiment belongs to one protocol and label set; numbers of two must never meet."""
    for key, ours in (("protocol", corpus.folds.protocol), ("labels", corpus.folds.labels)):
        if (theirs := run.get(key, ours)) != ours:
            raise UserError(
                f"{path / PLAN}: made with {key} '{shown(theirs)}', but {corpus.path / 'folds.json'} has "
                f"'{shown(ours)}'; results of different protocols are not comparable: score it with its own --data"
            )


def collect(
    path: str | Path,
    corpus: Corpus,
    partition: str = "test",
    seeds: Sequence[str] | None = None,
    folds: Sequence[str] | None = None,
    crossed: bool = False,
) -> Experiment:
    """Read all prediction files of `exp/<tag>`.

    Seeds default to those of `run.json`, else those found; folds to all of the protocol. A missing run is recorded
    and noted, a wrong one raises. Of `crossed` corpora folds may test the same utterances.

    Raises:
        UserError: no prediction file at all, a damaged one, other references than the corpus, another protocol, or a
            test utterance that occurs in two folds.
    """
    path = Path(path)
    if corpus.folds.trained_on and not crossed:
        raise UserError(f"{path}: crossed corpora have a table each (RESULTS.md); they are not compared here")
    if not path.is_dir():
        raise UserError(f"{path}: no such folder; run stage 4 first, or correct --exp")
    run = read_run(path / PLAN)
    check_run(path, run, corpus)
    files = {
        (file.parent.name.removeprefix("seed"), file.parent.parent.name.removeprefix("fold")): file
        for file in path.glob(f"fold*/seed*/predictions_{partition}.tsv")
    }
    if not files:
        raise UserError(f"{path}: has no fold*/seed*/predictions_{partition}.tsv; run the inference of stage 5 first")
    chosen_folds = choose_folds(corpus.folds, [str(fold) for fold in folds or ()])
    found_seeds = {seed for seed, _ in files}
    used = sorted({str(seed) for seed in seeds or run.get("seeds") or found_seeds}, key=sort_key)
    missing = [(seed, fold) for seed in used for fold in chosen_folds if (seed, fold) not in files]
    for seed, fold in missing:
        note(f"{path}/fold{fold}/seed{seed}: no predictions_{partition}.tsv; run stages 4 and 5 for it")
    for seed in sorted(found_seeds - set(used), key=sort_key):
        note(f"{path}: seed {seed} is there but not asked for and not used")
    if len(missing) == len(used) * len(chosen_folds):
        raise UserError(f"{path}: no predictions for the seeds and folds asked for; run stages 4 and 5 for them")
    missing += [(seed, fold) for seed in used for fold in corpus.folds.folds if fold not in chosen_folds]

    items, fold_of = _items(corpus, partition, chosen_folds, once=partition == "test" and not crossed)
    labels = corpus.folds.labels
    hyp = np.full((len(used), len(items)), NOT_PREDICTED)
    probabilities = np.full((len(used), len(items), len(labels)), np.nan)
    for (seed, name), file in files.items():
        if seed not in used or name not in chosen_folds:
            continue
        where = np.flatnonzero(fold_of == name)
        predictions = read_predictions(file, labels, [items[i] for i in where])
        check_references(file, predictions, corpus.emotion, corpus.speaker, corpus.path)
        order = {utt: i for i, utt in enumerate(predictions.utts)}
        source = [order[items[i]] for i in where]
        hyp[used.index(seed), where] = predictions.hyp[source]
        probabilities[used.index(seed), where] = predictions.probabilities[source]
    # a fold that no seed has predicted, and a seed that has predicted no fold, is missing and not zero
    some, active = (hyp != NOT_PREDICTED).any(0), (hyp != NOT_PREDICTED).any(1)
    kept = [items[i] for i in np.flatnonzero(some)]
    return Experiment(
        path=path,
        run=run,
        partition=partition,
        labels=list(labels),
        seeds=[used[i] for i in np.flatnonzero(active)],
        folds=[name for name in chosen_folds if name in fold_of[some]],
        missing=missing,
        items=kept,
        fold=fold_of[some],
        speakers=np.array([corpus.speaker[utt] for utt in kept]),
        ref=np.array([labels.index(corpus.emotion[utt]) for utt in kept]),
        hyp=hyp[np.ix_(active, some)],
        probabilities=probabilities[np.ix_(active, some)],
    )


def _items(corpus: Corpus, partition: str, folds: Sequence[str], once: bool) -> tuple[list[str], np.ndarray]:
    """Utterances of a partition, fold by fold, and the fold of each; ``once``: none may be in two of them."""
    pairs = [(utt, name) for name in folds for utt in getattr(corpus.folds.folds[name], partition)]
    pairs = [(utt, name) for utt, name in pairs if utt not in corpus.skipped]
    first: dict[str, str] = {}
    for utt, name in pairs if once else ():
        if first.setdefault(utt, name) != name:
            raise UserError(
                f"{corpus.path / 'folds.json'}: {utt} is tested in folds {first[utt]} and {name}, pooled results would "
                "count it twice; correct the folds in local/prepare.py"
            )
    return [utt for utt, _ in pairs], np.array([name for _, name in pairs])


def majority(experiment: Experiment, corpus: Corpus) -> Answers:
    """Answers of a system that always says the most frequent class of its fold's training part."""
    answers = np.full(len(experiment.items), NOT_PREDICTED)
    for name in experiment.folds:
        train = [corpus.emotion[utt] for utt in corpus.folds.folds[name].train if utt in corpus.emotion]
        counts = [train.count(label) for label in experiment.labels]
        answers[experiment.fold == name] = np.argmax(counts)
    return Answers(experiment.labels, experiment.speakers, experiment.ref, answers[None])
