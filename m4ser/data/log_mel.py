"""Whisper's log-mel features with NumPy alone, for models that run without PyTorch.

The same numbers as transformers' ``WhisperFeatureExtractor`` gives for the recording alone, which is not padded to 30 s
but filled up with zeros to whole frames of the encoder (:class:`m4ser.models.encoders.backbones.WhisperBackbone`).
Spectra are computed in double precision, as transformers does without PyTorch; with PyTorch it does so in single
precision, which is off by some 1e-5 where a frame's energy lies in a few of its bins.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

# Most of what a feature extractor may be given; others are refused before tables of such sizes are made.
MOST = {"feature_size": 1024, "n_fft": 1 << 14, "hop_length": 1 << 14, "sampling_rate": 192_000}
STRIDE = 2  # of Whisper's second convolution
HIGHEST = 8000.0  # Hz
SMALLEST, RANGE = 1e-10, 8.0  # least power, and how far below the loudest is kept, in powers of ten
LINEAR, STEP, FIRST = 1000.0, 200.0 / 3.0, np.log(6.4) / 27.0  # Slaney's scale: linear up to, Hz a mel, log above it
BLOCK = 1024  # frames at a time


class LogMel:
    """Log-mel features of 16 kHz recordings.

    Args:
        fields: of the feature extractor, ``hf_features`` of an archive's ``pipeline.speech.architecture``.

    Attributes:
        mels: features of a frame.
        hop: samples from one frame to the next.

    Raises:
        ValueError: a field is missing or cannot be.
    """

    def __init__(self, fields: Mapping[str, Any]) -> None:
        for name, most in MOST.items():
            value = fields.get(name)
            if type(value) is not int or not 0 < value <= most:
                raise ValueError(f"hf_features: {name}: must be a whole number from 1 to {most}, not {str(value)[:40]}")
        self.mels, self.hop, self.size = fields["feature_size"], fields["hop_length"], fields["n_fft"]
        # A period of Hann's window, without the last zero.
        self.window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(self.size) / self.size)
        self.filters = mel_filters(self.mels, 1 + self.size // 2, fields["sampling_rate"])

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        """A recording, of which at least the first frame of the encoder is made.

        Shape: (samples,) float32 -> (mels, 2 ceil(samples / (2 hop))) float32
        """
        step = STRIDE * self.hop
        filled = max(1, -(-len(samples) // step)) * step
        half = self.size // 2
        padded = np.pad(np.pad(samples, (0, filled - len(samples))), half, mode="reflect")
        frames = np.lib.stride_tricks.sliding_window_view(padded, self.size)[: filled : self.hop]
        mel = np.empty((self.mels, len(frames)))
        for start in range(0, len(frames), BLOCK):
            spectrum = np.fft.rfft(frames[start : start + BLOCK] * self.window)
            power = spectrum.real**2 + spectrum.imag**2
            mel[:, start : start + BLOCK] = self.filters @ power.T
        mel = np.log10(np.maximum(mel, SMALLEST))
        return ((np.maximum(mel, mel.max() - RANGE) + 4) / 4).astype(np.float32)


def mel_filters(mels: int, bins: int, rate: int) -> np.ndarray:
    """Triangles of equal area, equally far from each other on Slaney's mel scale from 0 to 8000 Hz.

    Shape: -> (mels, bins)
    """
    points = _hertz(np.linspace(0.0, _mel(HIGHEST), mels + 2))
    places = np.linspace(0, rate // 2, bins)
    slopes = points[:, None] - places[None, :]
    width = np.diff(points)[:, None]
    rising, falling = -slopes[:-2] / width[:-1], slopes[2:] / width[1:]
    area = 2.0 / (points[2:] - points[:-2])
    return np.maximum(0.0, np.minimum(rising, falling)) * area[:, None]


def _mel(hertz: float) -> float:
    return hertz / STEP if hertz < LINEAR else LINEAR / STEP + float(np.log(hertz / LINEAR)) / FIRST


def _hertz(mel: np.ndarray) -> np.ndarray:
    return np.where(mel < LINEAR / STEP, mel * STEP, LINEAR * np.exp(FIRST * (mel - LINEAR / STEP)))
