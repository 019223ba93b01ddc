"""The checks of an archive and of an unpacked model, before anything in it is used.

An archive is a ZIP file (stored, not compressed: weights do not shrink). Nothing in it is code: weights are safetensors
or CTranslate2's format, everything else is JSON, YAML or text, and names and kinds of files are those of a fixed list.
Files are listed in ``m4ser.json`` with size and SHA-256, so that a damaged or changed one is noticed. The list itself
is not signed: it tells that an archive is intact, not who made it.
"""

import hashlib
import json
import re
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from m4ser.hub.stored import ASR, DESCRIPTION, SPEECH_ENCODER, StoredModel
from m4ser.utils.errors import DamagedFileError, UserError
from m4ser.utils.files import atomic_directory, read_json

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
        if path.stat().st_size != size or sha256_of(path) != sha256:
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
                pickled = " but a pickle" if _is_pickle(path) else ""
                raise UserError(f"{where}: refused: {name} is not a safetensors file{pickled}") from None
        elif name.endswith(".bin") and _is_pickle(path):
            raise UserError(f"{where}: refused: {name} is a pickle, which can run any code")
        elif name.endswith(".json"):
            try:
                value = json.loads(path.read_text(encoding="utf-8"))
            except (ValueError, RecursionError):
                raise UserError(f"{where}: {name} is not JSON; get it again") from None
            if isinstance(value, dict) and (asking := [key for key in CODE_KEYS if key in value]):
                raise UserError(f"{where}: refused: {name} asks for code ({asking[0]})")


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
        biases = [name for name in weights.keys() if CLASSIFIER.fullmatch(name)]  # noqa: SIM118  (not a dictionary)
        outputs = {weights.get_slice(name).get_shape()[0] for name in biases}
    if not outputs:
        raise UserError(f"{where}: model.safetensors has no classifier")
    if wrong := outputs - {len(labels)}:
        raise UserError(f"{where}: {len(labels)} labels but {wrong.pop()} outputs of the classifier")


def sha256_of(path: Path) -> str:
    digest = hashlib.sha256()
    for block in _blocks(path):
        digest.update(block)
    return digest.hexdigest()


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            yield block
