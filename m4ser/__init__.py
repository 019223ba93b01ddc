"""M4SER: multimodal speech emotion recognition recipes on top of ESPnet2.

``from m4ser import EmotionRecognizer`` is loaded when it is first asked for: importing the package costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from m4ser.inference.recognizer import EmotionRecognizer

__version__ = "0.2.0"
__all__ = ["EmotionRecognizer", "__version__"]


def __getattr__(name: str) -> Any:
    if name == "EmotionRecognizer":
        return importlib.import_module("m4ser.inference.recognizer").EmotionRecognizer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
