"""The model card of an archive, written from what is known of the model; no number in it is typed by hand.

Its header is made and checked by huggingface_hub, so that a hub shows licence, languages, corpora and scores. Licences
and languages are those that the recipes of the corpora declare (:mod:`m4ser.data.origin`).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from m4ser.data.folds import JOIN
from m4ser.data.origin import OTHER, Origin, identifier, licence_of
from m4ser.hub.header import check_card
from m4ser.hub.stored import StoredModel
from m4ser.models.description import Adapted, ArchiveDescription, Pipeline, Training, Tried, temperature_of
from m4ser.pretrained import OFFLINE, PUBLISHED
from m4ser.training.metrics import NAMES, Metric, scores
from m4ser.training.predictions import read_predictions
from m4ser.utils.files import read_json

if TYPE_CHECKING:
    from huggingface_hub import EvalResult, ModelCardData

SHOWN: tuple[Metric, ...] = ("wa", "ua", "macro_f1", "weighted_f1")
# What hubs call the scores: name of the metric and how it is averaged over the classes.
ON_HUBS: dict[Metric, tuple[str, str]] = {
    "wa": ("accuracy", ""),
    "ua": ("recall", "macro"),
    "macro_f1": ("f1", "macro"),
    "weighted_f1": ("f1", "weighted"),
}
LIBRARY, TASK = "m4ser", "audio-classification"
TAGS = ["audio-classification", "speech-emotion-recognition", "m4ser"]


def scores_of(stored: StoredModel) -> dict[str, Any]:
    """Test scores of an experiment (``metrics.json``) and of this run alone; empty before stage 5."""
    path = stored.folder.parents[1] / "metrics.json"
    if not path.is_file():
        return {}
    metrics = read_json(path)
    kept = ("protocol", "protocol_description", "partition", "seeds", "folds", "partial", "definitions", "ci", "pooled")
    scored = {key: metrics[key] for key in (*kept, "per_class", "asr_word_errors", "majority") if metrics.get(key)}
    tested = stored.folder / "predictions_test.tsv"
    # Of crossed corpora some that are tested are known to the model and others are not.
    if tested.is_file() and "pooled" in metrics:
        predictions = read_predictions(tested, stored.labels)
        values = scores(predictions.ref, predictions.hyp)
        scored["this_model"] = {"utterances": len(predictions.utts), **{key: round(values[key], 6) for key in SHOWN}}
    return scored


def card_data(about: ArchiveDescription) -> "ModelCardData":
    """What hubs read of a card: what the archive's description does not know is left out."""
    from huggingface_hub import ModelCardData

    training = about["training"]
    corpora = training.get("corpora", [])
    name = training.get("tag", LIBRARY)
    licence = licence_of(corpora) if corpora else None
    results = _eval_results(about)
    return ModelCardData(
        language=list(dict.fromkeys(code for corpus in corpora for code in corpus["languages"])) or None,
        license=licence,
        license_name="terms-of-the-corpora" if licence == OTHER else None,
        license_link=corpora[0]["address"] if licence == OTHER else None,
        library_name=LIBRARY,
        pipeline_tag=TASK,
        tags=[*TAGS, *(["onnx"] if "graph" in about else [])],
        datasets=[identifier(corpus) for corpus in corpora] or None,
        base_model=_base_models(training) or None,
        metrics=list(dict.fromkeys(result.metric_type for result in results)) or None,
        model_name=name if results else None,
        eval_results=results or None,
    )


def _base_models(training: Training) -> list[str]:
    """The pretrained models that have an id on the hub."""
    names = [training.get("speech_encoder", ""), training.get("text_encoder", "")]
    ids = [PUBLISHED.get(name.removeprefix(OFFLINE), name) for name in names]
    return list(dict.fromkeys(name for name in ids if name.count("/") == 1))


def _eval_results(about: ArchiveDescription) -> "list[EvalResult]":
    """The test scores: of this model alone where they are known, else those of its experiment."""
    metrics = about["metrics"]
    if "left_out" in metrics:
        return _results_left_out(about)
    this_model, pooled = metrics.get("this_model"), metrics.get("pooled")
    if not this_model and not pooled:
        return []
    corpora, protocol = about["training"].get("corpora", []), str(metrics.get("protocol", "unknown"))
    dataset = "-".join(identifier(corpus).rpartition("/")[2] for corpus in corpora) or protocol
    title = " + ".join(corpus["name"] for corpus in corpora) or protocol
    scores = this_model or {key: score["mean"] for key, score in (pooled or {}).items() if key in SHOWN}
    return [_eval_result(metric, scores[metric], dataset, title, protocol) for metric in SHOWN if metric in scores]


def _results_left_out(about: ArchiveDescription) -> "list[EvalResult]":
    """UA on corpora that were left out of the training of models made alike."""
    protocol = str(about["metrics"].get("protocol", "unknown"))
    results = []
    for each in about["metrics"]["left_out"]["scores"]:
        name = f"{each['tested']}, by a model made alike of {each['trained'].replace(JOIN, ', ')}"
        results.append(_eval_result("ua", each["ua"], each["tested"], name, protocol))
    return results


def _eval_result(metric: Metric, value: float, dataset: str, title: str, protocol: str) -> "EvalResult":
    from huggingface_hub import EvalResult

    metric_type, average = ON_HUBS[metric]
    return EvalResult(
        task_type=TASK,
        task_name="Speech emotion recognition",
        dataset_type=dataset,
        dataset_name=title,
        dataset_config=protocol,
        dataset_split="test",
        metric_type=metric_type,
        metric_name=NAMES[metric],
        metric_value=round(float(value), 4),
        metric_args={"average": average} if average else None,
    )


def model_card(about: ArchiveDescription) -> str:
    """Markdown with the header that model hubs read.

    Raises:
        UserError: what is known of the model makes no header that a hub takes.
    """
    labels, training, text = about["labels"], about["training"], about["pipeline"]["text"]
    lines = [
        "---",
        card_data(about).to_yaml(),
        "---",
        "",
        f"# {training.get('tag', 'm4ser')}: {len(labels)} emotions from speech" + (" and its words" if text else ""),
        "",
        f"Labels: {', '.join(labels)}.",
        "",
        "```python",
        "from m4ser import EmotionRecognizer",
        "",
        'recognizer = EmotionRecognizer.from_pretrained("<this archive, folder or hub id>")',
        'print(recognizer("speech.wav").label)',
        "```",
        "",
        "## How it was made",
        "",
        *(f"- {name}: {value}" for name, value in _making(about)),
        "",
        "## Results",
        "",
        *_results(about["metrics"], training),
        *_corpora(training.get("corpora", []), "adapted" in training),
        "",
        "## Limits",
        "",
        f"It chooses among the {len(labels)} labels above for every recording, also where none of them fits. It was",
        f"tested on {_tested_on(training)} only: with other speakers, microphones and",
        "languages, and with spontaneous instead of acted speech, results will be others. An emotion that is expressed",
        "is not one that is felt. It must not be used to decide about people: not in hiring, at work, in schools, for",
        "credit or insurance, by police, at borders or in medicine, and not to watch people who have not agreed. The",
        "terms of the training corpora and of the pretrained models hold for this model too.",
        "",
    ]
    card = "\n".join(lines)
    check_card(card, f"card of {training.get('tag', 'm4ser')}")
    return card


def _tested_on(training: Training) -> str:
    if "adapted" not in training:
        return f"the protocol `{training.get('protocol', 'unknown')}`"
    return "few recordings" if {"tested", "left_out"} & set(training["adapted"]) else "nothing"


def adapted_with(adapted: Adapted) -> str:
    """`40 utterances of 4 speakers (angry 10, ...)`: what the last layer of a model was fitted to."""
    speakers = f" of {adapted['speakers']} speakers" if adapted["speakers"] else ""
    counts = ", ".join(f"{label} {count}" for label, count in adapted["counts"].items())
    return f"{sum(adapted['counts'].values())} utterances{speakers} ({counts})"


def _tries(adapted: Adapted) -> list[tuple[str, Tried]]:
    names = {"tested": "other utterances, kept for a test", "left_out": "cross-validation among the utterances it has"}
    return [(names[key], adapted[key]) for key in ("tested", "left_out") if key in adapted]


def _making(about: ArchiveDescription) -> list[tuple[str, str]]:
    training, pipeline = about["training"], about["pipeline"]
    speech, text = pipeline["speech"], pipeline["text"]
    rows = [
        ("protocol", f"`{training.get('protocol', 'unknown')}`, fold {training['fold']}, seed {training['seed']}"),
        ("fusion", str(training.get("fusion"))),
        ("objectives in training", ", ".join(training.get("objectives") or {}) or "emotion only"),
        ("parameters used", f"{about['parameters']:,}"),
    ]
    if speech is not None:
        inside = " (in the archive)" if speech.get("architecture") else " (loaded by name)" if speech else ""
        rows.append(("speech encoder", f"{speech.get('encoder') or training.get('speech_encoder')}{inside}"))
    if text is not None:
        rows.append(("text encoder", str(training.get("text_encoder"))))
        asr = text["asr"]
        said = "reference transcripts" if text["source"] == "ref" else "not recorded"
        if asr:
            inside = " (in the archive)" if asr.get("packed") else ""
            said = f"{asr['name']} {asr['model'] or ''}{inside}".strip()
            said += "".join(f", {name}={value}" for name, value in asr["settings"].items())
        rows += [("text in training", said), ("text normaliser", text["normaliser"])]
    if "adapted" in training:
        adapted = training["adapted"]
        rows = [(f"{name} of `{adapted['source']}`", value) for name, value in rows[:3]] + rows[3:]
        new = [label for label in adapted["counts"] if label not in adapted["known"]]
        said = f"last layer fitted to {adapted_with(adapted)}; all before it is that of `{adapted['source']}`"
        rows.insert(0, ("adapted", said + (f"; labels that were new to it: {', '.join(new)}" if new else "")))
    made_by = training.get("made_by", {})
    version = f"m4ser {made_by.get('m4ser')}, git {made_by.get('git')}"
    rows.append(
        (
            f"command{' that trained it' if 'adapted' in training else ''}",
            f"`{made_by.get('command', 'unknown')}` ({version})",
        )
    )
    return rows


def _results(metrics: dict[str, Any], training: Training) -> list[str]:
    if "left_out" in metrics:
        return [
            "Models that were made like this one, each tested on a corpus that it was not trained on.",
            "",
            metrics["left_out"]["text"].rstrip("\n"),
        ]
    if "adapted" in training:
        adapted = training["adapted"]
        if not (tries := _tries(adapted)):
            return ["Too few utterances to test it. Scores of the model that was adapted are not its own."]
        rows = [
            f"| {name} | {tried['utterances']} | {100 * tried['ua']:.2f} | {100 * tried['wa']:.2f} |"
            for name, tried in tries
        ]
        return ["| per cent | utterances | UA | WA |", "| --- | ---: | ---: | ---: |", *rows]
    if "pooled" not in metrics:
        return ["The model was packed before it was tested (stage 5)."]
    pooled = metrics["pooled"]
    lines = [
        f"Test part of `{metrics['protocol']}`: {metrics.get('protocol_description', '')}",
        "",
        f"| per cent | {' | '.join(NAMES[key] for key in SHOWN)} |",
        f"| --- |{' ---: |' * len(SHOWN)}",
    ]
    which = f"folds {' '.join(metrics['folds'])}, seeds {' '.join(metrics['seeds'])}, pooled"
    lines.append(f"| {which} | {' | '.join(_score(pooled[key]) for key in SHOWN)} |")
    if "this_model" in metrics:
        this_model = metrics["this_model"]
        name = f"this model: fold {training['fold']}, seed {training['seed']}, {this_model['utterances']} utterances"
        lines.append(f"| {name} | {' | '.join(f'{100 * this_model[key]:.2f}' for key in SHOWN)} |")
    if "majority" in metrics:
        majority = metrics["majority"]
        lines.append(f"| majority class | {' | '.join(f'{100 * majority[key]:.2f}' for key in SHOWN)} |")
    lines += ["", "In brackets: 95 % bootstrap interval. " + metrics.get("definitions", "")]
    if "asr_word_errors" in metrics:
        lines.append(f"Word error rate of the text: {100 * metrics['asr_word_errors']['wer']:.2f} %.")
    return lines


def _corpora(corpora: Sequence[Origin], adapted: bool) -> list[str]:
    """What the model was trained on, and on which terms it may be used."""
    if not corpora:
        return []
    rows = [
        f"- [{corpus['name']}]({corpus['address']}): {' '.join(corpus['languages'])}, licence {corpus['licence']}"
        for corpus in corpora
    ]
    more = " The terms of the recordings that it was adapted with hold, too." if adapted else ""
    return ["", "## Trained on", "", *rows, "", f"Licence of the weights, by these terms: {licence_of(corpora)}.{more}"]


def _score(value: dict[str, Any]) -> str:
    """`mean [low, high]` in per cent."""
    interval = "" if not value.get("ci") else " [{:.2f}, {:.2f}]".format(*(100 * x for x in value["ci"]))
    return f"{100 * value['mean']:.2f}{interval}"


def described(stored: StoredModel) -> dict[str, Any]:
    """Everything that is known of a model: its description, of a run also fold, seed and test scores."""
    if stored.packed:
        return dict(stored.about)
    return {**stored.about, "fold": stored.fold, "seed": stored.seed, "metrics": scores_of(stored)}


def summary(about: dict[str, Any], pipeline: Pipeline) -> list[tuple[str, str]]:
    """Rows (name, value) of what is known of a model: ``about`` as :func:`described` gives it."""
    training, metrics = about.get("training", about), about.get("metrics", {})
    rows = [
        ("labels", ", ".join(about["labels"])),
        ("protocol", f"{training.get('protocol')}, fold {training.get('fold')}, seed {training.get('seed')}"),
        ("fusion", str(training.get("fusion"))),
        ("objectives", ", ".join(training.get("objectives") or {}) or "emotion only"),
    ]
    speech, text = pipeline["speech"], pipeline["text"]
    if speech is not None:
        how = f", layers {speech['layers']}, every {speech['pool']} frames averaged" if speech else ", in the model"
        rows.append(("speech encoder", f"{speech.get('encoder') or training.get('speech_encoder')}{how}"))
    if text is not None:
        asr = text["asr"]
        said = f"{asr.get('name')} {asr.get('model') or ''}".strip() if asr else "none: the text has to be given"
        rows += [("text encoder", str(training.get("text_encoder"))), ("recogniser", said)]
        rows.append(("text normaliser", text["normaliser"]))
    if "adapted" in training:
        adapted = training["adapted"]
        rows.append(("adapted", f"from {adapted['source']}, with {adapted_with(adapted)}"))
        for name, tried in _tries(adapted):
            rows.append(
                (
                    name.partition(",")[0].partition(" among")[0],
                    f"UA {100 * tried['ua']:.2f} %, WA {100 * tried['wa']:.2f} %, {tried['utterances']} utterances",
                )
            )
    if graph := about.get("graph"):
        bits = "8-bit weights, " if graph["int8"] else ""
        rows.append(("ONNX graph", f"of the whole model, {bits}temperature {temperature_of(graph):.4g}"))
    if "pooled" in metrics:
        pooled = metrics["pooled"]
        shown = [f"{key.upper()} {100 * pooled[key]['mean']:.2f} %" for key in ("wa", "ua")]
        rows.append(("test, all folds", ", ".join(shown) + f", {pooled['utterances']} utterances"))
    if "this_model" in metrics:
        this_model = metrics["this_model"]
        shown = [f"{key.upper()} {100 * this_model[key]:.2f} %" for key in ("wa", "ua")]
        rows.append(("test, this model", ", ".join(shown) + f", {this_model['utterances']} utterances"))
    return rows
