"""Are the parts of a representation what they are called? Measured on the test speakers of trained models.

Every number is a mean over an experiment's runs: of folds each counts as much as its test utterances do, of seeds all
alike. Intervals resample speakers: those of one fold are in no other, so one draw serves all models.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from m4ser.data.corpus import Corpus
from m4ser.models.description import PLAN
from m4ser.scoring import probes
from m4ser.scoring.evaluation import describe
from m4ser.scoring.intervals import RESAMPLES, cluster_confusions, clusters, distribution, percentiles, resampled
from m4ser.scoring.runs import check_run, sort_key
from m4ser.scoring.similarity import Statistic, average, cosine, larger_share, linear_cka, mean, movement, ratio
from m4ser.scoring.table import Score
from m4ser.training.experiment import HISTORY, History, choose_folds, parse_seeds, runs
from m4ser.training.metrics import from_confusion
from m4ser.training.setup import read_run
from m4ser.utils.errors import UserError
from m4ser.utils.files import read_json
from m4ser.utils.progress import track

if TYPE_CHECKING:
    from m4ser.training.states import Part, RunStates

SHUFFLES = 5
PARTS = ("speech", "text", "invariant")
OWN = {"speech": "voices", "text": "words", "invariant": "voices"}  # what a part's ratio has above the line
KINDS = ("pooled", "states")
ALONE = "plain_cka"  # is given without an interval
WHOLE = "all"  # the whole utterance vector
MISSING = -1
CURVES = ("disc", "grad_", "cka_")  # beginnings of the statistics that are followed over training
PHASES = ("train", "valid")
TOTAL = "grad_norm"  # of all losses and parameters
SPECIFIC = "disc_acc_specific"  # mean of the discriminator's accuracies on the two kinds of specific states


@dataclass(frozen=True)
class Value:
    """A number of each seed and, of the mean over seeds, its value in each resample (R,)."""

    seeds: Sequence[float]
    drawn: np.ndarray

    def score(self, plain: bool = False, difference: bool = False) -> Score | None:
        """As a cell; None where it could not be measured."""
        known = self.drawn[np.isfinite(self.drawn)]
        if not np.isfinite(self.seeds).all() or not len(known):
            return None
        spread = describe(self.seeds)
        return Score(spread["mean"], spread["sd"], percentiles(known), difference=difference, plain=plain)

    def minus(self, other: "Value") -> "Value":
        """Paired difference; of other seeds only the mean is compared."""
        if len(self.seeds) == len(other.seeds):
            seeds = [a - b for a, b in zip(self.seeds, other.seeds, strict=True)]
        else:
            seeds = [float(np.mean(self.seeds) - np.mean(other.seeds))]
        return Value(seeds, self.drawn - other.drawn)


@dataclass
class Measured:
    """The values of one experiment by name, see :func:`statistics` and :func:`answers`.

    ``curves``: by phase and statistic its epochs in each run; ``gradients`` of :func:`.generator_gradients`, mean over
    runs.
    """

    name: str
    items: list[tuple[str, str]]
    speakers: np.ndarray
    specific: bool
    parts: list[str]
    seeds: list[str]
    values: dict[str, Value] = field(default_factory=dict)
    curves: dict[str, list[list[float]]] = field(default_factory=dict)
    gradients: dict[str, float] = field(default_factory=dict)

    def cell(self, key: str, plain: bool = False, difference: bool = False) -> Score | None:
        """The score called ``key``, None if the model has nothing of the kind."""
        value = self.values.get(key)
        return None if value is None else value.score(plain, difference)


def statistics(states: "RunStates", speakers: np.ndarray) -> dict[str, Statistic]:
    """What can be said of one run's parts, by name, each as a statistic of its N utterances.

    ``right/KIND``: modality-specific states that a probe takes for what they are, of ``pooled`` ones or single
    ``states``; ``larger/KIND`` and ``speech_side/KIND``: where it puts the invariant ones, ``place/KIND``: between text
    (0) and speech (1), see :class:`.Sides`; ``positions/KIND``: the same as ``right`` for a probe trained on invariant
    positions that stem from one modality. ``voices/PART`` and ``words/PART``: how far a part moves when these are
    exchanged; ``ratio/PART``: its own over the other, of the invariant part voices over words. ``cka/PAIR``,
    ``plain_cka/PAIR``, ``cosine/PAIR``: similarity.
    """
    statistics: dict[str, Statistic] = {}
    parts, group = states.parts, probes.groups(speakers)
    if states.specific:
        for form in KINDS:
            pair = [_states(parts[name], form) for name in ("speech", "text")]
            invariant, owner = _states(parts["invariant"], form) if "invariant" in parts else (None, None)
            said = probes.sides(pair[0][0], pair[1][0], (pair[0][1], pair[1][1]), group, invariant, owner)
            statistics[f"right/{form}"] = mean(said.right)
            if said.speech is not None and said.place is not None:
                statistics |= {f"larger/{form}": larger_share(said.speech), f"speech_side/{form}": mean(said.speech)}
                statistics[f"place/{form}"] = mean(said.place)
            if "invariant_speech" in parts:
                pair = [_states(parts[f"invariant_{name}"], form) for name in ("speech", "text")]
                said = probes.sides(pair[0][0], pair[1][0], (pair[0][1], pair[1][1]), group)
                statistics[f"positions/{form}"] = mean(said.right)
    for name in _own(parts):
        part = parts[name]
        moved = {what: movement(part.pooled, getattr(part, what)) for what in ("voices", "words")}
        numerator = OWN[name]
        statistics |= {f"{what}/{name}": statistic for what, statistic in moved.items()}
        statistics[f"ratio/{name}"] = ratio(moved[numerator], moved["words" if numerator == "voices" else "voices"])
    for one, other in combinations(_own(parts), 2):
        x, y = parts[one].pooled, parts[other].pooled
        statistics[f"cka/{one}-{other}"] = linear_cka(x, y)
        statistics[f"plain_cka/{one}-{other}"] = linear_cka(x, y, debiased=False)
        if x.shape == y.shape:
            statistics[f"cosine/{one}-{other}"] = cosine(x, y)
    return statistics


def answers(
    states: "RunStates", speakers: np.ndarray, shuffles: int = SHUFFLES, seed: int = 0
) -> dict[str, np.ndarray]:
    """Emotions that are answered for N utterances, by name, each (answers, N).

    ``probe/PART``: by a probe of this part alone, ``probe/all`` of the utterance vector; ``model``; ``shuffled/PART``:
    by the model's classifier when this part of the utterance vector is that of another utterance, as often as there are
    ``shuffles``.
    """
    group, predictions = probes.groups(speakers), {"model": states.hyp[None]}
    vectors = {name: states.parts[name].pooled for name in _own(states.parts)} | {WHOLE: states.utterance}
    for name, vector in vectors.items():
        predictions[f"probe/{name}"] = probes.answers(vector, states.ref, group, vector, group)[None]
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(len(states.ref)) for _ in range(shuffles)]
    for name, place in states.places.items():
        rows = []
        for order in orders:
            mixed = states.utterance.copy()
            mixed[:, place] = states.utterance[order][:, place]
            rows.append(states.classify(mixed))
        predictions[f"shuffled/{name}"] = np.stack(rows)
    return predictions


def measure(
    folder: Path,
    corpus: Corpus,
    name: str = "",
    partition: str = "test",
    seeds: Sequence[str] = (),
    folds: Sequence[str] = (),
    resamples: int = RESAMPLES,
) -> Measured:
    """Measure all runs of one experiment.

    Raises:
        UserError: a run is missing, is of another protocol, or its dumps are gone.
    """
    from m4ser.training.gradients import generator_gradients  # with torch
    from m4ser.training.states import run_states

    plan = read_run(folder / PLAN)
    check_run(folder, plan, corpus)
    if corpus.folds.trained_on:
        raise UserError(f"{folder}: crossed corpora test the same speakers several times; give an experiment on one")
    known = sorted({path.name.removeprefix("seed") for path in folder.glob("fold*/seed*")}, key=sort_key)
    chosen = [str(seed) for seed in seeds or plan.get("seeds") or known]
    every = runs(folder, choose_folds(corpus.folds, list(folds)), parse_seeds(chosen))
    if missing := [run for run in every if not run.is_trained()]:
        raise UserError(f"{missing[0].folder}: is not trained; run stage 4 for it, or give --folds or --seeds")
    if not every:
        raise UserError(f"{folder}: has no runs; run stage 4 first")
    items: list[tuple[str, str]] = []
    seen: dict[str, np.ndarray] = {}
    said: dict[str, dict[str, dict[str, np.ndarray]]] = {}
    parts: dict[str, dict[str, list[tuple[np.ndarray, Statistic]]]] = {}
    gradients: dict[str, list[float]] = {}
    ref: list[int] = []
    for run in track(every, folder.name, len(every)):
        states, seed = run_states(run.folder, partition), str(run.seed)
        if run.fold not in seen:
            seen[run.fold] = len(items) + np.arange(len(states.utts))
            items += [(run.fold, utt) for utt in states.utts]
            ref += states.ref.tolist()
        if [utt for _, utt in (items[i] for i in seen[run.fold])] != states.utts:
            raise UserError(f"{run.folder / 'data'}: has other utterances than the other seeds; train it again")
        speakers = np.array([corpus.speaker[utt] for utt in states.utts])
        for key, statistic in statistics(states, speakers).items():
            parts.setdefault(key, {}).setdefault(seed, []).append((seen[run.fold], statistic))
        for key, rows in answers(states, speakers).items():
            said.setdefault(key, {}).setdefault(seed, {})[run.fold] = rows
        for key, value in generator_gradients(run.folder, partition).items():
            gradients.setdefault(key, []).append(value)
    measured = Measured(
        name or folder.name,
        items,
        np.array([corpus.speaker[utt] for _, utt in items]),
        states.specific,
        _own(states.parts),
        chosen,
        gradients={key: float(np.mean(values)) for key, values in gradients.items()},
    )
    index, _ = clusters(measured.speakers)
    for key, by_seed in parts.items():
        measured.values[key] = _value(list(by_seed.values()), index, 1 if key.startswith(ALONE) else resamples)
    place = index, np.array(ref), len(states.labels), resamples
    for key, rows_by_seed in said.items():
        measured.values[f"ua/{key}"] = _ua([_joined(rows, seen, len(items)) for rows in rows_by_seed.values()], *place)
    for key in [key for key in said if key.startswith("shuffled/")]:
        measured.values[f"change/{key.removeprefix('shuffled/')}"] = measured.values[f"ua/{key}"].minus(
            measured.values["ua/model"]
        )
    _follow(measured, [cast(History, read_json(path)) for r in every if (path := r.folder / HISTORY).exists()])
    return measured


def _own(parts: Mapping[str, "Part"]) -> list[str]:
    return [name for name in PARTS if name in parts]


def _states(part: "Part", form: str) -> tuple[np.ndarray, np.ndarray]:
    """States (S, D) of a part, and the utterances that they are of (S,)."""
    if form == "pooled" or part.states is None or part.owner is None:
        return part.pooled, np.arange(len(part.pooled))
    return part.states, part.owner


def _weights(index: np.ndarray, resamples: int) -> Iterator[np.ndarray]:
    """How often each utterance counts in resamples of clusters. Shape: index (N,) -> several (R, N)."""
    for drawn in resampled(int(index.max()) + 1, resamples, 0):
        yield drawn[:, index]


def _value(seeds: Sequence[list[tuple[np.ndarray, Statistic]]], index: np.ndarray, resamples: int) -> Value:
    once = np.ones((1, len(index)))
    values = [float(average(parts, once)[0]) for parts in seeds]
    drawn = [np.mean([average(parts, weights) for parts in seeds], axis=0) for weights in _weights(index, resamples)]
    return Value(values, np.concatenate(drawn))


def _ua(seeds: Sequence[np.ndarray], index: np.ndarray, ref: np.ndarray, classes: int, resamples: int) -> Value:
    """Unweighted accuracy, mean over the answers (answers, N) of each seed."""
    values = [float(from_confusion(cluster_confusions(index, ref, h, classes).sum(1))["ua"].mean()) for h in seeds]
    return Value(values, distribution(cluster_confusions(index, ref, np.concatenate(seeds), classes), resamples)["ua"])


def _joined(by_fold: Mapping[str, np.ndarray], seen: Mapping[str, np.ndarray], count: int) -> np.ndarray:
    """Answers of all folds side by side (answers, N)."""
    joined = np.full((len(next(iter(by_fold.values()))), count), MISSING)
    for fold, rows in by_fold.items():
        joined[:, seen[fold]] = rows
    return joined


def _follow(measured: Measured, histories: Sequence[History]) -> None:
    """Take the curves of discriminator and gradients from the histories of the runs, in training and on dev."""
    for history in histories:
        epochs = [phases for _, phases in sorted(history["epochs"].items(), key=lambda pair: int(pair[0]))]
        for phase in PHASES:
            rows = [phases.get(phase, {}) for phases in epochs]
            rows = [row | _specific(row) for row in rows]
            names = {name for name in rows[0] if name.startswith(CURVES)} if rows else set()
            if names == {TOTAL}:  # which every training has
                continue
            for name in sorted(names):
                if all(name in row for row in rows):
                    measured.curves.setdefault(f"{phase} {name}", []).append([row[name] for row in rows])


def _specific(row: Mapping[str, float]) -> dict[str, float]:
    if "disc_acc_speech" not in row or "disc_acc_text" not in row:
        return {}
    return {SPECIFIC: (row["disc_acc_speech"] + row["disc_acc_text"]) / 2}
