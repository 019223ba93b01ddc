"""Frozen pretrained speech encoders: all hidden layers of one recording (feature extraction of stage 1).

One recording at a time, so that its features do not depend on what it is batched with or how work is split.
"""

import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoFeatureExtractor, AutoModel, WhisperModel

from m4ser.errors import UserError
from m4ser.pretrained import resolve

RATE = 16000
WAVEFORM_TYPES = ("hubert", "wav2vec2", "wavlm", "data2vec-audio", "unispeech", "unispeech-sat", "sew")


class FrozenEncoder:
    """Hidden states of a pretrained encoder.

    Attributes:
        num_layers: number of hidden states: the input of the first Transformer layer, then the output of each.
        dim: size of a hidden state.
        frame_rate: frames per second.
        samples_per_frame: 16 kHz samples from one frame to the next.
        longest: longer recordings are cut into pieces of about equal length, at most this many samples each.
    """

    num_layers: int
    dim: int
    samples_per_frame: int
    longest: int = 30 * RATE

    @property
    def frame_rate(self) -> float:
        return RATE / self.samples_per_frame

    def layers(self, samples: np.ndarray) -> np.ndarray:
        """All hidden states of a 16 kHz recording.

        Shape: (samples,) float32 -> (num_layers, frames, dim) float32
        """
        pieces = np.split(samples, self._cuts(len(samples)))
        with torch.inference_mode():
            states = [self._states(np.ascontiguousarray(piece, dtype=np.float32)) for piece in pieces]
        return torch.cat(states, dim=1).numpy()

    def _cuts(self, samples: int) -> list[int]:
        """Where to cut a long recording: between frames."""
        frames, pieces = math.ceil(samples / self.samples_per_frame), math.ceil(samples / self.longest)
        return [frames * piece // pieces * self.samples_per_frame for piece in range(1, pieces)]

    def _states(self, samples: np.ndarray) -> Tensor:
        """(samples,) -> (num_layers, frames, dim)."""
        raise NotImplementedError


class FrozenWhisper(FrozenEncoder):
    """Encoder of a Whisper model, on recordings that are not padded to 30 s.

    Positions beyond the recording are left away, which makes short recordings many times faster. On RAVDESS with
    Whisper tiny.en the hidden states keep a cosine similarity to the padded ones of 0.997 (first layer) to 0.95 (last).
    The recording is filled up with zeros to whole frames: ceil(samples / 320) frames, 50 a second.
    """

    def __init__(self, folder: str) -> None:
        self.encoder = WhisperModel.from_pretrained(folder, dtype=torch.float32).get_encoder().eval()
        self.extractor = AutoFeatureExtractor.from_pretrained(folder)
        config = self.encoder.config
        self.num_layers, self.dim = config.encoder_layers + 1, config.d_model
        self.samples_per_frame = self.extractor.hop_length * self.encoder.conv2.stride[0]
        self.longest = config.max_source_positions * self.samples_per_frame

    def _states(self, samples: np.ndarray) -> Tensor:
        samples = np.pad(samples, (0, -len(samples) % self.samples_per_frame))
        mel = self.extractor(samples, sampling_rate=RATE, padding="do_not_pad", return_tensors="pt").input_features
        encoder = self.encoder
        hidden = nn.functional.gelu(encoder.conv1(mel))
        hidden = nn.functional.gelu(encoder.conv2(hidden)).transpose(1, 2)
        hidden = hidden + encoder.embed_positions.weight[: hidden.shape[1]]
        states = [hidden]
        for layer in encoder.layers:
            hidden = layer(hidden, None)
            states.append(hidden)
        states[-1] = encoder.layer_norm(hidden)
        return torch.cat(states)


class FrozenWaveformEncoder(FrozenEncoder):
    """HuBERT, wav2vec 2.0, WavLM, data2vec and their relatives."""

    def __init__(self, folder: str) -> None:
        self.model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
        self.extractor = AutoFeatureExtractor.from_pretrained(folder)
        config = self.model.config
        self.num_layers, self.dim = config.num_hidden_layers + 1, config.hidden_size
        self.samples_per_frame = math.prod(config.conv_stride)
        self.shortest = 1  # samples that the convolutions need for one frame
        for kernel, stride in zip(reversed(config.conv_kernel), reversed(config.conv_stride), strict=True):
            self.shortest = (self.shortest - 1) * stride + kernel

    def _states(self, samples: np.ndarray) -> Tensor:
        samples = np.pad(samples, (0, max(0, self.shortest - len(samples))))
        inputs = self.extractor(samples, sampling_rate=RATE, return_tensors="pt").input_values
        return torch.cat(self.model(inputs, output_hidden_states=True).hidden_states)


def load_frozen(name: str, pretrained_dir: str | Path | None = None) -> FrozenEncoder:
    """Load an encoder by name, local folder or hub id (see :mod:`m4ser.pretrained`).

    Raises:
        UserError: it is not there, incomplete, or of a type that is not a speech encoder.
    """
    folder = resolve(name, pretrained_dir)
    try:
        kind = AutoConfig.from_pretrained(folder).model_type
        if kind == "whisper":
            return FrozenWhisper(folder)
        if kind in WAVEFORM_TYPES:
            return FrozenWaveformEncoder(folder)
    except (OSError, ValueError) as error:
        first_line = str(error).strip().split("\n")[0]
        raise UserError(
            f"{folder}: cannot be loaded as a Hugging Face model ({first_line}); put it there again"
        ) from None
    raise UserError(f"{folder}: model type {kind!r} is no speech encoder; use whisper, {', '.join(WAVEFORM_TYPES)}")
