"""Several systems in one table: scores, intervals, paired differences to one of them, cost."""

import csv
import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from m4ser.scoring import tables
from m4ser.scoring.bootstrap import RESAMPLES, cluster_confusions, clusters
from m4ser.scoring.experiment import NOT_PREDICTED, Corpus, Experiment, joined_makers, trained_with
from m4ser.scoring.report import SETUP, pooled, rounded, shown, trained_lines
from m4ser.scoring.significance import PERMUTATIONS, holm, mcnemar, paired, smallest_p
from m4ser.training.experiment import NO_TEXT
from m4ser.training.metrics import DEFINITIONS, NAMES
from m4ser.utils.errors import UserError
from m4ser.utils.files import read_json

INPUT = ("speech_encoder", "text_encoder", "text_source", "asr")  # keys of SETUP
COST = ("parameters", "trained_parameters", "seconds", "real_time_factor")


def pair(
    first: Experiment, second: Experiment, resamples: int = RESAMPLES, permutations: int = PERMUTATIONS
) -> dict[str, Any]:
    """Paired difference first - second on the items that every seed of both has predicted.

    Raises:
        UserError: there is no such item.
    """
    rows = {key: i for i, key in enumerate(zip(second.fold, second.items, strict=True))}
    complete = {i for i in range(len(second.items)) if (second.hyp[:, i] != NOT_PREDICTED).all()}
    common = [
        (i, rows[key])
        for i, key in enumerate(zip(first.fold, first.items, strict=True))
        if rows.get(key) in complete and (first.hyp[:, i] != NOT_PREDICTED).all()
    ]
    if not common:
        raise UserError(
            f"{first.path}: no utterance is predicted both here and in {second.path}; score the missing folds"
        )
    mine, theirs = np.array(common).T
    index, unit = clusters(first.speakers[mine])
    ref, classes = first.ref[mine], len(first.labels)
    answers = first.hyp[:, mine], second.hyp[:, theirs]
    a, b = (cluster_confusions(index, ref, hyp, classes) for hyp in answers)
    count = a.shape[1]
    result = {
        "system": first.tag,
        "reference": second.tag,
        "utterances": len(common),
        "resampled": unit,
        "clusters": count,
        "smallest_p": smallest_p(count, permutations),
        "scores": paired(a, b, permutations, resamples),
    }
    if len(first.seeds) == len(second.seeds) == 1:
        result["mcnemar"] = mcnemar(ref, answers[0][0], answers[1][0])
    return result


def cost(experiment: Experiment) -> dict[str, float]:
    """Parameters, training seconds and inference real-time factor, as far as recorded.

    From `run.json`, else the mean over the runs' `train_info.json` and `infer_info.json`.
    """
    found: dict[str, float] = {}
    for key in COST:
        if isinstance(experiment.run.get(key), int | float):
            found[key] = experiment.run[key]
            continue
        files = [
            experiment.path / f"fold{fold}" / f"seed{seed}" / name
            for fold in experiment.folds
            for seed in experiment.seeds
            for name in ("train_info.json", "infer_info.json")
        ]
        values = [info[key] for file in files if file.exists() for info in [read_json(file)] if key in info]
        if values:
            found[key] = float(np.mean(values))
    return found


def compare(
    experiments: Sequence[Experiment],
    corpus: Corpus,
    reference: int = 0,
    names: Sequence[str] | None = None,
    resamples: int = RESAMPLES,
    permutations: int = PERMUTATIONS,
) -> dict[str, Any]:
    """All that `comparison.json` holds; `reference` is the index of the row that the others are compared with.

    Raises:
        UserError: two rows have one name.
    """
    names = list(names or [experiment.tag for experiment in experiments])
    if twice := [name for i, name in enumerate(names) if name in names[:i]]:
        raise UserError(f"{experiments[names.index(twice[0])].path}: two rows are named '{twice[0]}'; use --names")
    rows = []
    for i, (experiment, name) in enumerate(zip(experiments, names, strict=True)):
        difference = None if i == reference else pair(experiment, experiments[reference], resamples, permutations)
        rows.append(
            {
                "system": name,
                "tag": experiment.tag,
                "seeds": experiment.seeds,
                "partial": experiment.partial,
                "pooled": pooled(experiment, resamples=resamples),
                "difference": difference,
                **cost(experiment),
            }
        )
    tests = [row["difference"]["scores"] for row in rows if row["difference"]]
    for metric in NAMES:
        for test, p in zip(tests, holm([test[metric]["p"] for test in tests]), strict=True):
            test[metric]["p_holm"] = p
    first = experiments[0]
    result = {
        "kind": "comparison",
        "partition": first.partition,
        "protocol": corpus.folds.protocol,
        "labels": first.labels,
        "reference": names[reference],
        "definitions": DEFINITIONS,
        **_setup(experiments, names),
        "trained_with": joined_makers(trained_with(each.path, each.folds, each.seeds) for each in experiments),
        "systems": rows,
    }
    return rounded(result)


def _setup(experiments: Sequence[Experiment], names: Sequence[str]) -> dict[str, Any]:
    """What the systems have in common, and what of their input differs.

    A system without speech or text says nothing about encoder or recogniser. The word error rate is that of the rows'
    own results, if they have text of a recogniser.
    """
    setup, differs = {}, {}
    for key in SETUP:
        values = [experiment.run.get(key) for experiment in experiments]
        if key in INPUT:
            values = [None if value == NO_TEXT else value for value in values]
            known = [value for value in values if value]
        else:
            known = values
        if known and known[0] and all(value == known[0] for value in known):
            setup[key] = known[0]
        elif key in INPUT and known:
            users = {value: [n for n, own in zip(names, values, strict=True) if own == value] for value in known}
            differs[key] = {str(value): systems for value, systems in users.items()}
    wer: dict[str, float] = {}
    for experiment in experiments:
        asr, file = experiment.run.get("asr") or NO_TEXT, experiment.path / "metrics.json"
        if asr != NO_TEXT and file.exists() and (found := read_json(file).get("asr_word_errors")):
            wer[asr] = found["wer"]
    return {"setup": setup, "setup_differs": differs, "wer": wer}


def markdown(comparison: dict[str, Any], differences: Sequence[str] = ("ua", "wa")) -> str:
    """The comparison as a Markdown table and what is needed to read it; `differences` names the scores compared."""
    rows = comparison["systems"]
    corrected = len(rows) > 2
    costs = {
        key: title
        for key, title in zip(COST, ("parameters", "trained", "training s", "RTF"), strict=True)
        if any(key in row for row in rows)
    }
    header = ["system", *(f"{name} [95 % CI]" for name in NAMES.values())]
    for metric in differences:
        header += [f"Δ {NAMES[metric]} [95 % CI]", "p (Holm)" if corrected else "p"]
    lines = []
    for row in rows:
        name = row["system"] + (" (partial)" if row["partial"] else "")
        line = [name, *(_score(row["pooled"][metric]) for metric in NAMES)]
        for metric in differences:
            if not row["difference"]:
                line += ["reference", tables.NOTHING]
                continue
            value = row["difference"]["scores"][metric]
            line.append(f"{tables.signed(value['difference'])} {tables.interval(value['ci'])}")
            line.append(tables.p_value(value["p_holm"]))
        lines.append(line + [_cost(key, row.get(key)) for key in costs])
    return tables.table(header + list(costs.values()), lines) + "\n" + _notes(comparison, corrected)


def setup_lines(comparison: dict[str, Any]) -> list[str]:
    """Encoders, text and recogniser that the systems have in common, those that differ, and the word error rate."""
    lines = []
    if setup := [f"{SETUP[key]} {shown(value)}" for key, value in comparison["setup"].items()]:
        lines.append("Same for all that use it: " + "; ".join(setup) + ".")
    for key, users in comparison["setup_differs"].items():
        each = (f"{value} ({' '.join(systems)})" for value, systems in users.items())
        lines.append(f"Different {SETUP[key]}: " + "; ".join(each) + ".")
    if wer := comparison["wer"]:
        named = len(wer) > 1
        each = (f"{tables.percent(rate)} %" + (f" ({asr})" if named else "") for asr, rate in wer.items())
        lines.append("WER on the same utterances: " + "; ".join(each) + ".")
    return lines


def _score(value: dict[str, Any]) -> str:
    return f"{tables.plus_minus(value['mean'], value['sd'])} {tables.interval(value['ci'])}"


def _cost(key: str, value: float | None) -> str:
    if value is None:
        return tables.NOTHING
    if "parameters" in key:
        return f"{value / 1e6:.2f} M"
    return f"{value:.0f}" if key == "seconds" else f"{value:.3f}"


def _notes(comparison: dict[str, Any], corrected: bool) -> str:
    rows = comparison["systems"]
    data = rows[0]["pooled"]
    lines = [
        f"Per cent; mean over seeds (± sd where several) of all folds pooled. Protocol `{comparison['protocol']}`, "
        f"{comparison['partition']}: {tables.count(data['utterances'], 'utterance')} of "
        f"{tables.count(data['speakers'], 'speaker')}, {len(comparison['labels'])} classes."
    ]
    seeds = {tuple(row["seeds"]) for row in rows}
    if len(seeds) == 1:
        lines[0] += f" Seeds {' '.join(rows[0]['seeds'])}."
    else:
        lines[0] += " Seeds: " + "; ".join(f"{row['system']} {' '.join(row['seeds'])}" for row in rows) + "."
    lines += setup_lines(comparison)
    tests = [row["difference"] for row in rows if row["difference"]]
    if tests:
        units = sorted({tables.count(test["clusters"], test["resampled"]) for test in tests})
        smallest = max(test["smallest_p"] for test in tests)
        lines.append(
            f"Δ is the difference to {comparison['reference']} in points on the utterances that both have predicted, "
            f"with a paired bootstrap interval; p from a permutation test that swaps the two systems' answers by "
            f"{tests[0]['resampled']} ({', '.join(units)}; smallest possible p {smallest:.2g})"
            + (f", corrected for {len(tests)} comparisons (Holm)." if corrected else ".")
        )
        for test in tests:
            if test["utterances"] != data["utterances"]:
                lines.append(f"{test['system']} is compared on {tables.count(test['utterances'], 'utterance')}.")
    if any(row["partial"] for row in rows):
        lines.append("**(partial): runs are missing; not the result of the protocol.**")
    return "\n".join([*lines, *trained_lines(comparison["trained_with"]), comparison["definitions"]]) + "\n"


def comma_separated(comparison: dict[str, Any]) -> str:
    """The comparison as CSV, scores as fractions of one."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    header = ["system", "tag", "protocol", "partition", "seeds", "partial"]
    for metric in NAMES:
        header += [metric, f"{metric}_sd", f"{metric}_low", f"{metric}_high"]
    for metric in NAMES:
        header += [f"d_{metric}", f"d_{metric}_low", f"d_{metric}_high", f"d_{metric}_p", f"d_{metric}_p_holm"]
    writer.writerow([*header, *COST])
    for row in comparison["systems"]:
        line = [row["system"], row["tag"], comparison["protocol"], comparison["partition"], " ".join(row["seeds"])]
        line.append(str(row["partial"]).lower())
        for metric in NAMES:
            value = row["pooled"][metric]
            line += [value["mean"], value["sd"], *value["ci"]]
        for metric in NAMES:
            if row["difference"]:
                value = row["difference"]["scores"][metric]
                line += [value["difference"], *value["ci"], value["p"], value["p_holm"]]
            else:
                line += [None] * 5
        writer.writerow(line + [row.get(key) for key in COST])
    return text.getvalue()
