"""Systems on corpora that they were not trained on: scores beside chance, differences, calibration, confusions.

For each corpus the models count that were trained on most of the others. The temperatures of probabilities are fitted
to the dev part of a model's own training corpora, or to other corpora that models like it did not know: the corpus that
is tested has no say in either.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from m4ser.data.corpus import Corpus
from m4ser.data.folds import JOIN
from m4ser.models.arrays import softmax
from m4ser.scoring.crossed import side_by_side
from m4ser.scoring.evaluation import pooled
from m4ser.scoring.intervals import RESAMPLES
from m4ser.scoring.runs import NOT_PREDICTED, Answers, Experiment, collect
from m4ser.scoring.significance import PERMUTATIONS, holm, paired
from m4ser.scoring.table import Cell, Column, Row, Score, Table, columns, listed, percent
from m4ser.training.calibration import SMALLEST, fit_temperature
from m4ser.training.metrics import expected_calibration_error, per_class
from m4ser.training.result_files import Difference
from m4ser.training.setup import trained_text, trained_with
from m4ser.utils.errors import UserError

KIND = "left_out"


@dataclass(frozen=True)
class Case:
    """A corpus, what the models that are tested on it were trained on, and which of an experiment's items it is."""

    tested: str
    trained: str
    keep: np.ndarray


def cases(experiment: Experiment, corpus: Corpus) -> list[Case]:
    """One for each corpus that some models do not know.

    Raises:
        UserError: the corpora were not crossed.
    """
    if not corpus.folds.trained_on:
        raise UserError(f"{corpus.path / 'folds.json'}: is of one corpus; this table is for crossed ones")
    trained = np.array([corpus.folds.trained_on[fold] for fold in experiment.fold])
    tested = np.array([corpus.domain[utt] for utt in experiment.items])
    chosen = []
    for name in (name for name in corpus.folds.corpora if name in tested):
        rows = {row for row in trained[tested == name].tolist() if name not in row.split(JOIN)}
        if rows:
            row = max(sorted(rows), key=lambda row: len(row.split(JOIN)))
            chosen.append(Case(name, row, (tested == name) & (trained == row)))
    return chosen


def on_dev(experiment: Experiment, dev: Experiment, keep: np.ndarray) -> tuple[float, float]:
    """Temperature of dev and expected calibration error at it, means over the models of the items `keep`."""
    fitted = []
    for index, seed in enumerate(experiment.seeds):
        for fold in dict.fromkeys(experiment.fold[keep].tolist()):
            mine = keep & (experiment.fold == fold) & (experiment.hyp[index] != NOT_PREDICTED)
            dev_keep = (dev.fold == fold) & (dev.hyp[dev.seeds.index(seed)] != NOT_PREDICTED)
            if mine.any() and dev_keep.any():
                chosen = dev.probabilities[dev.seeds.index(seed), dev_keep]
                temperature = fit_temperature(_logits(chosen), dev.ref[dev_keep])
                scaled = softmax(_logits(experiment.probabilities[index, mine]), temperature)
                fitted.append((temperature, expected_calibration_error(experiment.ref[mine], scaled)))
    temperature, error = np.mean(fitted, axis=0).tolist()
    return temperature, error


def _models(experiment: Experiment, keep: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Logits and references of the items `keep`, of each seed that has predicted some."""
    known = [keep & (hyp != NOT_PREDICTED) for hyp in experiment.hyp]
    pairs = zip(experiment.probabilities, known, strict=True)
    return [(_logits(each[mine]), experiment.ref[mine]) for each, mine in pairs if mine.any()]


def _logits(probabilities: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(probabilities, SMALLEST))


def own_temperature(experiment: Experiment, keep: np.ndarray) -> float:
    """The temperature that fits the items `keep` best, geometric mean over seeds."""
    fitted = [fit_temperature(logits, ref) for logits, ref in _models(experiment, keep)]
    return float(np.exp(np.mean(np.log(fitted))))


def error_at(experiment: Experiment, keep: np.ndarray, temperature: float) -> float:
    """Expected calibration error of the items `keep` at a temperature, mean over seeds."""
    pairs = _models(experiment, keep)
    return float(np.mean([expected_calibration_error(ref, softmax(logits, temperature)) for logits, ref in pairs]))


def table(
    folders: Sequence[Path],
    corpus: Corpus,
    names: Sequence[str] = (),
    seeds: Sequence[str] | None = None,
    resamples: int = RESAMPLES,
    permutations: int = PERMUTATIONS,
) -> Table:
    """The first of `folders` is the system in question, the others are what it is compared with.

    Raises:
        UserError: the corpora were not crossed, or an experiment cannot be read (:func:`m4ser.scoring.runs.collect`).
    """
    experiments = [
        collect(folder, corpus, "test", None if index else seeds, crossed=True) for index, folder in enumerate(folders)
    ]
    names = list(names or (experiment.tag for experiment in experiments))
    first, dev = experiments[0], collect(folders[0], corpus, "dev", seeds, crossed=True)
    every_case = cases(first, corpus)
    first_answers = [side_by_side(first, case.keep) for case in every_case]
    others = {
        name: _answers(each, corpus, every_case, first_answers)
        for name, each in zip(names[1:], experiments[1:], strict=True)
    }
    tests = {
        (name, i): _test(first_answers[i], theirs[i], resamples, permutations)
        for name, theirs in others.items()
        for i in range(len(first_answers))
    }
    corrected = dict(zip(tests, holm([test["p"] for test in tests.values()]), strict=True))
    temperatures = [own_temperature(first, case.keep) for case in every_case]
    trained = {name for case in every_case for name in case.trained.split(JOIN)}
    rows: list[Row] = []
    for i, (case, answers) in enumerate(zip(every_case, first_answers, strict=True)):
        scores = pooled(answers, resamples)
        row: list[Cell] = [case.tested, case.trained, scores["utterances"], scores["speakers"]]
        row += [Score(1 / len(set(answers.ref.tolist()))), Score.of(scores["ua"])]
        for name, theirs in others.items():
            test = tests[name, i]
            difference = Score(test["difference"], None, test["ci"], test["p"], corrected[name, i], difference=True)
            row += [Score.of(pooled(theirs[i], resamples)["ua"]), difference]
        # What one can know of a corpus that nobody has seen: how sure models were of others that they did not know.
        elsewhere = [value for j, value in enumerate(temperatures) if j != i and every_case[j].tested in trained]
        other = float(np.exp(np.mean(np.log(elsewhere)))) if elsewhere else 1.0
        row += [error_at(first, case.keep, 1.0), *on_dev(first, dev, case.keep)]
        rows.append([*row, other, error_at(first, case.keep, other)])
    heads = [*columns("tested on", "trained on", "utterances", "speakers"), Column("chance", "chance")]
    heads.append(Column(f"UA {names[0]} [95 % CI]", "ua"))
    for name in others:
        heads += [Column(f"UA {name}", f"ua_{name}"), Column(f"Δ to {name} [95 % CI] p (Holm)", f"d_{name}")]
    heads += [Column("ECE", "ece", scale=100)]
    for name, key in (("dev", "dev"), ("other corpora", "others")):
        heads += [Column(f"T of {name}", f"temperature_{key}"), Column(f"ECE at it ({name})", f"ece_{key}", scale=100)]
    compared = (
        f"Δ: difference of {names[0]} to {listed(names[1:])} in points, paired bootstrap interval; p: permutation "
        f"test, corrected for {len(tests)} comparisons (Holm)."
    )
    notes = [
        "Every row: a corpus that the models of this row have not been trained on, all of its speakers.",
        compared if others else "",
        "Intervals resample speakers; of a corpus with fewer than five, utterances, and are then too narrow.",
        "ECE: expected calibration error on the corpus that is tested, per cent, mean over models. T: temperature. Of "
        "dev: the one that fits the dev speakers of the corpora trained on. Of other corpora: mean of those that fit "
        "what models say of corpora that they do not know, without the one that is tested.",
        trained_text(trained_with(first.path, first.folds, first.seeds)),
    ]
    caption = (
        f"Protocol `{corpus.folds.protocol}`, {len(first.labels)} classes ({', '.join(first.labels)}); seeds "
        f"{' '.join(first.seeds)}. UA in per cent, mean over seeds (± sd where several)."
    )
    more = [_confusion(case, answers) for case, answers in zip(every_case, first_answers, strict=True)]
    chosen = [value for value, case in zip(temperatures, every_case, strict=True) if case.tested in trained]
    shipped = float(np.exp(np.mean(np.log(chosen)))) if chosen else 1.0
    each = [
        {"tested": case.tested, "trained": case.trained, "ua": pooled(answers, resamples)["ua"]["mean"]}
        for case, answers in zip(every_case, first_answers, strict=True)
    ]
    about = {
        "kind": KIND,
        "protocol": corpus.folds.protocol,
        "labels": first.labels,
        "systems": names,
        "scores": each,
        "temperature": shipped,
    }
    return Table(heads, rows, caption=caption, notes=notes, more=more, about=about)


def _answers(
    other: Experiment, corpus: Corpus, every_case: Sequence[Case], first_answers: Sequence[Answers]
) -> list[Answers]:
    """What another system says of the same utterances, having been trained on the same corpora.

    Raises:
        UserError: it lacks a model or an utterance.
    """
    theirs = {(case.tested, case.trained): case for case in cases(other, corpus)}
    paired = []
    for case, mine in zip(every_case, first_answers, strict=True):
        if (case.tested, case.trained) not in theirs:
            raise UserError(
                f"{other.path}: has no model of {case.trained} that tests {case.tested}; run the same folds"
            )
        paired.append(side_by_side(other, theirs[case.tested, case.trained].keep))
        if not np.array_equal(paired[-1].ref, mine.ref):
            raise UserError(f"{other.path}: has other utterances of {case.tested}; score it on the same data")
    return paired


def _test(ours: Answers, theirs: Answers, resamples: int, permutations: int) -> Difference:
    """Paired difference of UA."""
    matrices = ours.cluster_confusions()[0], theirs.cluster_confusions()[0]
    return paired(*matrices, permutations, resamples)["ua"]


def _confusion(case: Case, answers: Answers) -> Table:
    """How often each class is taken for which, in per cent of its utterances; recall and precision."""
    matrix = answers.confusions().mean(0)
    share = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    precision = per_class(matrix)["precision"]
    said = [f"said {label}" for label in answers.labels]
    rows: list[Row] = [
        [label, round(float(total)), *(Score(float(value)) for value in values), Score(float(right))]
        for label, total, values, right in zip(answers.labels, matrix.sum(1), share, precision, strict=True)
        if total
    ]
    most = answers.labels[int(matrix.sum(0).argmax())]
    often = percent(float(matrix.sum(0).max() / matrix.sum()))
    title = f"{case.tested}, by the models of {case.trained}: what was said of each class, per cent"
    return Table(
        columns("is", "utterances", *said, "precision"), rows, title, notes=[f"Most often: {most}, {often} %."]
    )
