"""What stages 1 to 3 did to the data of a training, for ``run.json``: :mod:`m4ser.inference.frontend` does it again."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from m4ser.utils.files import read_json


def describe(uses_speech: bool, text_source: str, feats: str, text: str, asr: str, sets: Sequence[str]) -> dict:
    """The ``pipeline`` of data that stages 1 to 3 have written to the folders given (empty: not used)."""
    speech = None
    if uses_speech:
        info = _info(feats, sets, "info.json")
        speech = {key: info[key] for key in ("encoder", "layers", "pool") if key in info}
        if "encoder" in speech:
            speech["encoder"] = _place(speech["encoder"])
    if text_source == "none":
        return {"speech": speech, "text": None}
    decoded = _info(asr, sets, "decode.json")
    found = {"source": text_source, "normaliser": _info(text, sets, "stats.json").get("normaliser", "english")}
    recogniser = {"name": decoded.get("asr"), "model": _place(decoded.get("model") or "")}
    found["asr"] = {**recogniser, "settings": decoded.get("settings", {})} if decoded else None
    return {"speech": speech, "text": found}


def _info(folder: str, sets: Sequence[str], name: str) -> dict[str, Any]:
    path = Path(folder) / sets[0] / name if folder else None
    return read_json(path) if path and path.is_file() else {}


def _place(model: str) -> str:
    """A model's name; a folder as absolute path, because it was given from the recipe's folder."""
    return str(Path(model).resolve()) if model and Path(model).expanduser().is_dir() else model
