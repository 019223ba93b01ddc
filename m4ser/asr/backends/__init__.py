"""Recognisers by name.

================ ==========================================================================================
faster_whisper   Whisper of any size, multilingual or English, by CTranslate2 (default)
hf               Whisper and CTC models (wav2vec 2.0, HuBERT, WavLM, ...) by transformers and PyTorch
espnet           ASR models packed by ESPnet2: attention and CTC, or transducer
pocketsphinx     CMU PocketSphinx with its own small English model, wrong often enough to study errors
reference        the reference transcript, as it is or with errors at a chosen word error rate
================ ==========================================================================================

A further recogniser is a module with a subclass of Backend and a line in BACKENDS.
"""

import importlib
import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from m4ser.asr.backends.base import Backend, Hypothesis
from m4ser.utils.errors import UserError
from m4ser.utils.extras import missing

Setting = bool | int | float | str  # of a backend: a keyword argument of its constructor
__all__ = ["BACKENDS", "Backend", "Hypothesis", "Setting", "backend_class", "build_backend", "parse_settings"]

# name -> (module, class); modules are imported when they are needed, each brings heavy libraries.
BACKENDS = {
    "faster_whisper": ("m4ser.asr.backends.faster_whisper", "FasterWhisper"),
    "hf": ("m4ser.asr.backends.hf", "HuggingFace"),
    "espnet": ("m4ser.asr.backends.espnet", "EspnetAsr"),
    "pocketsphinx": ("m4ser.asr.backends.pocketsphinx", "PocketSphinx"),
    "reference": ("m4ser.asr.backends.reference", "Reference"),
}
# How to get packages that are not installed everywhere: this one has no wheel for some versions of Python.
OPTIONAL = {"pocketsphinx": "pip install --no-deps pocketsphinx==5.1.1"}
# Arguments of a constructor that are not settings of a user.
GIVEN = ("self", "model", "pretrained_dir", "references")


def backend_class(name: str) -> type[Backend]:
    """The class of a backend.

    Raises:
        UserError: there is none of that name, or a package it needs is missing.
    """
    if name not in BACKENDS:
        raise UserError(f"--asr {name}: unknown; choose one of {', '.join(BACKENDS)}")
    module, attribute = BACKENDS[name]
    try:
        return getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        remedy = OPTIONAL.get(error.name or "")
        needs = f"needs the Python package {error.name}; run: {remedy}" if remedy else missing(error)
        raise UserError(f"--asr {name}: {needs}") from error


def build_backend(
    name: str,
    model: str | None = None,
    pretrained_dir: str | Path | None = None,
    references: Mapping[str, str] | None = None,
    **settings: Setting,
) -> Backend:
    """Build a recogniser.

    Args:
        name: one of BACKENDS.
        model: offline:NAME, folder or hub id; None for the backend's own default. Backends without models ignore it.
        pretrained_dir: where local copies of models are looked for first.
        references: transcripts by utterance, for backends that want them.
        settings: keyword arguments of the backend.

    Raises:
        UserError: the backend, a setting or the model does not exist.
    """
    backend = backend_class(name)
    parameters = inspect.signature(backend.__init__).parameters
    known = [parameter for parameter in parameters if parameter not in GIVEN]
    for setting in settings:
        if setting not in known:
            raise UserError(f"--asr-conf {setting}: {name} has no such setting; it has {', '.join(known)}")
        _check_type(setting, settings[setting], parameters[setting].default)
    arguments: dict[str, Any] = {"model": model, "pretrained_dir": pretrained_dir, "references": references}
    keywords = {name: value for name, value in arguments.items() if name in parameters and value is not None}
    return backend(**settings, **keywords)


def _check_type(setting: str, value: object, default: object) -> None:
    """Raises a UserError for a value, of a stored model for instance, that is of another type than the default."""
    if isinstance(default, float):
        fits = isinstance(value, int | float) and not isinstance(value, bool)
    else:
        fits = isinstance(value, type(default)) and isinstance(value, bool) == isinstance(default, bool)
    if not fits:
        raise UserError(f"--asr-conf {setting}: must be like {default!r}, not {str(value)[:40]!r}")


def parse_settings(name: str, words: Sequence[str]) -> dict[str, Setting]:
    """Settings of a backend from words `name=value`, as the types of the constructor's defaults say.

    Raises:
        UserError: not of that form, no such setting, or a value of the wrong type.
    """
    parameters = inspect.signature(backend_class(name).__init__).parameters
    known = [parameter for parameter in parameters if parameter not in GIVEN]
    settings: dict[str, Setting] = {}
    for word in words:
        setting, equals, value = word.partition("=")
        if not equals or setting not in known:
            raise UserError(f"--asr-conf {word}: must be NAME=VALUE with a NAME of {name}: {', '.join(known)}")
        settings[setting] = _parse(word, value, parameters[setting].default)
    return settings


def _parse(word: str, value: str, default: object) -> Setting:
    if isinstance(default, bool):
        if value in ("true", "false"):
            return value == "true"
        raise UserError(f"--asr-conf {word}: must be true or false")
    if isinstance(default, int | float):
        try:
            return type(default)(value)
        except ValueError:
            expected = "a whole number" if isinstance(default, int) else "a number"
            raise UserError(f"--asr-conf {word}: must be {expected}") from None
    return value
