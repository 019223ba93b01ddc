"""One archive with everything that prediction needs, and its checks before anything in it is used.

An archive is a ZIP file (stored, not compressed: weights do not shrink). Nothing in it is code: weights are safetensors
or CTranslate2's format, everything else is JSON, YAML or text, and names and kinds of files are those of a fixed list.
Files are listed in ``m4ser.json`` with size and SHA-256, so that a damaged or changed one is noticed. The list itself
is not signed: it tells that an archive is intact, not who made it.
"""

import argparse
import contextlib
import hashlib
import json
import re
import shutil
import stat
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import torch
import yaml

import m4ser
from m4ser.hub.card import model_card, scores_of
from m4ser.hub.stored import ASR, DESCRIPTION, SAFE_RECOGNISERS, SPEECH_ENCODER, StoredModel
from m4ser.models.checkpoint import read_weights
from m4ser.models.encoders.opensmile import PREFIX
from m4ser.pretrained import resolve
from m4ser.utils.errors import DamagedFileError, UserError
from m4ser.utils.files import atomic_directory, atomic_path, read_json, write_json

FORMAT = 1
CARD = "README.md"
ENDING = ".m4ser.zip"
# Where files may lie and what they may be called. `asr/model.bin` is CTranslate2's format, which its own parser reads.
ALLOWED = re.compile(
    r"m4ser\.json|config\.yaml|README\.md|metrics\.json|model\.(safetensors|onnx)|speech_encoder\.safetensors"
    r"|tokenizer/[A-Za-z0-9_.-]+\.(json|txt|model)|asr/([A-Za-z0-9_.-]+\.(json|txt|model|safetensors)|model\.bin)"
)
NEEDED = ("config.yaml", "model.safetensors")
MOST_FILES, MOST_BYTES, MOST_TEXT = 100, 20 << 30, 64 << 20  # of an archive; of one file that is not weights
BLOCK = 1 << 20
CLASSIFIER = re.compile(r"classifier\.(classifiers\.\d+\.)?bias")  # of each expert, where there are several
# Words in JSON files that make transformers import Python code.
CODE_KEYS = ("auto_map", "trust_remote_code", "custom_pipelines")


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
        name: {"size": (folder / name).stat().st_size, "sha256": _sha256(folder / name)} for name in names
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


def unpack(archive: str | Path, folder: str | Path) -> StoredModel:
    """Check an archive and write its files to `folder`, which must not exist.

    Raises:
        UserError: it is not an archive of a model, or not intact; nothing is left behind.
    """
    archive, folder = Path(archive), Path(folder)
    if not archive.is_file():
        raise UserError(f"{archive}: no such file")
    if folder.exists():
        raise UserError(f"{folder}: is there already; choose another folder or delete it")
    try:
        with zipfile.ZipFile(archive) as file, atomic_directory(folder) as temporary:
            entries = _entries(archive, file)
            for name, entry in entries.items():
                _extract(archive, file, entry, temporary / name)
            _check(temporary, archive)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise UserError(f"{archive}: is not an intact archive ({error}); get it again") from None
    return StoredModel(folder.resolve(), read_json(folder / DESCRIPTION), True)


def _entries(archive: Path, file: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Files of an archive by name, after all checks that need no content."""
    entries: dict[str, zipfile.ZipInfo] = {}
    if len(file.infolist()) > MOST_FILES:
        raise UserError(f"{archive}: refused: {len(file.infolist())} files, more than {MOST_FILES}")
    for entry in file.infolist():
        name = entry.filename
        mode = entry.external_attr >> 16
        if entry.is_dir():
            if PurePosixPath(name).parts in (("tokenizer",), (ASR,)):
                continue
            raise UserError(f"{archive}: refused: folder {name!r} does not belong in a model")
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
            raise UserError(f"{archive}: refused: {name!r} is a link or special file")
        _check_name(archive, name)
        if name in entries:
            raise UserError(f"{archive}: refused: {name!r} is there twice")
        if entry.flag_bits & 1:
            raise UserError(f"{archive}: refused: {name!r} is encrypted")
        if (
            entry.compress_type != zipfile.ZIP_STORED
        ):  # which m4ser does not write; small files could unpack to huge ones
            raise UserError(f"{archive}: refused: {name!r} is compressed")
        if not name.endswith((".safetensors", ".onnx", ".bin")) and entry.file_size > MOST_TEXT:
            raise UserError(f"{archive}: refused: {name!r} has {entry.file_size} bytes, more than {MOST_TEXT}")
        entries[name] = entry
    total = sum(entry.file_size for entry in entries.values())
    if total > min(MOST_BYTES, archive.stat().st_size):
        raise UserError(f"{archive}: refused: its files have {total} bytes, more than the archive or than {MOST_BYTES}")
    if DESCRIPTION not in entries:
        raise UserError(f"{archive}: has no {DESCRIPTION}; it is not an archive of a model")
    return entries


def _check_name(where: Path, name: str) -> None:
    """Refuse what is not on the list; a path that leads out of the folder is named as such."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name:
        raise UserError(f"{where}: refused: {name!r} leads out of the folder")
    if not ALLOWED.fullmatch(name):
        raise UserError(
            f"{where}: refused: {name!r} does not belong in a model (weights are .safetensors, never pickles)"
        )


def _extract(archive: Path, file: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path) -> None:
    """Write one file; not more than the archive's list promised, whatever is in its data."""
    path.parent.mkdir(exist_ok=True)
    written = 0
    with file.open(entry) as source, path.open("xb") as target:
        while block := source.read(BLOCK):
            written += len(block)
            if written > entry.file_size:
                raise UserError(f"{archive}: refused: {entry.filename!r} is longer than it says")
            target.write(block)


def check_folder(folder: Path) -> StoredModel:
    """An unpacked model, whether unpacked here or downloaded.

    Raises:
        UserError: something is missing, changed, or does not belong there.
    """
    _check(folder, folder)
    return StoredModel(folder, read_json(folder / DESCRIPTION), True)


def _check(folder: Path, where: Path) -> None:
    """All checks that need the content. Files that are not on the description's list are refused or, below, ignored."""
    try:
        description = read_json(folder / DESCRIPTION)
        files = {str(name): (int(f["size"]), str(f["sha256"])) for name, f in description["files"].items()}
        labels, version, pipeline = list(description["labels"]), description["format"], description["pipeline"]
        speech, text = pipeline["speech"], pipeline["text"]
        if speech and (min(speech["layers"]) < 0 or int(speech["pool"]) < 1):
            raise ValueError("layers and pool of the speech features")
    except DamagedFileError:
        raise UserError(f"{where}: {DESCRIPTION} is not JSON; get it again") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(
            f"{where}: {DESCRIPTION} is not a description of a model ({type(error).__name__}: {error})"
        ) from None
    if version != FORMAT:
        raise UserError(f"{where}: has format {version}, this version reads {FORMAT}; install another version of m4ser")
    for name, (size, sha256) in files.items():
        _check_name(where, name)
        path = folder / name
        if not path.is_file():
            raise UserError(f"{where}: {name} is missing; get it again")
        if path.stat().st_size != size or _sha256(path) != sha256:
            raise UserError(f"{where}: {name} is not what {DESCRIPTION} lists (damaged or changed); get it again")
    if missing := [name for name in NEEDED if name not in files]:
        raise UserError(f"{where}: {missing[0]} is missing; get it again")
    # A hub adds files of its own, such as .gitattributes, which nothing reads. What m4ser would read has to be listed.
    there = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    if strange := sorted(name for name in there - set(files) - {DESCRIPTION} if _would_be_read(name)):
        raise UserError(f"{where}: refused: {strange[0]} is not listed in {DESCRIPTION}")
    _check_content(folder, where, files)
    config = _read_config(folder / "config.yaml", where)
    _check_labels(where, folder, labels, config)
    if (speech and "architecture" in speech and SPEECH_ENCODER not in files) or (
        text and (text.get("asr") or {}).get("packed") and not any(name.startswith(f"{ASR}/") for name in files)
    ):
        raise UserError(f"{where}: a part that {DESCRIPTION} names is missing; get it again")


def _would_be_read(name: str) -> bool:
    return name.startswith((f"{ASR}/", "tokenizer/")) or (name != CARD and bool(ALLOWED.fullmatch(name)))


def _check_content(folder: Path, where: Path, files: dict[str, Any]) -> None:
    """Weights are what their names say, and no JSON file asks for code."""
    from safetensors import SafetensorError, safe_open

    for name in files:
        path = folder / name
        if name.endswith(".safetensors"):
            try:
                with safe_open(path, "pt"):
                    pass
            except (SafetensorError, OSError, ValueError):
                kind = " but a pickle" if _is_pickle(path) else ""
                raise UserError(f"{where}: refused: {name} is not a safetensors file{kind}") from None
        elif name.endswith(".bin") and _is_pickle(path):
            raise UserError(f"{where}: refused: {name} is a pickle, which can run any code")
        elif name.endswith(".json"):
            try:
                value = json.loads(path.read_text(encoding="utf-8"))
            except (ValueError, RecursionError):
                raise UserError(f"{where}: {name} is not JSON; get it again") from None
            if isinstance(value, dict) and (found := [key for key in CODE_KEYS if key in value]):
                raise UserError(f"{where}: refused: {name} asks for code ({found[0]})")


def _is_pickle(path: Path) -> bool:
    """Pickles of protocol 2 and later start with 0x80; PyTorch's files are ZIP archives of one."""
    with path.open("rb") as file:
        head = file.read(4)
    return head[:1] == b"\x80" or head == b"PK\x03\x04"


def _read_config(path: Path, where: Path) -> dict[str, Any]:
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{where}: refused: config.yaml is not plain YAML ({' '.join(str(error).split())})") from None
    if not isinstance(config, dict) or not isinstance(config.get("labels"), list):
        raise UserError(f"{where}: config.yaml is not the configuration of a model")
    for key in ("tokenizer", "pretrained_dir"):
        if config.get(key) is not None:
            raise UserError(f"{where}: refused: config.yaml names a {key} of its own")
    return config


def _check_labels(where: Path, folder: Path, labels: list[Any], config: dict[str, Any]) -> None:
    from safetensors import safe_open

    if config["labels"] != labels:
        raise UserError(f"{where}: {DESCRIPTION} has the labels {labels}, config.yaml {config['labels']}")
    with safe_open(folder / "model.safetensors", "pt") as weights:
        found = [name for name in weights.keys() if CLASSIFIER.fullmatch(name)]  # noqa: SIM118  (not a dictionary)
        outputs = {weights.get_slice(name).get_shape()[0] for name in found}
    if not outputs:
        raise UserError(f"{where}: model.safetensors has no classifier")
    if wrong := outputs - {len(labels)}:
        raise UserError(f"{where}: {len(labels)} labels but {wrong.pop()} outputs of the classifier")


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    for block in _blocks(path):
        digest.update(block)
    return digest.hexdigest()


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            yield block
