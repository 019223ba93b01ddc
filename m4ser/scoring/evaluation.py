"""The scores of one experiment, a function of its prediction files alone: what `metrics.json` holds."""

from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import numpy as np
from rapidfuzz.distance import Levenshtein

from m4ser.asr.normalise import normaliser
from m4ser.data.corpus import Corpus
from m4ser.scoring.intervals import RESAMPLES, intervals
from m4ser.scoring.runs import NOT_PREDICTED, Answers, Experiment, majority
from m4ser.training.metrics import DEFINITIONS, NAMES, expected_calibration_error, from_confusion, per_class
from m4ser.training.result_files import Metrics, Pair, Pooled, Result, Spread
from m4ser.training.settings import NO_TEXT
from m4ser.training.setup import named_setup, trained_with
from m4ser.utils.errors import UserError
from m4ser.utils.files import rounded

WER_EDGES = (0.0, 0.2, 0.4, 0.6)  # bins: no error, then up to each edge, then more


def describe(values: Iterable[float]) -> Spread:
    """Mean and standard deviation (of a sample; none for one value)."""
    values = np.asarray(list(values), dtype=float)
    return {"mean": float(values.mean()), "sd": float(values.std(ddof=1)) if len(values) > 1 else None}


def pooled(answers: Answers, resamples: int = RESAMPLES) -> Pooled:
    """Mean and sd over seeds of each score, 95 % interval over speakers; how many utterances and speakers."""
    scores = from_confusion(answers.confusions())
    matrices, unit = answers.cluster_confusions()
    ends = intervals(matrices, resamples=resamples)
    measured = {name: {**describe(scores[name]), "ci": ends[name]} for name in NAMES}
    speakers = len(set(answers.speakers.tolist()))
    return cast(Pooled, {"utterances": len(answers.ref), "speakers": speakers, "resampled": unit, **measured})


def word_errors(
    experiment: Experiment, corpus: Corpus, asr_dir: str | Path, name: str
) -> tuple[np.ndarray, np.ndarray]:
    """Wrong words of each item's ASR text and words of its reference, after normalisation. Shape: twice (N,)."""
    asr_dir, normalise = Path(asr_dir), normaliser(name)
    texts = corpus.joined(asr_dir, "text", allow_empty=True)
    absent = set(experiment.items) - set(texts)
    if absent:
        raise UserError(
            f"{asr_dir}: has no text for {min(absent)}; run stage 2 with this ASR first, or correct --asr-dir"
        )
    if not corpus.text:
        raise UserError(f"{corpus.path}: has no reference transcripts (text) to compute a WER; leave out --asr-dir")
    pairs = [(normalise(corpus.text.get(utt, "")).split(), normalise(texts[utt]).split()) for utt in experiment.items]
    known = [bool(corpus.text.get(utt)) for utt in experiment.items]  # nobody has written down the others
    errors = np.array([Levenshtein.distance(*pair) for pair in pairs]) * known
    return errors, np.array([len(ref) for ref, _ in pairs])


def _wer_bins(errors: np.ndarray, words: np.ndarray) -> dict[str, np.ndarray]:
    """Masks by name; an utterance without reference words is in none."""
    rate = errors / np.maximum(words, 1)
    edges = [f"{100 * edge:.0f}" for edge in WER_EDGES]
    names = np.array(["0", *map("-".join, pairwise(edges)), f"> {edges[-1]}"])
    bins = names[np.searchsorted(WER_EDGES, rate)]
    return {name: mask for name in names.tolist() if (mask := (bins == name) & (words > 0)).any()}


def described(kind: str, experiment: Experiment, corpus: Corpus, resamples: int) -> Result:
    """What every `metrics.json` says of its experiment."""
    return {
        "kind": kind,
        "tag": experiment.tag,
        "partition": experiment.partition,
        "protocol": corpus.folds.protocol,
        "protocol_description": corpus.folds.description,
        "labels": experiment.labels,
        "seeds": experiment.seeds,
        "partial": experiment.partial,
        "missing": [{"seed": seed, "fold": fold} for seed, fold in experiment.missing],
        "definitions": DEFINITIONS,
        "ci": {"level": 0.95, "resamples": resamples},
        "setup": named_setup(experiment.run),
        "trained_with": trained_with(experiment.path, experiment.folds, experiment.seeds),
    }


def evaluate(
    experiment: Experiment,
    corpus: Corpus,
    asr_dir: str | Path | None = None,
    normalise: str = "english",
    comparison: Pair | None = None,
    resamples: int = RESAMPLES,
) -> Metrics:
    """Score one experiment.

    Raises:
        UserError: `asr_dir` lacks the text of a scored utterance.
    """
    labels, folds = experiment.labels, experiment.folds
    matrices = experiment.confusions()
    by_seed: dict[str, dict[Any, Any]] = {}
    for i, (seed, known) in enumerate(zip(experiment.seeds, experiment.hyp != NOT_PREDICTED, strict=True)):
        error = expected_calibration_error(experiment.ref[known], experiment.probabilities[i, known])
        by_seed[seed] = {"utterances": known.sum(), **from_confusion(matrices[i]), "calibration_error": error}
    by_fold: dict[str, dict[Any, Any]] = {}
    for name in folds:
        part = experiment.part(experiment.fold == name)
        scores = {metric: describe(values) for metric, values in from_confusion(part.confusions()).items()}
        by_fold[name] = {"utterances": len(part.ref), "speakers": sorted(set(part.speakers)), **scores}
    classes = {key: value.mean(0) for key, value in per_class(matrices).items()}
    domains = np.array([corpus.domain.get(utt, "") for utt in experiment.items])
    names = sorted(set(domains)) if corpus.domain else []
    by_domain = {domain: pooled(experiment.part(domains == domain), resamples) for domain in names}
    by_wer, wer = {}, None
    if asr_dir is not None:
        errors, words = word_errors(experiment, corpus, asr_dir, normalise)
        wer = {"wer": errors.sum() / max(words.sum(), 1), "words": int(words.sum()), "normaliser": normalise}
        by_wer = {
            name: pooled(experiment.part(mask), resamples) | {"wer": errors[mask].sum() / words[mask].sum()}
            for name, mask in _wer_bins(errors, words).items()
        }
    setup = named_setup(experiment.run)
    if asr_dir is not None and setup.get("asr", NO_TEXT) == NO_TEXT:  # no text was read, but its errors are counted
        setup["asr"] = Path(asr_dir).name
    result = {
        **described("metrics", experiment, corpus, resamples),
        "speaker_disjoint": corpus.folds.speaker_disjoint,
        "folds": folds,
        "skipped_recordings": len(corpus.skipped),
        "pooled": pooled(experiment, resamples=resamples),
        "over_folds": {name: describe(by_fold[fold][name]["mean"] for fold in folds) for name in NAMES},
        "per_seed": by_seed,
        "per_fold": by_fold,
        "per_class": {label: {key: value[i] for key, value in classes.items()} for i, label in enumerate(labels)},
        "confusion_summed_over_seeds": matrices.sum(0),
        "calibration_error": describe(value["calibration_error"] for value in by_seed.values()),
        "by_domain": by_domain,
        "asr_word_errors": wer,
        "by_wer": by_wer,
        "majority": from_confusion(majority(experiment, corpus).confusions()[0]),
        "setup": setup,
        "comparison": comparison,
    }
    return cast(Metrics, rounded(result))
