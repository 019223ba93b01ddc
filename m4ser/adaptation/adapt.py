"""From a model and a table of labelled recordings to a model with these labels.

The model hears the recordings once; only its last layer is fitted, by :mod:`.classifier`. All that comes before it
stays as it is, so that a minute of one processor is enough for hundreds of recordings.
"""

import copy
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from m4ser.adaptation.classifier import Layer, fit_best, prior_of
from m4ser.adaptation.examples import Example, Examples, places_among, read_examples
from m4ser.adaptation.source import Choice, Source, open_source, outputs, read_end
from m4ser.hub.archive import CARD, ENDING, GRAPH, unpack
from m4ser.hub.assemble import finish_folder, zip_folder
from m4ser.hub.stored import DESCRIPTION
from m4ser.inference.recognizer import EmotionRecognizer
from m4ser.models.description import Adapted, ArchiveDescription, Tried
from m4ser.models.onnx_session import LABELS, NOTE
from m4ser.scoring.intervals import cluster_confusions, clusters, intervals
from m4ser.scoring.table import interval, percent
from m4ser.training.calibration import fit_temperature
from m4ser.training.metrics import scores
from m4ser.utils.errors import UserError

TOLERANCE = 0.01  # of a logit, between the layer as it was fitted and the model as it is stored
NOT_KEPT = ("metrics.json", CARD)  # of the model before; its scores are not those of the adapted one


@dataclass(frozen=True)
class Outcome:
    """What was made: the file or folder, what the model says of itself, and lines about it for people."""

    path: Path
    adapted: Adapted
    lines: list[str]


def adapt(choice: Choice, table: Path, out: Path | None = None, audio: Path | None = None) -> Outcome:
    """Write a model whose last layer is fitted to the labels of a table.

    Args:
        choice: the model.
        table: see :func:`.read_examples`.
        out: an archive if it ends in `.zip`, else a folder, which must not exist; default: an archive named after the
            table, in the working folder.
        audio: folder that the files of the table are relative to; default: that of the table.

    Raises:
        UserError: a model, table or recording cannot be used; nothing is written.
    """
    out = Path(f"{table.stem}{ENDING}") if out is None else out
    if out.suffix != ".zip" and out.exists():
        raise UserError(f"{out}: is there already; choose another --out, or delete it")
    if out.is_dir():
        raise UserError(f"{out}: is a folder; choose another --out")
    if not out.absolute().parent.is_dir():
        raise UserError(f"{out.absolute().parent}: no such folder; make it, or choose another --out")
    begin = time.process_time()
    read_examples(table, audio)  # what is wrong with it is said before a model is loaded
    with open_source(choice) as source:
        examples = read_examples(table, audio, source.stored.labels)
        vectors = source.vectors(examples.learned)
        layer, adapted, temperature = fit_examples(source, examples, vectors)
        adapted["seconds"] = round(time.process_time() - begin, 1)
        lines = _tested(source, layer, examples, adapted)
        with tempfile.TemporaryDirectory(prefix=".adapt-", dir=out.absolute().parent) as temporary:
            folder = Path(temporary) / "model"
            scaled = Layer(layer.weight / temperature, layer.bias / temperature)
            _write(source, scaled, examples.labels, adapted, folder, out, choice.pretrained_dir)
            _compare(choice.recognizer(folder), examples.learned, scaled.logits(vectors))
            if out.suffix == ".zip":
                zip_folder(folder, out)
            else:
                folder.rename(out)
    return Outcome(out, adapted, [*_said(examples, adapted), *lines])


def fit_examples(source: Source, examples: Examples, vectors: np.ndarray) -> tuple[Layer, Adapted, float]:
    """The layer for examples whose utterance vectors are `vectors` (N, U), what is said of it, and its temperature."""
    labels, known = examples.labels, source.stored.labels
    classes = np.array([labels.index(example.label) for example in examples.learned])
    speakers = _speakers(examples.learned)
    places = places_among(labels, known)
    fitted = fit_best(vectors, classes, prior_of(source.layer, places), speakers)
    adapted: Adapted = {
        "source": str(source.stored.about.get("training", source.stored.about).get("tag", "m4ser")),
        "counts": examples.counts,
        "speakers": len(set(speakers or ())),
        "known": [label for label, place in zip(labels, places, strict=True) if place is not None],
        "strength": fitted.strength,
    }
    if fitted.left_out is None:
        return fitted.layer, adapted, source.temperature
    by = adapted["speakers"] if fitted.by_speaker else 0
    adapted["left_out"] = _tried(classes, fitted.left_out.argmax(1), by)
    return fitted.layer, adapted, fit_temperature(fitted.left_out, classes)


def _speakers(examples: Sequence[Example]) -> list[str] | None:
    """Who speaks, None where it is not known of all."""
    speakers = [example.speaker for example in examples]
    return speakers if all(speakers) else None


def _tried(ref: np.ndarray, hyp: np.ndarray, speakers: int) -> Tried:
    values = scores(ref, hyp)
    return {
        "ua": round(float(values["ua"]), 6),
        "wa": round(float(values["wa"]), 6),
        "utterances": len(ref),
        "speakers": speakers,
    }


def _tested(source: Source, layer: Layer, examples: Examples, adapted: Adapted) -> list[str]:
    """Scores on the recordings of the table that are for a test: put into `adapted`, and lines for people."""
    if not examples.tested:
        return []
    labels, known = examples.labels, source.stored.labels
    vectors = source.vectors(examples.tested)
    ref = np.array([labels.index(example.label) for example in examples.tested])
    speakers = _speakers(examples.tested)
    hyp = layer.logits(vectors).argmax(1)
    adapted["tested"] = _tried(ref, hyp, len(set(speakers or ())))
    lines = [_scored(f"tested on {_size(adapted['tested'])}", labels, speakers, ref, hyp)]
    places = places_among([example.label for example in examples.tested], known)
    known_places = [place for place in places if place is not None]
    if len(known_places) == len(places) and len(set(known_places)) == len(set(ref.tolist())):
        answers = source.layer.logits(vectors).argmax(1)
        lines.append(_scored("the model before, on the same", known, speakers, np.array(known_places), answers))
    return lines


def _scored(what: str, labels: Sequence[str], speakers: list[str] | None, ref: np.ndarray, hyp: np.ndarray) -> str:
    """One line with UA, its interval and WA."""
    cluster, _ = clusters(speakers if speakers else [str(i) for i in range(len(ref))])
    ends = intervals(cluster_confusions(cluster, ref, hyp[None], len(labels)))["ua"]
    values = scores(ref, hyp)
    return f"{what}: UA {percent(values['ua'])} {interval(ends)} %, WA {percent(values['wa'])} %"


def _size(tried: Tried) -> str:
    speakers = f" of {tried['speakers']} speakers" if tried["speakers"] else ""
    return f"{tried['utterances']} recordings{speakers}"


def _said(examples: Examples, adapted: Adapted) -> list[str]:
    """What people should know of the examples, and how good the model is as far as they can say."""
    counts = adapted["counts"]
    known, new = adapted["known"], [label for label in examples.labels if label not in adapted["known"]]
    lines = [f"adapted with {sum(counts.values())} recordings in {adapted['seconds']} s: {_listed(counts)}"]
    if new:
        lines.append(f"labels that the model did not know: {', '.join(new)}" + ("" if known else " (all)"))
    if examples.unused:
        lines.append(f"columns that are not used: {', '.join(examples.unused)}")
    if few := [label for label, count in counts.items() if count == 1]:
        lines.append(f"only one recording of {', '.join(few)}: with five or more of each label it gets better")
    if "left_out" in adapted:
        tried = adapted["left_out"]
        by = "speaker by speaker" if tried["speakers"] else "by other recordings of the same speakers"
        lines.append(f"cross-validated {by}: UA {percent(tried['ua'])} %, WA {percent(tried['wa'])} %")
    else:
        lines.append("too few recordings to tell how good the model is; keep some for a test (split: test)")
    return lines


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{label} {count}" for label, count in counts.items())


def _write(
    source: Source,
    layer: Layer,
    labels: list[str],
    adapted: Adapted,
    folder: Path,
    out: Path,
    pretrained_dir: str | None,
) -> None:
    """Write the files of an archive to a folder that is not there yet."""
    about = _copy(source, folder, pretrained_dir)
    training = copy.copy(about["training"])
    if "adapted" in training:
        adapted["earlier"] = [*training["adapted"].get("earlier", []), _without_earlier(training["adapted"])]
    training["adapted"], training["tag"] = adapted, out.name.removesuffix(ENDING).removesuffix(".zip")
    description: ArchiveDescription = {**about, "labels": labels, "training": training, "metrics": {}}
    description.pop("files", None)
    description["parameters"] += layer.weight.size + layer.bias.size
    description["parameters"] -= source.layer.weight.size + source.layer.bias.size
    if graph := about.get("graph"):
        description["graph"] = {**graph, "temperature": 1.0}  # which is in the layer
        notes = {LABELS: labels, NOTE: description["graph"]}
        (folder / GRAPH).write_bytes(read_end(source.stored, source.stored.folder).with_layer(layer, notes))
    else:
        from m4ser.adaptation.checkpoint import write_layer

        write_layer(folder, layer, labels)
    finish_folder(folder, description, source.stored.folder)


def _copy(source: Source, folder: Path, pretrained_dir: str | None) -> ArchiveDescription:
    """What stays of the files of a model, in a new folder; its description."""
    stored = source.stored
    if not stored.packed:
        from m4ser.hub.pack import pack

        archive = folder.with_suffix(ENDING)
        pack(stored, archive, pretrained_dir=pretrained_dir)
        stored = unpack(archive, folder)
        archive.unlink()
        for name in NOT_KEPT:
            (folder / name).unlink(missing_ok=True)
    else:
        folder.mkdir()
        # A graph is written anew; one beside PyTorch's weights is no longer theirs.
        for name in sorted(set(stored.about.get("files", {})) - {*NOT_KEPT, GRAPH}):
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(stored.folder / name, folder / name)
    (folder / DESCRIPTION).unlink(missing_ok=True)
    return cast(ArchiveDescription, {key: value for key, value in stored.about.items() if key != "made_by"})


def _without_earlier(adapted: Adapted) -> dict[str, Any]:
    return {key: value for key, value in adapted.items() if key != "earlier"}


def _compare(recognizer: EmotionRecognizer, examples: Sequence[Example], expected: np.ndarray) -> None:
    """What is stored says what was fitted: of one recording, or of all where they are normalised together."""
    some = len(examples) if recognizer.normalised else 1
    differences = np.abs(outputs(recognizer, examples[:some]) - expected[:some])
    if not differences.max() <= TOLERANCE * max(1.0, float(np.abs(expected).max())):
        raise UserError(f"{examples[0].where}: the adapted model says something else than what was fitted; not written")
