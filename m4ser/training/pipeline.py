"""What stages 1 to 3 did to the data of a training, for ``run.json``: :mod:`m4ser.inference.frontend` does it again."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from m4ser.models.description import Pipeline, SpeechPipeline, TextPipeline
from m4ser.training.settings import NO_TEXT
from m4ser.utils.files import read_json


def describe(uses_speech: bool, text_source: str, feats: str, text: str, asr: str, sets: Sequence[str]) -> Pipeline:
    """What was done to the data that stages 1 to 3 have written to the folders given (empty: not used).

    Args:
        uses_speech: whether the model does.
        text_source: ``asr``, ``ref`` or ``none``.
        feats: stage 1 features; empty where the model reads the waveform.
        text: stage 3 targets.
        asr: stage 2 of one recogniser.
        sets: names of the sets, which were all made alike.
    """
    return {
        "speech": _speech(feats, sets) if uses_speech else None,
        "text": None if text_source == NO_TEXT else _text(text_source, text, asr, sets),
    }


def _speech(feats: str, sets: Sequence[str]) -> SpeechPipeline:
    info, speech = _read(feats, sets, "info.json"), SpeechPipeline()
    if "encoder" in info:
        speech["encoder"] = _place(info["encoder"])
    if "layers" in info:
        speech["layers"] = info["layers"]
    if "pool" in info:
        speech["pool"] = info["pool"]
    return speech


def _text(source: str, text: str, asr: str, sets: Sequence[str]) -> TextPipeline:
    decoded = _read(asr, sets, "decode.json")
    return {
        "source": source,
        "normaliser": _read(text, sets, "stats.json").get("normaliser", "english"),
        "asr": {
            "name": decoded.get("asr"),
            "model": _place(decoded.get("model") or ""),
            "settings": decoded.get("settings", {}),
        }
        if decoded
        else None,
    }


def _read(folder: str, sets: Sequence[str], name: str) -> dict[str, Any]:
    path = Path(folder) / sets[0] / name if folder else None
    return read_json(path) if path and path.is_file() else {}


def _place(model: str) -> str:
    """A model's name; a folder as absolute path, because it was given from the recipe's folder."""
    return str(Path(model).resolve()) if model and Path(model).expanduser().is_dir() else model
