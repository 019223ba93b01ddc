"""The result of one experiment as a single HTML page without any other file or network access.

Numbers are those of `metrics.json`, in the tables of `RESULTS.md`; nothing is scored here a second time but speakers
one by one.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import jinja2

from m4ser.asr.alignment import word_differences
from m4ser.asr.normalise import normaliser
from m4ser.data.corpus import Corpus
from m4ser.scoring import figures, results
from m4ser.scoring.evaluation import pooled
from m4ser.scoring.mistakes import Mistake, clip, most_confident
from m4ser.scoring.runs import Experiment, collect
from m4ser.scoring.table import count, interval, percent
from m4ser.training.experiment import HISTORY, History
from m4ser.training.metrics import NAMES
from m4ser.training.result_files import read_metrics
from m4ser.training.settings import NO_TEXT
from m4ser.training.setup import SETUP, shown, trained_text
from m4ser.utils.errors import UserError
from m4ser.utils.files import atomic_write, read_json, rounded
from m4ser.utils.provenance import made_by

TEMPLATE = "html_report.html.jinja"


def write(
    exp: Path,
    data: Path | None = None,
    dump: Path | None = None,
    out: Path | None = None,
    most_mistakes: int = 20,
    audio: bool = True,
    max_audio_mb: float = 8.0,
    method: str = "tsne",
    map_fold: str = "",
) -> tuple[list[Path], list[str]]:
    """Write the page of `exp/<tag>` (default: `report.html` in there) and its figures as PNG beside it.

    ``data`` and ``dump`` default to those of the same recipe; ``method`` of the map of utterance vectors is ``tsne``,
    ``pca`` or ``none``; ``map_fold`` names the fold whose model makes it (default: the first).

    Returns:
        The page and the figures; what had to be left out.

    Raises:
        UserError: the experiment is not scored, or its predictions are not those that were scored.
    """
    if most_mistakes < 0 or max_audio_mb < 0:
        raise UserError("--mistakes and --max-audio-mb must not be negative")
    metrics = read_metrics(exp)
    recipe = exp.resolve().parents[1]
    data, dump, out = data or recipe / "data", dump or recipe / "dump", out or exp / "report.html"
    corpus = Corpus.read(data, dump / "audio")
    experiment = collect(exp, corpus, metrics["partition"], metrics["seeds"], metrics["folds"])
    confusions = experiment.confusions().sum(0).tolist()
    if metrics["labels"] != experiment.labels or metrics["confusion_summed_over_seeds"] != confusions:
        raise UserError(f"{exp / 'metrics.json'}: is not the score of the predictions beside it; run stage 5 again")
    if map_fold and map_fold not in experiment.folds and method != "none":
        raise UserError(f"--map-fold {map_fold}: the folds are {', '.join(experiment.folds)}")
    remarks: list[str] = []
    chart = _chart(experiment, method, map_fold or experiment.folds[0], remarks) if method != "none" else None
    sounds = corpus.joined(dump / "audio", "wav.scp") if audio else {}
    if audio and not sounds:
        remarks.append(f"no sound: {dump / 'audio'} is not there; run stage 1 again or give --dump")
    asr, errors = metrics["setup"].get("asr", NO_TEXT), metrics["asr_word_errors"]
    heard = corpus.joined(dump / "asr" / asr, "text", allow_empty=True) if errors and asr != NO_TEXT else {}
    texts = (corpus.text, heard, errors["normaliser"] if errors else "none")
    wrong = _described(most_confident(experiment, most_mistakes), *texts, sounds, max_audio_mb * 1e6, remarks)
    by_fold = {fold: experiment.part(experiment.fold == fold).confusions().sum(0) for fold in experiment.folds}
    resamples = int(metrics["ci"]["resamples"])
    speakers = {
        speaker: rounded(pooled(experiment.part(experiment.speakers == speaker), resamples))
        for speaker in sorted(set(experiment.speakers.tolist()))
    }
    runs = [exp / f"fold{fold}" / f"seed{seed}" for seed in experiment.seeds for fold in experiment.folds]
    histories = [cast(History, read_json(run / HISTORY)) for run in runs if (run / HISTORY).exists()]

    drawn: dict[str, tuple[Any, ...]] = {name: (draw, metrics) for name, draw in figures.of_result(metrics).items()}
    drawn["per_speaker"] = (figures.per_speaker, metrics, speakers)
    panels: dict[str, list[tuple[Any, ...]]] = {}  # a drawing for each: on a phone they stand below each other
    if histories:
        drawn["training"] = (figures.training, metrics, histories)
        panels["training"] = [(*drawn["training"], [title]) for title in figures.training_panels(histories)]
    if chart:
        drawn["vectors"] = (figures.vector_map, metrics, chart)
        panels["vectors"] = [(figures.vector_map, metrics, chart | {"panels": [panel]}) for panel in chart["panels"]]
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("m4ser.scoring", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template(TEMPLATE).render(
        metrics=metrics,
        names=NAMES,
        setup={name: shown(metrics["setup"][key]) for key, name in SETUP.items() if key in metrics["setup"]},
        partial=results.partial_line(metrics["missing"]).replace("**", "").strip(),
        top=results.headline(metrics),
        tables={**results.parts(metrics), "speakers": results.subsets("Speakers", "speaker", speakers)},
        by_fold=by_fold if len(by_fold) > 1 else {},
        figures={
            name: [figures.svg(f"{name}{i}", *one) for i, one in enumerate(panels.get(name, [whole]))]
            for name, whole in drawn.items()
            if name != "confusion"  # the page has its numbers as a table
        },
        histories=histories,
        chart=chart,
        wrong=wrong,
        remarks=remarks,
        trained=trained_text(metrics["trained_with"]),
        made_by=made_by(),
        count=count,
        percent=percent,
        interval=interval,
    )
    with atomic_write(out) as file:
        file.write(page)
    files = [out.parent / f"{name}.png" for name in drawn]
    for path, (draw, *arguments) in zip(files, drawn.values(), strict=True):
        figures.save(draw(*arguments), path)
    return [out, *files], remarks


def _chart(experiment: Experiment, method: str, fold: str, remarks: list[str]) -> dict[str, Any] | None:
    """The map of the test part of a fold by its model of the first seed; None where model or features are gone."""
    from m4ser.scoring.vectors import chart
    from m4ser.training.vectors import run_vectors  # with torch

    seed = experiment.seeds[0]
    try:
        vectors = run_vectors(experiment.path / f"fold{fold}" / f"seed{seed}", experiment.partition)
    except (UserError, FileNotFoundError) as error:
        remarks.append(f"no map of utterance vectors: {error}")
        return None
    return chart(vectors, method, f"the model of fold {fold}, seed {seed}")


def _described(
    mistakes: list[Mistake],
    said: Mapping[str, str],
    heard: Mapping[str, str],
    normalise: str,
    sounds: Mapping[str, str],
    most_bytes: float,
    remarks: list[str],
) -> list[dict[str, Any]]:
    """What the page shows of each mistake: texts and their differences, and the sound as long as there is room."""
    clean, items, used = normaliser(normalise), [], 0
    for mistake in mistakes:
        utt = mistake.utt
        item: dict[str, Any] = {"mistake": mistake, "said": said.get(utt, "")}
        if utt in heard:
            item["differences"] = word_differences(clean(item["said"]), clean(heard[utt]))
        if utt in sounds and used < most_bytes:
            try:
                address, seconds, whole = clip(sounds[utt])
            except UserError as error:
                remarks.append(str(error))
            else:
                used += len(address)
                if used <= most_bytes:
                    item |= {"address": address, "seconds": seconds, "whole": whole}
        items.append(item)
    return items
