"""The result of one experiment for people: `RESULTS.md`, from what `metrics.json` holds.

The same predictions give the same bytes but for the lines on top, which have the command and the date.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from m4ser.data.corpus import Corpus
from m4ser.scoring.evaluation import evaluate
from m4ser.scoring.intervals import MIN_SPEAKERS, RESAMPLES
from m4ser.scoring.runs import collect
from m4ser.scoring.significance import pair
from m4ser.scoring.table import Column, Row, Score, Table, columns, count, interval, p_value, percent, protocol_text
from m4ser.training.metrics import NAMES, Metric
from m4ser.training.result_files import Metrics, Pair, Pooled
from m4ser.training.setup import setup_text, trained_text
from m4ser.utils.files import write_json, write_markdown

F1: tuple[Metric, ...] = ("macro_f1", "weighted_f1")


def partial_line(missing: Sequence[Mapping[str, str]]) -> str:
    """Which runs are missing, as one line of Markdown; empty if none is."""
    lacking: dict[str, list[str]] = {}
    for run in missing:
        lacking.setdefault(run["seed"], []).append(run["fold"])
    runs = "; ".join(f"seed {seed}: {count(len(f), 'fold')} {' '.join(f)}" for seed, f in lacking.items())
    return f"**PARTIAL, not the result of the protocol.** Missing: {runs}. " if runs else ""


def headline(metrics: Metrics) -> Table:
    """Pooled scores, intervals, spread over folds and the majority class, with what is needed to read them."""
    data, folds, seeds = metrics["pooled"], metrics["folds"], metrics["seeds"]
    rows: list[Row] = [
        ["pooled" + (" ± sd over seeds" if len(seeds) > 1 else ""), *_spreads(data)],
        ["95 % confidence interval", *(interval(data[name]["ci"]) for name in NAMES)],
    ]
    if len(folds) > 1:
        rows.append(["mean ± sd over folds", *_spreads(metrics["over_folds"])])
    rows.append(["majority class", *(Score(metrics["majority"][name]) for name in NAMES)])
    caption = (
        f"{partial_line(metrics['missing'])}{protocol_text({**metrics, **data})}, {len(metrics['labels'])} classes, "
        f"{count(len(folds), 'fold')}, seeds {' '.join(seeds)}."
    )
    wer = metrics["asr_word_errors"]
    unit = f"{data['resampled']}s are resampled"
    if data["resampled"] == "utterance":
        unit += f" because {count(data['speakers'], 'speaker')} are too few, so the interval is too narrow"
    notes = [
        f"Setup: {setup_text(metrics['setup'])}." if metrics["setup"] else "",
        f"WER {percent(wer['wer'])} % ({wer['normaliser']} normaliser)." if wer else "",
        f"Confidence interval: bootstrap, {unit}.",
    ]
    return Table(columns(f"{metrics['tag']}, per cent", *NAMES.values()), rows, caption=caption, notes=notes)


def _spreads(scores: Mapping[Any, Any], names: Iterable[Metric] = NAMES) -> list[Score]:
    """Means and deviations alone."""
    return [Score(scores[name]["mean"], scores[name]["sd"]) for name in names]


def subsets(title: str, first: str, scores: Mapping[str, Pooled]) -> Table:
    """Scores of parts of the data, WA and UA with intervals."""
    rows: list[Row] = [
        [name, value["utterances"], Score.of(value["wa"]), Score.of(value["ua"]), *_spreads(value, F1)]
        for name, value in scores.items()
    ]
    few = ", ".join(name for name, value in scores.items() if value["resampled"] == "utterance")
    notes = [f"Fewer than {MIN_SPEAKERS} speakers, so utterances are resampled: {few}."] if few else []
    names = (first, "utterances", "WA [95 % CI]", "UA [95 % CI]", "macro-F1", "weighted F1")
    return Table(columns(*names), rows, title, notes=notes)


def paired_table(comparison: Pair) -> Table:
    """A paired comparison and how it was made."""
    rows: list[Row] = [
        [NAMES[name], Score(test["difference"], ci=test["ci"], difference=True), p_value(test["p"])]
        for name, test in comparison["scores"].items()
    ]
    units = count(comparison["clusters"], comparison["resampled"])
    notes = [
        f"On {count(comparison['utterances'], 'utterance')} that both have predicted. CI: paired bootstrap.",
        f"p: permutation test that swaps the two systems' answers by {comparison['resampled']} ({units}; smallest "
        f"possible p {comparison['smallest_p']:.2g}).",
    ]
    if mcnemar := comparison.get("mcnemar"):
        notes.append(
            f"McNemar's exact test, which takes utterances as independent: {mcnemar['only_first_right']} right only "
            f"here, {mcnemar['only_second_right']} only there, p {p_value(mcnemar['p'])}."
        )
    first = f"difference to {comparison['reference']}"
    return Table(columns(first, "points [95 % CI]", "p"), rows, "Comparison", notes=notes)


def parts(metrics: Metrics) -> dict[str, Table]:
    """The tables of an experiment below its headline, by what they show."""
    labels, several = metrics["labels"], len(metrics["seeds"]) > 1
    tables = {"comparison": paired_table(metrics["comparison"])} if metrics["comparison"] else {}
    rows: list[Row] = [
        [label, value["references"], *(Score(value[key]) for key in ("recall", "precision", "f1"))]
        for label, value in metrics["per_class"].items()
    ]
    first = [Column("class"), Column("utterances", digits=0), *columns("recall", "precision", "F1")]
    tables["classes"] = Table(first, rows, "Classes" + (" (mean over seeds)" if several else ""))
    rows = [[f"**{label}**", *row] for label, row in zip(labels, metrics["confusion_summed_over_seeds"], strict=True)]
    counted = f"summed over {len(metrics['seeds'])} seeds" if several else "utterances"
    tables["confusion"] = Table(columns("", *labels), rows, f"Confusion ({counted}; rows: reference)")
    rows = []
    for name, fold in metrics["per_fold"].items():
        who = " ".join(fold["speakers"]) if len(fold["speakers"]) <= 8 else len(fold["speakers"])
        rows.append([name, who, fold["utterances"], *_spreads(fold)])
    tables["folds"] = Table(columns("fold", "speakers", "utterances", *NAMES.values()), rows, "Folds")
    scores = (*NAMES, "calibration_error")
    rows = [[seed, *(Score(value[key]) for key in scores)] for seed, value in metrics["per_seed"].items()]
    tables["seeds"] = Table(columns("seed", *NAMES.values(), "calibration error"), rows, "Seeds (folds pooled)")
    if metrics["by_domain"]:
        tables["domains"] = subsets("Domains", "domain", metrics["by_domain"])
    if metrics["by_wer"]:
        tables["asr"] = subsets("ASR errors", "WER of the utterance, %", metrics["by_wer"])
    return tables


def results(metrics: Metrics) -> Table:
    """All tables of an experiment, the headline first."""
    top, skipped = headline(metrics), metrics["skipped_recordings"]
    notes = [
        *top.notes,
        metrics["definitions"],
        f"Protocol: {metrics['protocol_description']}" if metrics["protocol_description"] else "",
        "" if metrics["speaker_disjoint"] else "This protocol shares speakers between training and test.",
        f"{count(skipped, 'unusable recording')} left out." if skipped else "",
        trained_text(metrics["trained_with"]),
    ]
    return replace(top, notes=notes, more=list(parts(metrics).values()))


def markdown(metrics: Metrics, drawn: Sequence[str] = ()) -> str:
    """The body of `RESULTS.md`; `drawn` are the files of the figures."""
    pictures = [f"![{Path(name).stem}]({name})\n" for name in drawn]
    return "\n".join([f"# {metrics['tag']}\n", results(metrics).markdown(), *["## Figures\n"] * bool(drawn), *pictures])


def score(
    folder: Path,
    corpus: Corpus,
    partition: str = "test",
    seeds: Sequence[str] | None = None,
    folds: Sequence[str] | None = None,
    asr_dir: Path | None = None,
    normalise: str = "english",
    baseline: Path | None = None,
    resamples: int = RESAMPLES,
) -> tuple[Table, list[Path]]:
    """Score `exp/<tag>` and write `metrics.json`, `RESULTS.md` and figures (of dev with `_dev` in their names).

    Returns:
        The headline and the files.

    Raises:
        UserError: see :func:`m4ser.scoring.runs.collect` and :func:`m4ser.scoring.evaluation.evaluate`.
    """
    from m4ser.scoring import figures  # with matplotlib

    experiment = collect(folder, corpus, partition, seeds, folds)
    test = pair(experiment, collect(baseline, corpus, partition, None, folds), resamples) if baseline else None
    metrics = evaluate(experiment, corpus, asr_dir, normalise, test, resamples)
    suffix = "" if partition == "test" else f"_{partition}"
    drawn = figures.draw(metrics, folder, suffix)
    page, numbers = folder / f"RESULTS{suffix}.md", folder / f"metrics{suffix}.json"
    write_markdown(page, markdown(metrics, drawn))
    write_json(numbers, metrics)
    return headline(metrics), [page, numbers, *(folder / name for name in drawn)]
