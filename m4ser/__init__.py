"""M4SER: multimodal speech emotion recognition recipes on top of ESPnet2.

``from m4ser import EmotionRecognizer`` is loaded when it is first asked for: importing the package costs nothing.
"""

__version__ = "0.2.0"
__all__ = ["EmotionRecognizer", "__version__"]


def __getattr__(name: str):
    if name == "EmotionRecognizer":
        from m4ser.inference.recognizer import EmotionRecognizer

        return EmotionRecognizer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
