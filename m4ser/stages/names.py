"""Names of what depends on options: tags of features, recognised text, training text, experiments."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

LONGEST = 120  # characters of a tag: file names end at 255 bytes
NONE = "none"  # as --speech-encoder: no features
DEFAULT_ENCODER = "offline:whisper-tiny.en"
DEFAULT_ASR, DEFAULT_ASR_MODEL = "faster_whisper", "offline:whisper-tiny.en-ct2"


def part(name: str) -> str:
    """A model's name, a folder or settings as part of a file name: ``../my models/a b`` is ``a_b``."""
    name = name.removeprefix("offline:")
    if name.startswith(("/", "./", "../")):
        name = name.rstrip("/").rpartition("/")[2] or "/"
    return re.sub(r"[^A-Za-z0-9.-]+", "_", name)


def features_tag(encoder: str, layers: str, pool: int) -> str:
    """``whisper-tiny.en_layers0_2_pool8``; all layers and all frames go without saying."""
    chosen = "" if layers == "all" else f"_layers{part(layers)}"
    return part(encoder) + chosen + (f"_pool{pool}" if pool != 1 else "")


def data_root(data: Path) -> tuple[Path, str]:
    """The folder in the recipe that a data folder belongs to, and what its name has after ``data``.

    ``data_zh`` is its own (``_zh``), ``data/9988/babble0`` is of ``data`` (nothing).
    """
    nearest = (data, *list(data.parents)[:2])
    root = next((folder for folder in nearest if folder.name.startswith("data")), data.parent)
    return root, root.name.removeprefix("data") if root.name.startswith("data") else ""


def dump_of(data: Path) -> Path:
    """The dump of a data folder: ``dump_zh`` beside ``data_zh``, ``dump/9988/babble0`` for ``data/9988/babble0``."""
    root, variant = data_root(data)
    return root.with_name(f"dump{variant}") / data.relative_to(root)


def copies(speeds: Sequence[str], altered: int) -> dict[str, str]:
    """Names of further copies of the features, and what each is: other speeds, then other recordings."""
    copies = {f"speed{speed}": f"features at {speed} times the speed" for speed in speeds}
    return copies | {f"altered{n}": f"features of altered recordings, copy {n}" for n in range(1, altered + 1)}


def copy_folder(features: str, copy: str) -> str:
    """Folder of such a copy."""
    return f"{features}_{copy}"


def asr_model_of(asr: str, model: str) -> str:
    """The recogniser's model, its default where the options leave it open."""
    return DEFAULT_ASR_MODEL if asr == DEFAULT_ASR and not model else model


def asr_tag(asr: str, model: str, settings: str) -> str:
    """``faster_whisper_whisper-tiny.en-ct2_language_de``."""
    return "_".join([asr, *(part(value) for value in (asr_model_of(asr, model), settings) if value)])


def text_tag(source: str, recogniser: str, normaliser: str) -> str:
    """Name of the training text: its source, a recogniser's tag or ``ref``, and a normaliser other than English."""
    return (recogniser if source == "asr" else source) + (f"_{normaliser}" if normaliser != "english" else "")


@dataclass(frozen=True)
class Choices:
    """What an experiment's name can tell; its values as asked for, or as they are usual in the recipe.

    Attributes:
        text_source: ``asr``, ``ref`` or ``none``.
        features: encoder, layers and pooling of features; None where the configuration reads none or names them itself.
        asr_tag: recogniser.
        normaliser: of text.
        speeds: copies at other speeds to train on, as typed.
        altered: number of altered copies to train on.
    """

    text_source: str
    features: tuple[str, str, int] | None
    asr_tag: str
    normaliser: str
    speeds: str
    altered: int = 0


def experiment_tag(
    config: str,
    choices: Choices,
    usual: Choices,
    *,
    speech_encoder: str = "",
    text_encoder: str = "",
    init_exp: str = "",
    train_args: str = "",
) -> str:
    """The configuration's name and what differs from what is ``usual``: the recipe without further options.

    Args:
        config: path of the training configuration, ``conf/train_NAME.yaml``.
        choices: those of this run.
        usual: choices of the recipe.
        speech_encoder: model of the configuration's own speech encoder, or ``none`` for no features at all.
        text_encoder: model of its text encoder.
        init_exp: experiment that it starts from.
        train_args: training options.
    """
    words = [Path(config).name.removesuffix(".yaml").removeprefix("train_")]
    if choices.text_source != usual.text_source:
        words.append(f"text-{choices.text_source}")
    if choices.features and choices.features != usual.features:
        words.append(features_tag(*choices.features))
    if speech_encoder:
        words.append(part(speech_encoder))
    if choices.text_source == "asr" and choices.asr_tag != usual.asr_tag:
        words.append(choices.asr_tag)
    if choices.normaliser != usual.normaliser:
        words.append(choices.normaliser)
    if text_encoder:
        words.append(part(text_encoder))
    if choices.speeds != usual.speeds:
        words.append(f"speed{part(choices.speeds or '1')}")
    if choices.altered != usual.altered:
        words.append(f"altered{choices.altered}")
    if init_exp:
        words.append(f"from_{part(init_exp)}")
    if train_args:
        words.append(part(train_args.replace("--", "")))
    return shortened("_".join(words))


def shortened(tag: str) -> str:
    """A tag of at most :data:`LONGEST` characters or so: the end of a longer one becomes its checksum."""
    return tag if len(tag) <= LONGEST else f"{tag[:100]}_{cksum(tag.encode())}"


def cksum(data: bytes) -> int:
    """Checksum of POSIX ``cksum``: CRC-32 of the bytes and their number, not reflected as in :func:`zlib.crc32`."""
    length = len(data)
    counted = length.to_bytes((length.bit_length() + 7) // 8, "little")
    crc = 0
    for byte in data + counted:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1) ^ (0x104C11DB7 if crc & 0x80000000 else 0)
    return crc ^ 0xFFFFFFFF
