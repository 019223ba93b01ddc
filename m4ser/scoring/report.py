"""The result of one experiment: `metrics.json` for programs, `RESULTS.md` for people.

Both are functions of the prediction files alone: the same predictions give the same bytes but for the first line of
`RESULTS.md` and `made_by` in `metrics.json`, which hold the command and the date.
"""

from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from rapidfuzz.distance import Levenshtein

from m4ser.asr.normalise import normaliser
from m4ser.data.scp import read_scp
from m4ser.scoring import tables
from m4ser.scoring.bootstrap import MIN_SPEAKERS, RESAMPLES, intervals
from m4ser.scoring.experiment import Corpus, Experiment, majority, trained_with
from m4ser.training.experiment import NO_TEXT
from m4ser.training.metrics import (
    DEFINITIONS,
    NAMES,
    confusion,
    expected_calibration_error,
    from_confusion,
    per_class,
)
from m4ser.utils.errors import UserError
from m4ser.utils.files import atomic_write, write_json
from m4ser.utils.provenance import made_by

WER_EDGES = (0.0, 0.2, 0.4, 0.6)  # bins: no error, then up to each edge, then more
SETUP = {
    "fusion": "fusion",
    "objectives": "objectives",
    "speech_encoder": "speech encoder",
    "text_encoder": "text encoder",
    "text_source": "text",
    "asr": "ASR",
    "config": "configuration",
}


def describe(values: Iterable[float]) -> dict[str, float | None]:
    """Mean and standard deviation (of a sample; none for one value)."""
    values = np.asarray(list(values), dtype=float)
    return {"mean": float(values.mean()), "sd": float(values.std(ddof=1)) if len(values) > 1 else None}


def pooled(experiment: Experiment, keep: np.ndarray | None = None, resamples: int = RESAMPLES) -> dict[str, Any]:
    """Scores of some items: mean and sd over seeds, 95 % interval over speakers; how many utterances and speakers."""
    keep = experiment.everything() if keep is None else keep
    scores = from_confusion(experiment.confusions(keep))
    matrices, unit = experiment.cluster_confusions(keep)
    ends = intervals(matrices, resamples=resamples)
    return {
        "utterances": int(keep.sum()),
        "speakers": len(set(experiment.speakers[keep])),
        "resampled": unit,
        **{name: {**describe(scores[name]), "ci": ends[name]} for name in NAMES},
    }


def word_errors(
    experiment: Experiment, corpus: Corpus, asr_dir: str | Path, name: str
) -> tuple[np.ndarray, np.ndarray]:
    """Wrong words of each item's ASR text and words of its reference, after normalisation. Shape: twice (N,)."""
    asr_dir, normalise = Path(asr_dir), normaliser(name)
    texts: dict[str, str] = {}
    for part in corpus.folds.sets:
        if (asr_dir / part / "text").exists():
            texts.update(read_scp(asr_dir / part / "text", allow_empty=True))
    absent = set(experiment.items) - set(texts)
    if absent:
        raise UserError(
            f"{asr_dir}: has no text for {min(absent)}; run stage 2 with this ASR first, or correct --asr-dir"
        )
    if not corpus.text:
        raise UserError(f"{corpus.path}: has no reference transcripts (text) to compute a WER; leave out --asr-dir")
    pairs = [(normalise(corpus.text.get(utt, "")).split(), normalise(texts[utt]).split()) for utt in experiment.items]
    known = [bool(corpus.text.get(utt)) for utt in experiment.items]  # nobody has written down the others
    errors = [Levenshtein.distance(*pair) if there else 0 for pair, there in zip(pairs, known, strict=True)]
    return np.array(errors), np.array([len(ref) for ref, _ in pairs])


def _wer_bins(errors: np.ndarray, words: np.ndarray) -> dict[str, np.ndarray]:
    """Masks by name; an utterance without reference words is in none."""
    rate = errors / np.maximum(words, 1)
    bins = {"0": rate == 0}
    for low, high in pairwise(WER_EDGES):
        bins[f"{100 * low:.0f}-{100 * high:.0f}"] = (rate > low) & (rate <= high)
    bins[f"> {100 * WER_EDGES[-1]:.0f}"] = rate > WER_EDGES[-1]
    return {name: mask & (words > 0) for name, mask in bins.items() if (mask & (words > 0)).any()}


def rounded(value: Any) -> Any:
    """Plain Python values for JSON, six decimals: the last bits may differ between machines."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(key): rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    return round(value, 6) if isinstance(value, float) else value


def evaluate(
    experiment: Experiment,
    corpus: Corpus,
    asr_dir: str | Path | None = None,
    normalise: str = "english",
    comparison: dict[str, Any] | None = None,
    resamples: int = RESAMPLES,
) -> dict[str, Any]:
    """All that `metrics.json` holds; scores are fractions of one.

    Raises:
        UserError: `asr_dir` lacks the text of a scored utterance.
    """
    labels, folds = experiment.labels, experiment.folds
    by_seed = {}
    for seed, hyp, probabilities in zip(experiment.seeds, experiment.hyp, experiment.probabilities, strict=True):
        known = hyp >= 0
        scores = from_confusion(confusion(experiment.ref[known], hyp[known], len(labels)))
        error = expected_calibration_error(experiment.ref[known], probabilities[known])
        by_seed[seed] = {"utterances": int(known.sum()), **scores, "calibration_error": error}
    by_fold = {}
    for name in folds:
        keep = experiment.fold == name
        scores = from_confusion(experiment.confusions(keep))
        counts = {"utterances": int(keep.sum()), "speakers": sorted(set(experiment.speakers[keep]))}
        by_fold[name] = {**counts, **{metric: describe(scores[metric]) for metric in NAMES}}
    matrices = experiment.confusions()
    classes = {key: value.mean(0) for key, value in per_class(matrices).items()}
    domains = np.array([corpus.domain.get(utt, "") for utt in experiment.items])
    by_domain = {
        domain: pooled(experiment, domains == domain, resamples) for domain in sorted(set(domains)) if corpus.domain
    }
    by_wer, wer = {}, None
    if asr_dir is not None:
        errors, words = word_errors(experiment, corpus, asr_dir, normalise)
        wer = {"wer": errors.sum() / max(words.sum(), 1), "words": int(words.sum()), "normaliser": normalise}
        by_wer = {
            name: pooled(experiment, mask, resamples) | {"wer": errors[mask].sum() / words[mask].sum()}
            for name, mask in _wer_bins(errors, words).items()
        }
    answers = majority(experiment, corpus)[0]
    setup = {key: experiment.run[key] for key in SETUP if experiment.run.get(key) not in (None, "", {}, [])}
    if asr_dir is not None and setup.get("asr", NO_TEXT) == NO_TEXT:  # no text was read, but its errors are counted
        setup["asr"] = Path(asr_dir).name
    result = {
        "kind": "metrics",
        "tag": experiment.tag,
        "partition": experiment.partition,
        "protocol": corpus.folds.protocol,
        "protocol_description": corpus.folds.description,
        "speaker_disjoint": corpus.folds.speaker_disjoint,
        "labels": labels,
        "seeds": experiment.seeds,
        "folds": folds,
        "partial": experiment.partial,
        "missing": [{"seed": seed, "fold": fold} for seed, fold in experiment.missing],
        "skipped_recordings": len(corpus.skipped),
        "definitions": DEFINITIONS,
        "ci": {"level": 0.95, "resamples": resamples},
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
        "majority": from_confusion(confusion(experiment.ref, answers, len(labels))),
        "setup": setup,
        "trained_with": trained_with(experiment.path, experiment.folds, experiment.seeds),
        "comparison": comparison,
    }
    return rounded(result)


def partial_line(metrics: dict[str, Any]) -> str:
    """What is missing, as one Markdown line; empty if nothing is."""
    if not metrics["partial"]:
        return ""
    lacking: dict[str, list[str]] = {}
    for run in metrics["missing"]:
        lacking.setdefault(run["seed"], []).append(run["fold"])
    runs = "; ".join(f"seed {seed}: {tables.count(len(f), 'fold')} {' '.join(f)}" for seed, f in lacking.items())
    return f"**PARTIAL, not the result of the protocol.** Missing: {runs}.\n\n"


def setup_line(metrics: dict[str, Any]) -> str:
    """Protocol, data, models and seeds in one paragraph."""
    setup, wer, data = metrics["setup"], metrics["asr_word_errors"], metrics["pooled"]
    parts = [
        f"Protocol `{metrics['protocol']}`, {metrics['partition']}: {tables.count(data['utterances'], 'utterance')} of "
        f"{tables.count(data['speakers'], 'speaker')}, {len(metrics['labels'])} classes, "
        f"{tables.count(len(metrics['folds']), 'fold')}, seeds {' '.join(metrics['seeds'])}"
    ]
    parts += [f"{SETUP[key]} {shown(setup[key])}" for key in SETUP if key in setup]
    if wer:
        parts.append(f"WER {tables.percent(wer['wer'])} % ({wer['normaliser']} normaliser)")
    return "; ".join(parts) + ".\n"


def trained_lines(trained: dict[str, list[str]]) -> list[str]:
    """Which code trained the runs, as one line; none if that is not known."""
    found = ", ".join(f"{key} {' '.join(values)}" for key, values in trained.items())
    return [f"Trained with {found}."] if found else []


def shown(value: Any) -> str:
    """A configuration value as plain text."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {shown(item)}" for key, item in value.items())
    if isinstance(value, list):
        return " ".join(str(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def summary(metrics: dict[str, Any]) -> str:
    """The headline table with what is needed to read it."""
    data, folds, seeds = metrics["pooled"], len(metrics["folds"]), len(metrics["seeds"])
    rows = [
        ["pooled" + (" ± sd over seeds" if seeds > 1 else ""), *(_mean_sd(data[name]) for name in NAMES)],
        ["95 % confidence interval", *(tables.interval(data[name]["ci"]) for name in NAMES)],
    ]
    if folds > 1:
        rows.append(["mean ± sd over folds", *(_mean_sd(metrics["over_folds"][name]) for name in NAMES)])
    rows.append(["majority class", *(tables.percent(metrics["majority"][name]) for name in NAMES)])
    unit = f"{data['resampled']}s are resampled"
    if data["resampled"] == "utterance":
        unit += f" because {tables.count(data['speakers'], 'speaker')} are too few, so the interval is too narrow"
    return (
        partial_line(metrics)
        + tables.table([f"{metrics['tag']}, per cent", *NAMES.values()], rows)
        + f"\n{setup_line(metrics)}Confidence interval: bootstrap, {unit}.\n"
    )


def _mean_sd(value: dict[str, Any]) -> str:
    return tables.plus_minus(value["mean"], value["sd"])


def _subsets(title: str, subsets: dict[str, dict[str, Any]]) -> str:
    """Table of WA and UA, with intervals, of parts of the data."""
    rows = []
    for name, value in subsets.items():
        scores = [f"{_mean_sd(value[key])} {tables.interval(value[key]['ci'])}" for key in ("wa", "ua")]
        rows.append(
            [name, value["utterances"], *scores, *(_mean_sd(value[key]) for key in ("macro_f1", "weighted_f1"))]
        )
    header = [title, "utterances", "WA [95 % CI]", "UA [95 % CI]", "macro-F1", "weighted F1"]
    few = [name for name, value in subsets.items() if value["resampled"] == "utterance"]
    note = f"\nFewer than {MIN_SPEAKERS} speakers, so utterances are resampled: {', '.join(few)}.\n" if few else ""
    return tables.table(header, rows) + note


def comparison_text(comparison: dict[str, Any]) -> str:
    """A paired comparison as a table and the sentence that says how it was made."""
    rows = [
        [NAMES[name], tables.signed(value["difference"]), tables.interval(value["ci"]), tables.p_value(value["p"])]
        for name, value in comparison["scores"].items()
    ]
    units = tables.count(comparison["clusters"], comparison["resampled"])
    text = (
        tables.table([f"difference to {comparison['reference']}", "points", "95 % CI", "p"], rows)
        + f"\nOn {tables.count(comparison['utterances'], 'utterance')} that both have predicted. p: permutation test "
        f"that swaps the two systems' answers by {comparison['resampled']} ({units}; smallest possible p "
        f"{comparison['smallest_p']:.2g}); CI: paired bootstrap.\n"
    )
    if mcnemar := comparison.get("mcnemar"):
        text += (
            f"McNemar's exact test, which takes utterances as independent: {mcnemar['only_first_right']} right "
            f"only here, {mcnemar['only_second_right']} only there, p {tables.p_value(mcnemar['p'])}.\n"
        )
    return text


def markdown(metrics: dict[str, Any], figures: Iterable[str] = ()) -> str:
    """The body of `RESULTS.md`."""
    labels, several = metrics["labels"], len(metrics["seeds"]) > 1
    sections = [f"# {metrics['tag']}\n\n{summary(metrics)}\n{metrics['definitions']}\n"]
    if metrics["protocol_description"]:
        sections.append(f"Protocol: {metrics['protocol_description']}\n")
    if not metrics["speaker_disjoint"]:
        sections.append("This protocol shares speakers between training and test.\n")
    if metrics["skipped_recordings"]:
        sections.append(f"{tables.count(metrics['skipped_recordings'], 'unusable recording')} left out.\n")
    if metrics["comparison"]:
        sections.append("## Comparison\n\n" + comparison_text(metrics["comparison"]))
    rows = [
        [label, f"{value['references']:.0f}", *(tables.percent(value[key]) for key in ("recall", "precision", "f1"))]
        for label, value in metrics["per_class"].items()
    ]
    mean = " (mean over seeds)" if several else ""
    sections.append(f"## Classes{mean}\n\n" + tables.table(["class", "utterances", "recall", "precision", "F1"], rows))
    rows = [[f"**{labels[i]}**", *row] for i, row in enumerate(metrics["confusion_summed_over_seeds"])]
    counted = f"summed over {len(metrics['seeds'])} seeds" if several else "utterances"
    sections.append(f"## Confusion ({counted}; rows: reference)\n\n" + tables.table(["", *labels], rows))
    rows = []
    for name, value in metrics["per_fold"].items():
        speakers = value["speakers"]
        who = " ".join(speakers) if len(speakers) <= 8 else len(speakers)
        rows.append([name, who, value["utterances"], *(_mean_sd(value[key]) for key in NAMES)])
    sections.append("## Folds\n\n" + tables.table(["fold", "speakers", "utterances", *NAMES.values()], rows))
    rows = [
        [seed, *(tables.percent(value[key]) for key in [*NAMES, "calibration_error"])]
        for seed, value in metrics["per_seed"].items()
    ]
    header = ["seed", *NAMES.values(), "calibration error"]
    sections.append("## Seeds (folds pooled)\n\n" + tables.table(header, rows))
    if metrics["by_domain"]:
        sections.append("## Domains\n\n" + _subsets("domain", metrics["by_domain"]))
    if metrics["by_wer"]:
        sections.append("## ASR errors\n\n" + _subsets("WER of the utterance, %", metrics["by_wer"]))
    sections += [f"{line}\n" for line in trained_lines(metrics["trained_with"])]
    if figures := list(figures):
        sections.append("## Figures\n\n" + "\n".join(f"![{Path(name).stem}]({name})\n" for name in figures))
    return "\n".join(sections)


def header_line(maker: dict[str, str]) -> str:
    """First line of a generated text: who made it, not to be edited."""
    version = ", ".join([f"m4ser {maker['m4ser']}", f"git {maker['git']}", *filter(None, [maker.get("date")])])
    return f"> Made by `{maker['command']}` ({version}); do not edit.\n\n"


def write_markdown(path: str | Path, body: str, made: dict[str, str] | None = None) -> None:
    """Write a generated Markdown file, headed by the command that made it."""
    with atomic_write(path) as file:
        file.write(header_line(made or made_by()) + body)


def write_table(out: Path, body: str, result: dict[str, Any], made: dict[str, str] | None = None) -> None:
    """Write OUT.md with ``body`` and OUT.json with ``result``, both with the command that made them; print ``body``."""
    made = made or made_by()
    write_markdown(out.with_name(f"{out.name}.md"), body, made)
    write_json(out.with_name(f"{out.name}.json"), {**result, "made_by": made})
    print(body)
