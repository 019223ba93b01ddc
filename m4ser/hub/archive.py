"""The checks of an archive and of an unpacked model, before anything in it is used.

An archive is a ZIP file (stored, not compressed: weights do not shrink). Nothing in it is code: weights are
safetensors, CTranslate2's format or an ONNX graph, everything else is JSON, YAML or text, and names and kinds of files
are those of a fixed list. An archive whose description has ``graph`` holds a whole model as ``model.onnx`` and nothing
for PyTorch.
Files are listed in ``m4ser.json`` with size and SHA-256, so that a damaged or changed one is noticed. The list itself
is not signed: it tells that an archive is intact, not who made it.
"""

import hashlib
import re
import stat
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from m4ser.data.log_mel import LogMel
from m4ser.hub.graph_file import read_graph_file
from m4ser.hub.stored import ASR, CONFIDENCE, DESCRIPTION, SPEECH_ENCODER, TOKENIZER, StoredModel
from m4ser.models.description import ArchiveDescription, GraphDescription, SpeechPipeline, temperature_of
from m4ser.utils.errors import DamagedFileError, UserError
from m4ser.utils.files import atomic_directory, read_json
from m4ser.utils.plain import read_plain_json, read_stored_yaml, refuse_code
from m4ser.utils.printing import printable

FORMAT = 1
CARD = "README.md"
LICENCE = "LICENSE"
ENDING = ".m4ser.zip"
# Where files may lie and what they may be called. `asr/model.bin` is CTranslate2's format, which its own parser reads.
ALLOWED = re.compile(
    r"m4ser\.json|config\.yaml|README\.md|LICENSE|metrics\.json|model\.(safetensors|onnx)|speech_encoder\.safetensors"
    r"|tokenizer/[A-Za-z0-9_.-]+\.(json|txt|model)|asr/([A-Za-z0-9_.-]+\.(json|txt|model|safetensors)|model\.bin)"
)
NEEDED = ("config.yaml", "model.safetensors")
GRAPH = "model.onnx"
LONGEST = (1.0, 3600.0)  # seconds that a graph may take at a time
TEMPERATURES = (1e-6, 1e6)
MOST_FILES, MOST_BYTES, MOST_TEXT = 100, 20 << 30, 64 << 20  # of an archive; of one file that is not weights
BLOCK = 1 << 20
CLASSIFIER = re.compile(r"classifier\.(classifiers\.\d+\.)?bias")  # of each expert, where there are several
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # what a terminal obeys instead of showing it


class _Score(TypedDict):
    mean: float


class _Pooled(TypedDict):
    wa: _Score
    ua: _Score
    utterances: int


class _Own(TypedDict):
    wa: float
    ua: float
    utterances: int


class _Metrics(TypedDict, total=False):
    """What is shown of the test scores; the rest is for programs."""

    pooled: _Pooled
    this_model: _Own


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
    description = _read_description(folder, where)
    files = {name: (listed["size"], listed["sha256"]) for name, listed in description["files"].items()}
    labels = description["labels"]
    for name, (size, sha256) in files.items():
        _check_name(where, name)
        path = folder / name
        if not path.is_file():
            raise UserError(f"{where}: {name} is missing; get it again")
        if path.stat().st_size != size or sha256_of(path) != sha256:
            raise UserError(f"{where}: {name} is not what {DESCRIPTION} lists (damaged or changed); get it again")
    graph = description.get("graph")
    if missing := [name for name in ((GRAPH,) if graph else NEEDED) if name not in files]:
        raise UserError(f"{where}: {missing[0]} is missing; get it again")
    # A hub adds files of its own, such as .gitattributes, which nothing reads. What m4ser would read has to be listed.
    there = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    if strange := sorted(name for name in there - set(files) - {DESCRIPTION} if _would_be_read(name)):
        raise UserError(f"{where}: refused: {strange[0]} is not listed in {DESCRIPTION}")
    _check_content(folder, where, files)
    if GRAPH in files:
        _check_graph(where, folder / GRAPH, labels, graph)
    if graph:
        _check_parts(where, description, files)
        return
    config = _read_config(folder / "config.yaml", where)
    _check_labels(where, folder, labels, config)
    _check_parts(where, description, files)


def _check_parts(where: Path, description: ArchiveDescription, files: Mapping[str, object]) -> None:
    """What the description names is there, and of a whole graph nothing that would be for PyTorch."""
    speech, text = description["pipeline"]["speech"], description["pipeline"]["text"]
    graph = description.get("graph")
    asr = text["asr"] if text else None
    needed = {
        SPEECH_ENCODER: bool(not graph and speech and "architecture" in speech),
        TOKENIZER: bool(graph and text),
        f"{ASR}/": bool(asr and asr.get("packed")),
    }
    if any(is_needed and not any(name.startswith(part) for name in files) for part, is_needed in needed.items()):
        raise UserError(f"{where}: a part that {DESCRIPTION} names is missing; get it again")
    if graph and (strange := sorted({*NEEDED, SPEECH_ENCODER} & set(files))):
        raise UserError(f"{where}: refused: {strange[0]} does not belong beside a graph of the whole model")


def _read_description(folder: Path, where: Path) -> ArchiveDescription:
    """``m4ser.json``, of the right types and with numbers that can be."""
    try:
        content = read_plain_json(folder / DESCRIPTION)
    except OSError as error:
        raise UserError(f"{where}: {DESCRIPTION} cannot be read ({error.strerror})") from None
    except DamagedFileError:
        raise UserError(f"{where}: {DESCRIPTION} is not JSON; get it again") from None
    refuse_code(content, f"{where}: {DESCRIPTION}")
    version = content.get("format") if isinstance(content, dict) else None
    if isinstance(version, int) and version != FORMAT:
        raise UserError(f"{where}: has format {version}, this version reads {FORMAT}; install another version of m4ser")
    try:
        description = TypeAdapter(ArchiveDescription).validate_python(content, strict=True)
        TypeAdapter(_Metrics).validate_python(description["metrics"], strict=True)
        _check_speech(description["pipeline"]["speech"])
        _check_graph_description(description)
        if "files" not in description:
            raise ValueError("it lists no files")
        labels = description["labels"]
        if len(set(labels)) < len(labels) or not all(label.isprintable() and label.strip() for label in labels):
            raise ValueError("labels: have to be different words")
        if control := next(_texts_with_control(content), None):
            raise ValueError(f"{control!r} holds control characters")
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise UserError(
            f"{where}: {DESCRIPTION} is not a description of a model ({printable(place)}: {first['msg']})"
        ) from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: {DESCRIPTION} is not a description of a model ({error})") from None
    return description


def _check_graph_description(description: ArchiveDescription) -> None:
    """Raises a ValueError for a graph that cannot be."""
    if (graph := description.get("graph")) is None:
        return
    speech, text = description["pipeline"]["speech"], description["pipeline"]["text"]
    limits = {"longest": (graph["longest"], *LONGEST), "temperature": (temperature_of(graph), *TEMPERATURES)}
    for name, (value, least, most) in limits.items():
        if not least <= value <= most:
            raise ValueError(f"graph.{name}: cannot be {value}")
    if (graph["speech"] is None) != (speech is None) or (graph["text"] is None) != (text is None):
        raise ValueError("graph: has other inputs than the pipeline")
    if graph["speech"] is None and text is None:
        raise ValueError("graph: has no inputs")
    if graph["speech"] == "log_mel":
        architecture = speech.get("architecture") if speech else None
        if not architecture:
            raise ValueError("pipeline.speech.architecture: is missing")
        LogMel(architecture["hf_features"])
    if text is not None and (pieces := graph.get("pieces", {"max_pieces": 0}))["max_pieces"] < 2:
        raise ValueError(f"graph.pieces: cannot be {pieces}")


def _check_speech(speech: SpeechPipeline | None) -> None:
    """Raises a ValueError for features of stage 1 that cannot be made."""
    if not speech:
        return
    if missing := [key for key in ("encoder", "layers", "pool") if key not in speech]:
        raise ValueError(f"pipeline.speech.{missing[0]}: is missing")
    layers = speech["layers"]
    if not layers or layers != sorted(set(layers)) or layers[0] < 0 or speech["pool"] < 1:
        raise ValueError("layers and pool of the speech features")


def _texts_with_control(value: Any) -> Iterator[str]:
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += [*value, *value.values()]
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, str) and CONTROL.search(value):
            yield value


def _would_be_read(name: str) -> bool:
    return name.startswith((f"{ASR}/", "tokenizer/")) or (name not in (CARD, LICENCE) and bool(ALLOWED.fullmatch(name)))


def _check_content(folder: Path, where: Path, files: dict[str, Any]) -> None:
    """Weights are what their names say and numbers, and no JSON file asks for code."""
    for name in files:
        path = folder / name
        if name.endswith(".safetensors"):
            _check_weights(path, where, name)
        elif name.endswith(".bin") and _is_pickle(path):
            raise UserError(f"{where}: refused: {name} is a pickle, which can run any code")
        elif name.endswith(".json"):
            try:
                value = read_plain_json(path)
            except DamagedFileError:
                raise UserError(f"{where}: {name} is not JSON; get it again") from None
            refuse_code(value, f"{where}: {name}")


def _check_weights(path: Path, where: Path, name: str) -> None:
    import torch
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as weights:
            for tensor in weights.keys():  # noqa: SIM118  (not a dictionary)
                value = weights.get_tensor(tensor)
                if value.is_floating_point() and not torch.isfinite(value).all():
                    raise UserError(f"{where}: {name}: the weights are damaged ({tensor} is not finite)")
    except (SafetensorError, OSError, ValueError):
        pickled = " but a pickle" if _is_pickle(path) else ""
        raise UserError(f"{where}: refused: {name} is not a safetensors file{pickled}") from None


def _check_graph(where: Path, path: Path, labels: list[str], graph: GraphDescription | None) -> None:
    """An ONNX file is a graph of this model and reaches for nothing outside it."""
    try:
        graph_file = read_graph_file(path)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: refused: {GRAPH} {error}") from None
    if graph_file.labels != labels:
        raise UserError(f"{where}: {DESCRIPTION} has the labels {labels}, {GRAPH} {printable(str(graph_file.labels))}")
    if graph:
        inputs = [name for name in (graph["speech"], "text" if graph["text"] else None) if name]
        expected = {*inputs, *(f"{name}_lengths" for name in inputs)}
        optional = {CONFIDENCE} if graph["text"] else set()
        if set(graph_file.inputs) - optional != expected or graph_file.outputs != ["logits"]:
            names = printable(", ".join([*graph_file.inputs, *graph_file.outputs]))
            raise UserError(f"{where}: {GRAPH} has other inputs and outputs than {DESCRIPTION} says ({names})")


def _is_pickle(path: Path) -> bool:
    """Pickles of protocol 2 and later start with 0x80; PyTorch's files are ZIP archives of one."""
    with path.open("rb") as file:
        head = file.read(4)
    return head[:1] == b"\x80" or head == b"PK\x03\x04"


def _read_config(path: Path, where: Path) -> dict[str, Any]:
    try:
        config = read_stored_yaml(path)
    except UserError as error:
        raise UserError(f"{where}: refused: config.yaml: {str(error).removeprefix(f'{path}: ')}") from None
    refuse_code(config, f"{where}: config.yaml")
    if not isinstance(config.get("labels"), list):
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
        shapes = [weights.get_slice(name).get_shape() for name in biases]
    outputs = {shape[0] if shape else 0 for shape in shapes}
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
