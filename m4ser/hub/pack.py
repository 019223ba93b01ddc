"""One archive with everything that prediction needs; :mod:`m4ser.hub.archive` has its form and its checks."""

import argparse
import contextlib
import copy
import json
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

import torch
import yaml

import m4ser
from m4ser.data.folds import JOIN
from m4ser.data.origin import Origin
from m4ser.data.own_names import OWN
from m4ser.hub.archive import ALLOWED, ENDING, FORMAT, GRAPH, LICENCE, TEMPERATURES
from m4ser.hub.assemble import finish_folder, zip_folder
from m4ser.hub.card import scores_of
from m4ser.hub.stored import ASR, SAFE_RECOGNISERS, SPEECH_ENCODER, TOKENIZER, StoredModel
from m4ser.models.checkpoint import read_config, read_weights
from m4ser.models.description import (
    ArchiveDescription,
    GraphDescription,
    Pipeline,
    SpeechPipeline,
    TextPipeline,
    Training,
)
from m4ser.models.encoders.frozen import FrozenEncoder
from m4ser.models.encoders.opensmile import PREFIX
from m4ser.models.systems import SER
from m4ser.pretrained import resolve
from m4ser.training.calibration import run_temperature
from m4ser.training.experiment import TRAIN_INFO
from m4ser.utils.errors import UserError
from m4ser.utils.files import read_json, write_json

if TYPE_CHECKING:
    from m4ser.models.onnx_graph import Exported

WEIGHTS = ("torch", "onnx", "onnx-int8")  # what an archive computes with


def pack(
    stored: StoredModel,
    archive: Path,
    include: str = "auto",
    onnx: bool = False,
    pretrained_dir: str | None = None,
    weights: str = "torch",
    temperature: float | None = None,
    licence: Path | None = None,
    left_out: Path | None = None,
    pages: Sequence[Path] = (),
) -> ArchiveDescription:
    """Write `archive` of a run; returns its description (``m4ser.json``).

    Args:
        stored: the run.
        archive: file to write.
        include: which pretrained models go in beside the trained weights: ``all``; ``none``: they are named; ``auto``:
            those that are not hub ids, which anybody can get. Of a whole graph the encoders are always in it.
        onnx: add the graph that :func:`.export` makes as ``model.onnx``.
        pretrained_dir: where local copies of models are looked for first.
        weights: one of :data:`WEIGHTS`: ``torch``: weights and configuration; ``onnx`` or ``onnx-int8``: the whole
            model as a graph instead, see :func:`.export_whole`.
        temperature: of a whole graph, what probabilities are made with; None: 1, logits as they are.
        licence: file with the terms of use, which goes in as LICENSE.
        left_out: for the card, see :func:`read_left_out`.
        pages: likewise.

    Raises:
        UserError: the run is not complete, a pretrained model is not there, or there is no graph of the model.
    """
    if stored.packed:
        raise UserError(f"{stored.folder}: is an unpacked archive already; pack the experiment, or copy the folder")
    if weights not in WEIGHTS:
        raise UserError(f"--weights {weights}: must be one of {', '.join(WEIGHTS)}")
    if weights == "torch" and temperature is not None:
        raise UserError("--temperature is for a whole graph: give --weights onnx or onnx-int8, too")
    if weights != "torch" and onnx:
        raise UserError("--onnx true adds a graph to PyTorch's weights, and --weights onnx holds a whole one: give one")
    least, most = TEMPERATURES
    if temperature is not None and not least <= temperature <= most:
        raise UserError(f"--temperature {temperature:g}: must be a number from {least:g} to {most:g}")
    if licence is not None and not licence.is_file():
        raise UserError(f"{licence}: no such file")
    if pages and not left_out:
        raise UserError("--pages follow the table of --left-out in the card; give that, too")
    known = read_left_out(left_out, pages) if left_out else {}
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".pack-", dir=archive.parent) as folder:
        parts = Path(folder)
        if licence is not None:
            shutil.copyfile(licence, parts / LICENCE)
        if weights == "torch":
            description = write_folder(stored, parts, include, onnx, pretrained_dir, known)
        else:
            int8 = weights == "onnx-int8"
            description = write_graph(stored, parts, include, int8, temperature or 1.0, pretrained_dir, known)
        zip_folder(parts, archive)
    return description


def read_left_out(path: Path, pages: Sequence[Path] = ()) -> dict[str, Any]:
    """What ``m4ser table left_out`` has written, for ``metrics.json`` and the card: the scores and the page.

    Args:
        path: the JSON; the Markdown is beside it.
        pages: other tables of the model in Markdown, to stand below.

    Raises:
        UserError: a file is missing or something else.
    """
    shown = [path.with_suffix(".md"), *pages]
    if missing := [file for file in (path, *shown) if not file.is_file()]:
        raise UserError(f"{missing[0]}: no such file; make it with m4ser table left_out, or correct the path")
    scores = read_json(path).get("about", {}).get("scores")
    if not isinstance(scores, list):
        raise UserError(f"{path}: is not what m4ser table left_out writes; make it again")
    return {"left_out": {"scores": scores, "text": "\n".join(page.read_text(encoding="utf-8") for page in shown)}}


def parse_temperature(text: str | None, stored: StoredModel) -> float | None:
    """A number, ``dev`` for the one that fits the development part of the run best, or None.

    Raises:
        UserError: it is neither, or stage 5 has not run.
    """
    if text == "dev":
        return run_temperature(stored.folder, stored.labels)
    try:
        return None if text is None else float(text)
    except ValueError:
        raise UserError(f"--temperature {text}: must be a number, or dev") from None


def default_archive(stored: StoredModel) -> Path:
    """Where the archive of a run is put if nobody says: ``exp/<tag>/<tag>.m4ser.zip``."""
    return stored.folder.parents[1] / f"{stored.about.get('tag', stored.folder.name)}{ENDING}"


def write_folder(
    stored: StoredModel,
    folder: Path,
    include: str,
    onnx: bool,
    pretrained_dir: str | None,
    known: Mapping[str, Any] = MappingProxyType({}),
) -> ArchiveDescription:
    """Write the files of an archive to an empty folder; arguments as for :func:`pack`, ``known`` adds to the scores.

    Raises:
        UserError: see there.
    """
    from safetensors.torch import save_file

    weights = {name: value.contiguous().clone() for name, value in read_weights(stored.folder).items()}
    save_file(weights, folder / "model.safetensors")
    config = inference_config(stored.folder)
    (folder / "config.yaml").write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")
    if (stored.folder / "tokenizer").is_dir():
        shutil.copytree(stored.folder / "tokenizer", folder / "tokenizer", copy_function=shutil.copyfile)
    pipeline = copy.deepcopy(stored.pipeline)
    _add_speech_encoder(pipeline["speech"], stored, folder, include, pretrained_dir)
    _add_recogniser(pipeline["text"], folder, include, pretrained_dir)
    if onnx:
        from m4ser.models.onnx_graph import export

        export(stored.folder, folder / GRAPH)
    return _describe(stored, folder, pipeline, sum(value.numel() for value in weights.values()), None, known)


def write_graph(
    stored: StoredModel,
    folder: Path,
    include: str,
    int8: bool,
    temperature: float,
    pretrained_dir: str | None,
    known: Mapping[str, Any] = MappingProxyType({}),
) -> ArchiveDescription:
    """Write the files of an archive with a whole graph to an empty folder; arguments as for :func:`write_folder`.

    Raises:
        UserError: see there.
    """
    from m4ser.models.onnx_graph import export_whole

    _check_single(stored)
    pipeline = copy.deepcopy(stored.pipeline)
    encoder = stored.speech_encoder(pretrained_dir)
    whole = export_whole(stored.folder, folder / GRAPH, encoder, pipeline["speech"], int8, temperature)
    if whole.description["text"]:
        source = stored.folder / TOKENIZER
        if not source.is_file():
            raise UserError(f"{source}: no such file, which a whole graph with words needs; pack with --weights torch")
        (folder / TOKENIZER).parent.mkdir()
        shutil.copyfile(source, folder / TOKENIZER)
    pipeline["speech"] = whole.speech
    if whole.speech:
        whole.speech["encoder"] = _public_name(whole.speech["encoder"])
    _add_recogniser(pipeline["text"], folder, include, pretrained_dir)
    parameters = sum(value.numel() for value in read_weights(stored.folder).values())
    return _describe(stored, folder, pipeline, parameters, whole.description, known)


def _check_single(stored: StoredModel) -> None:
    """A whole graph begins at the recording, and knows no others.

    Raises:
        UserError: features are normalised over several recordings.
    """
    if stored.normalised:
        raise UserError(
            f"{stored.folder}: normalises features by {stored.normalised}, over several recordings, which a whole "
            "graph cannot; pack with --weights torch"
        )


def export_stored(
    stored: StoredModel,
    path: Path,
    int8: bool = False,
    head: bool = False,
    whole: bool = False,
    pretrained_dir: str | None = None,
) -> "Exported":
    """Write an ONNX graph of a stored model: see :func:`.export` and, with ``whole``, :func:`.export_whole`.

    Raises:
        UserError: see there, or the model is a graph already.
    """
    from m4ser.models.onnx_graph import export, export_whole

    if stored.graph is not None:
        raise UserError("the model is a whole graph already: m4ser unpack gives its model.onnx")
    if not whole:
        return export(stored.folder, path, int8, head)
    _check_single(stored)
    encoder, speech = stored.speech_encoder(pretrained_dir), stored.pipeline["speech"]
    return export_whole(stored.folder, path, encoder, speech, int8).exported


def _describe(
    stored: StoredModel,
    folder: Path,
    pipeline: Pipeline,
    parameters: int,
    graph: GraphDescription | None,
    known: Mapping[str, Any],
) -> ArchiveDescription:
    """Write card, scores and description to a folder that holds everything else."""
    metrics = {**scores_of(stored), **known}
    if metrics:
        write_json(folder / "metrics.json", metrics)
    description: ArchiveDescription = {
        "format": FORMAT,
        "m4ser": m4ser.__version__,
        "labels": stored.labels,
        "parameters": parameters,
        "pipeline": pipeline,
        "training": _training(stored),
        "metrics": {key: value for key, value in metrics.items() if key != "made_by"},
    }
    if graph:
        description["graph"] = graph
    finish_folder(folder, description, stored.folder)
    return description


def _training(stored: StoredModel) -> Training:
    """What the plan of the experiment says of this run."""
    keys = ("tag", "protocol", "fusion", "objectives", "speech_encoder", "text_encoder", "text_source", "asr")
    training = cast(Training, {key: stored.about[key] for key in keys if key in stored.about})
    # Not the folders of the machine it was trained on.
    training["speech_encoder"] = _public_name(training.get("speech_encoder", ""))
    training["text_encoder"] = _public_name(training.get("text_encoder", ""))
    info = stored.folder / TRAIN_INFO  # of this run; the plan is of the last one that was added
    made_by = (read_json(info) if info.exists() else stored.about).get("made_by", {})
    training.update({"fold": stored.fold, "seed": stored.seed, "made_by": made_by})
    if corpora := corpora_of(stored):
        training["corpora"] = corpora
    return training


def corpora_of(stored: StoredModel) -> list[Origin]:
    """Whose corpora a run was trained on, as far as their recipes say so."""
    origins: dict[str, Origin] = stored.about.get("corpora", {})
    row = stored.about.get("trained_on", {}).get(stored.fold)
    return [origin for name, origin in origins.items() if row is None or name in row.split(JOIN)]


def inference_config(run: Path) -> dict[str, Any]:
    """Of a run's ``config.yaml`` what rebuilds the model: not the trainer's options, data or folders."""
    with contextlib.redirect_stdout(sys.stderr):  # importing ESPnet prints
        from m4ser.training.task import SERTask

    stored = read_config(run)
    if (task := stored.get("task", SER)) != SER:
        raise UserError(f"{run}: archives hold models of this project only, not of the baseline {task}; use its folder")
    parser = argparse.ArgumentParser()
    SERTask.add_task_arguments(parser)
    ours = {action.dest for action in parser._actions} - {"help", "param_groups", "objectives"}
    config = {key: value for key, value in stored.items() if key in ours}
    config |= {"tokenizer": None, "pretrained_dir": None, "objectives": {}}
    for key in ("speech_encoder_conf", "text_encoder_conf"):
        if isinstance(config.get(key), dict) and "model" in config[key]:
            config[key] = {**config[key], "model": _public_name(config[key]["model"])}
            config[key].pop("pretrained_dir", None)
    return config


def _public_name(model: str) -> str:
    """A model's name; of a folder only the last part."""
    return Path(model).name if model.startswith((".", "/", "~")) or Path(model).is_dir() else model


def _is_included(include: str, name: str) -> bool:
    """See :func:`pack`: whether a pretrained model goes into the archive."""
    on_the_hub = name.count("/") == 1 and not name.startswith((".", "/", "~")) and not Path(name).is_dir()
    return include == "all" or (include == "auto" and not on_the_hub)


def _add_speech_encoder(
    features: SpeechPipeline | None, stored: StoredModel, folder: Path, include: str, pretrained_dir: str | None
) -> None:
    """Write the frozen encoder of the speech features if it goes into the archive; ``features`` then say so."""
    if not features:
        return
    if _is_included(include, features["encoder"]) and not features["encoder"].startswith((PREFIX, OWN)):
        from safetensors.torch import save_file

        encoder = stored.speech_encoder(pretrained_dir)
        assert isinstance(encoder, FrozenEncoder)  # all but openSMILE is
        features["architecture"] = json.loads(json.dumps(encoder.backbone.architecture(), default=str))
        weights = {name: _smallest(value) for name, value in encoder.backbone.state_dict().items()}
        save_file(weights, folder / SPEECH_ENCODER)
    features["encoder"] = _public_name(features["encoder"])


def _smallest(value: torch.Tensor) -> torch.Tensor:
    """Half precision where that loses nothing, as for weights that were published so."""
    if value.is_floating_point() and torch.equal(value.half().to(value.dtype), value):
        value = value.half()
    return value.contiguous().clone()


def _add_recogniser(text: TextPipeline | None, folder: Path, include: str, pretrained_dir: str | None) -> None:
    """Copy the recogniser's model if it goes into the archive; ``text`` then says so."""
    asr = text.get("asr") if text else None
    if not asr or not asr["model"]:
        return
    if asr["name"] in SAFE_RECOGNISERS and _is_included(include, asr["model"]):
        source = Path(resolve(asr["model"], pretrained_dir))
        (folder / ASR).mkdir()
        for path in sorted(source.iterdir()):
            if path.is_file() and ALLOWED.fullmatch(f"{ASR}/{path.name}"):
                shutil.copyfile(path, folder / ASR / path.name)
        asr["packed"] = True
    asr["model"] = _public_name(asr["model"])
