"""M4SER: multimodal speech emotion recognition recipes on top of ESPnet2."""

__version__ = "0.1.0"
