"""Several systems in one table: scores, intervals, paired differences to one of them, cost."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from m4ser.data.corpus import Corpus
from m4ser.scoring.evaluation import pooled
from m4ser.scoring.intervals import RESAMPLES
from m4ser.scoring.runs import Experiment, collect
from m4ser.scoring.significance import PERMUTATIONS, holm, pair
from m4ser.scoring.table import Cell, Column, Row, Score, Table, count, listed, percent, protocol_text
from m4ser.training.metrics import NAMES, Metric
from m4ser.training.result_files import Comparison, Difference, System
from m4ser.training.settings import NO_TEXT
from m4ser.training.setup import SETUP, common_setup, cost, joined_makers, setup_text, trained_with
from m4ser.utils.errors import UserError
from m4ser.utils.files import read_json, rounded

KIND = "comparison"
COST = (
    Column("parameters (M)", "parameters", scale=1e-6),
    Column("trained (M)", "trained_parameters", scale=1e-6),
    Column("training s", "seconds", digits=0),
    Column("RTF", "real_time_factor", digits=3),
)
PARTIAL = "**(partial): runs are missing; not the result of the protocol.**"
SCORES = "WA: accuracy. UA: mean of the class recalls. F1: mean over classes, weighted by their frequency or not."


def table(
    folders: Sequence[Path],
    corpus: Corpus,
    names: Sequence[str] = (),
    reference: Path | None = None,
    partition: str = "test",
    seeds: Sequence[str] | None = None,
    folds: Sequence[str] | None = None,
    differences: Sequence[Metric] = ("ua", "wa"),
    resamples: int = RESAMPLES,
) -> Table:
    """Compare the experiments in `folders` with `reference`, one of them (default: the first).

    Raises:
        UserError: `reference` is none of them, or one cannot be read (:func:`m4ser.scoring.runs.collect`).
    """
    known = [folder.resolve() for folder in folders]
    if reference and reference.resolve() not in known:
        raise UserError(f"{reference}: is not one of --exp; add it there")
    experiments = [collect(folder, corpus, partition, seeds, folds) for folder in folders]
    index = known.index(reference.resolve()) if reference else 0
    return fill(compare(experiments, corpus, index, names, resamples), differences)


def compare(
    experiments: Sequence[Experiment],
    corpus: Corpus,
    reference: int = 0,
    names: Sequence[str] = (),
    resamples: int = RESAMPLES,
    permutations: int = PERMUTATIONS,
) -> Comparison:
    """The numbers of a comparison; `reference` is the index of the system that the others are compared with.

    Raises:
        UserError: two systems have one name.
    """
    names = list(names or [experiment.tag for experiment in experiments])
    if twice := [name for i, name in enumerate(names) if name in names[:i]]:
        raise UserError(f"{experiments[names.index(twice[0])].path}: two rows are named '{twice[0]}'; use --names")
    systems = []
    for i, (experiment, name) in enumerate(zip(experiments, names, strict=True)):
        system = {
            "system": name,
            "tag": experiment.tag,
            "seeds": experiment.seeds,
            "partial": experiment.partial,
            "pooled": pooled(experiment, resamples=resamples),
            "difference": None if i == reference else pair(experiment, experiments[reference], resamples, permutations),
        }
        systems.append(cast(System, system | cost(experiment.path, experiment.run, experiment.folds, experiment.seeds)))
    tests = [system["difference"]["scores"] for system in systems if system["difference"]]
    for metric in NAMES:
        for test, p in zip(tests, holm([test[metric]["p"] for test in tests]), strict=True):
            test[metric]["p_holm"] = p
    first = experiments[0]
    result = {
        "kind": KIND,
        "partition": first.partition,
        "protocol": corpus.folds.protocol,
        "labels": first.labels,
        "reference": names[reference],
        **common_setup({name: one.run for name, one in zip(names, experiments, strict=True)}),
        "wer": _word_error_rates(experiments),
        "trained_with": joined_makers(trained_with(each.path, each.folds, each.seeds) for each in experiments),
        "systems": systems,
    }
    return cast(Comparison, rounded(result))


def _word_error_rates(experiments: Sequence[Experiment]) -> dict[str, float]:
    """That of each recogniser whose text a system reads, as the system's own result has it."""
    rates: dict[str, float] = {}
    for experiment in experiments:
        asr, file = experiment.run.get("asr") or NO_TEXT, experiment.path / "metrics.json"
        if asr != NO_TEXT and file.exists() and (errors := read_json(file).get("asr_word_errors")):
            rates[asr] = errors["wer"]
    return rates


def fill(comparison: Comparison, differences: Sequence[Metric] = ("ua", "wa")) -> Table:
    """The numbers of a comparison as a table that shows the `differences` of these scores, and has those of all."""
    systems = comparison["systems"]
    data, tests = systems[0]["pooled"], {s["system"]: s["difference"] for s in systems if s["difference"]}
    scored = [metric for metric in NAMES if metric in data]
    tested = [m for m in dict.fromkeys([*differences, *scored]) if m in scored] if tests else []
    costs = [column for column in COST if any(column.key in system for system in systems)]
    p = "p (Holm)" if len(tests) > 1 else "p"
    columns = [
        Column("system"),
        *(Column(f"{NAMES[m]} [95 % CI]", m) for m in scored),
        *(Column(f"Δ {NAMES[m]} [95 % CI] {p}", f"d_{m}", shown=m in differences) for m in tested),
        *costs,
        *(Column(name, shown=False) for name in ("tag", "seeds", "partial", "protocol", "partition")),
    ]
    rows: list[Row] = []
    for system in systems:
        scores = [Score.of(system["pooled"][m], partial=system["partial"]) for m in scored]
        compared = system["difference"]
        against = [_difference(compared["scores"][m]) if compared else "reference" for m in tested]
        spent = [cast(Cell, system.get(column.key)) for column in costs]
        named = [system["tag"], " ".join(system["seeds"]), str(system["partial"]).lower()]
        named += [comparison["protocol"], comparison["partition"]]
        rows.append([system["system"], *scores, *against, *spent, *named])
    about: dict[str, Any] = {
        "kind": KIND,
        **{key: comparison[key] for key in ("partition", "protocol", "labels", "reference", "setup", "wer")},
        "setup_differs": comparison.get("setup_differs", {}),
        "trained_with": comparison["trained_with"],
        **{key: data[key] for key in ("utterances", "speakers", "resampled")},
        "seeds": {system["system"]: system["seeds"] for system in systems},
        "partial": any(system["partial"] for system in systems),
        "tests": {name: {k: v for k, v in test.items() if k != "scores"} for name, test in tests.items()},
    }
    seeds = {name: " ".join(used) for name, used in about["seeds"].items()}
    usual = Counter(seeds.values()).most_common(1)[0][0]
    caption = (
        f"{protocol_text(about)}, {len(about['labels'])} classes; seeds {usual}. Per cent, all folds pooled, mean over "
        "seeds (± sd where several)."
    )
    other = [f"{name} {used}" for name, used in seeds.items() if used != usual]
    notes = [
        *_setup_notes(about),
        *([f"Other seeds: {listed(other)}."] if other else []),
        *_test_notes(about),
        SCORES,
        PARTIAL if about["partial"] else "",
    ]
    return Table(columns, rows, caption=caption, notes=notes, about=about)


def _difference(test: Difference) -> Score:
    return Score(test["difference"], None, test["ci"], test.get("p"), test.get("p_holm"), difference=True)


def _setup_notes(about: Mapping[str, Any]) -> Iterator[str]:
    """Encoders, text and recogniser that the systems have in common, those that differ, and the word error rate."""
    if about["setup"]:
        yield f"Same for all that use it: {setup_text(about['setup'])}."
    for key, users in about["setup_differs"].items():
        usual = max(users, key=lambda value: len(users[value]))
        others = (f"{value} ({listed(systems, 4)})" for value, systems in users.items() if value != usual)
        yield f"Different {SETUP[key]}: {usual}, but {'; '.join(others)}."
    if wer := about["wer"]:
        each = (f"{percent(rate)} %" + (f" ({asr})" if len(wer) > 1 else "") for asr, rate in wer.items())
        yield f"WER on the same utterances: {'; '.join(each)}."


def _test_notes(about: Mapping[str, Any]) -> Iterator[str]:
    """How the systems were compared with the reference."""
    tests = about["tests"]
    for test in list(tests.values())[:1]:
        smallest = f", smallest possible p {test['smallest_p']:.2g}" if "smallest_p" in test else ""
        corrected = f", corrected for {len(tests)} comparisons (Holm)" if len(tests) > 1 else ""
        units = count(test["clusters"], test["resampled"]) if "clusters" in test else f"{about['resampled']}s"
        yield f"Δ: difference to {about['reference']} in points, with a paired bootstrap interval."
        yield f"p: permutation test that swaps answers by {about['resampled']} ({units}{smallest}){corrected}."
    fewer = [name for name, test in tests.items() if test.get("utterances", about["utterances"]) != about["utterances"]]
    if fewer:
        yield f"Compared on the utterances that both have predicted: {listed(fewer)}."


def read(path: Path) -> Table:
    """The table that `m4ser table comparison` has written, of this version or of 0.1.

    Raises:
        UserError: the file is missing or something else.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; compare the systems first, with compare.sh or run_ablation.sh")
    content = read_json(path)
    if content.get("kind") == KIND and "systems" in content and "trained_with" in content:
        known = content["systems"][0]["pooled"]
        shown = [metric for metric in content.get("shown_differences", NAMES) if metric in known]
        table = fill(cast(Comparison, content), shown)
        return Table.from_json({**table.json(), "made_by": content.get("made_by", {})})
    if content.get("about", {}).get("kind") == KIND:
        return Table.from_json(content, path)
    raise UserError(f"{path}: is no comparison of systems as compare.sh or run_ablation.sh writes it; make it again")
