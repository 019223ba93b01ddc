"""One archive with everything that prediction needs; :mod:`m4ser.hub.archive` has its form and its checks."""

import argparse
import contextlib
import json
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import torch
import yaml

import m4ser
from m4ser.hub.archive import ALLOWED, CARD, FORMAT, sha256_of
from m4ser.hub.card import model_card, scores_of
from m4ser.hub.stored import ASR, DESCRIPTION, SAFE_RECOGNISERS, SPEECH_ENCODER, StoredModel
from m4ser.models.checkpoint import read_weights
from m4ser.models.encoders.opensmile import PREFIX
from m4ser.pretrained import resolve
from m4ser.utils.errors import UserError
from m4ser.utils.files import atomic_path, read_json, write_json


def pack(
    stored: StoredModel, archive: Path, include: str = "auto", onnx: bool = False, pretrained_dir: str | None = None
) -> dict[str, Any]:
    """Write `archive` of a run; returns its description (``m4ser.json``).

    ``include`` says which pretrained models go in beside the trained weights: ``all``; ``none``: they are named;
    ``auto``: those that are not hub ids, which anybody can get. With ``onnx`` the graph is added as ``model.onnx``.

    Raises:
        UserError: the run is not complete, or a pretrained model is not there.
    """
    if stored.packed:
        raise UserError(f"{stored.folder}: is an unpacked archive already; pack the experiment, or copy the folder")
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".pack-", dir=archive.parent) as folder:
        parts = Path(folder)
        description = write_folder(stored, parts, include, onnx, pretrained_dir)
        with atomic_path(archive) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as file:
            for path in sorted(p for p in parts.rglob("*") if p.is_file()):
                file.write(path, path.relative_to(parts))
    return description


def write_folder(
    stored: StoredModel, folder: Path, include: str, onnx: bool, pretrained_dir: str | None
) -> dict[str, Any]:
    """Write the files of an archive to an empty folder."""
    from safetensors.torch import save_file

    plan = stored.about
    weights = {name: value.contiguous().clone() for name, value in read_weights(stored.folder).items()}
    save_file(weights, folder / "model.safetensors")
    config = inference_config(stored.folder)
    (folder / "config.yaml").write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")
    if (stored.folder / "tokenizer").is_dir():
        shutil.copytree(stored.folder / "tokenizer", folder / "tokenizer", copy_function=shutil.copyfile)
    pipeline = json.loads(json.dumps(stored.pipeline))
    _add_speech_encoder(pipeline, stored, folder, include, pretrained_dir)
    _add_recogniser(pipeline, folder, include, pretrained_dir)
    keys = ("tag", "protocol", "fusion", "objectives", "speech_encoder", "text_encoder", "text_source", "asr")
    training = {key: plan[key] for key in keys if key in plan}
    for key in ("speech_encoder", "text_encoder"):  # not the folders of the machine it was trained on
        training[key] = _public_name(training.get(key, ""))
    scores = scores_of(stored)
    if scores:
        write_json(folder / "metrics.json", scores)
    info = stored.folder / "train_info.json"  # of this run; the plan is of the last one that was added
    made_by = (read_json(info) if info.exists() else plan).get("made_by", {})
    description = {
        "format": FORMAT,
        "m4ser": m4ser.__version__,
        "labels": plan["labels"],
        "parameters": sum(value.numel() for value in weights.values()),
        "pipeline": pipeline,
        "training": {**training, "fold": stored.fold, "seed": stored.seed, "made_by": made_by},
        "metrics": {key: value for key, value in scores.items() if key != "made_by"},
    }
    if onnx:
        from m4ser.models.onnx_graph import export

        export(stored.folder, folder / "model.onnx")
    (folder / CARD).write_text(model_card(description), encoding="utf-8")
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    names.remove(CARD)  # people edit it on a hub, and nothing reads it
    description["files"] = {
        name: {"size": (folder / name).stat().st_size, "sha256": sha256_of(folder / name)} for name in names
    }
    if strange := [name for name in names if not ALLOWED.fullmatch(name)]:
        raise UserError(
            f"{stored.folder}: {strange[0]} is of a kind that archives may not hold; pack with --include none"
        )
    write_json(folder / DESCRIPTION, description)
    return description


def inference_config(run: Path) -> dict[str, Any]:
    """Of a run's ``config.yaml`` what rebuilds the model: not the trainer's options, data or folders."""
    with contextlib.redirect_stdout(sys.stderr):  # importing ESPnet prints
        from m4ser.training.task import SERTask

    stored = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    if (task := stored.get("task", "ser")) != "ser":
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
    pipeline: dict[str, Any], stored: StoredModel, folder: Path, include: str, pretrained_dir: str | None
) -> None:
    described = pipeline["speech"]
    if not described:
        return
    if _is_included(include, described["encoder"]) and not described["encoder"].startswith(PREFIX):
        from safetensors.torch import save_file

        backbone = stored.speech_encoder(pretrained_dir).backbone
        described["architecture"] = json.loads(json.dumps(backbone.architecture(), default=str))
        save_file({name: _smallest(value) for name, value in backbone.state_dict().items()}, folder / SPEECH_ENCODER)
    described["encoder"] = _public_name(described["encoder"])


def _smallest(value: torch.Tensor) -> torch.Tensor:
    """Half precision where that loses nothing, as for weights that were published so."""
    if value.is_floating_point() and torch.equal(value.half().to(value.dtype), value):
        value = value.half()
    return value.contiguous().clone()


def _add_recogniser(pipeline: dict[str, Any], folder: Path, include: str, pretrained_dir: str | None) -> None:
    described = (pipeline["text"] or {}).get("asr")
    if not described or not described["model"]:
        return
    if described["name"] in SAFE_RECOGNISERS and _is_included(include, described["model"]):
        source = Path(resolve(described["model"], pretrained_dir))
        (folder / ASR).mkdir()
        for path in sorted(source.iterdir()):
            if path.is_file() and ALLOWED.fullmatch(f"{ASR}/{path.name}"):
                shutil.copyfile(path, folder / ASR / path.name)
        described["packed"] = True
    described["model"] = _public_name(described["model"])
