"""Frozen pretrained speech encoders: all hidden layers of one recording (feature extraction of stage 1).

One recording at a time, so that its features do not depend on what it is batched with or how work is split. The
computation is that of the trainable encoder (:mod:`m4ser.models.encoders.backbones`).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from m4ser.data.own_names import OWN
from m4ser.models.encoders.backbones import Backbone, load_backbone
from m4ser.models.encoders.opensmile import PREFIX, OpenSmileFunctionals
from m4ser.models.representations import average_frames
from m4ser.utils.errors import UserError


class SpeechFeatures(Protocol):
    """What gives the features of stage 1: a frozen encoder, or openSMILE.

    Attributes:
        num_layers: L.
        dim: D.
        frame_rate: frames a second; 0 where there is one frame, however long the recording is.
    """

    num_layers: int
    dim: int
    frame_rate: float

    def to(self, device: str) -> "SpeechFeatures":
        """Compute on another device."""
        ...

    def layers(self, samples: np.ndarray) -> np.ndarray:
        """(samples,) float32 at 16 kHz -> (L, frames, D) float32."""
        ...


class FrozenEncoder:
    """Hidden states of a pretrained encoder; ``num_layers``, ``dim`` and ``frame_rate`` as in :class:`Backbone`."""

    def __init__(self, backbone: Backbone) -> None:
        self.backbone, self.device = backbone.eval().requires_grad_(False), "cpu"
        self.num_layers, self.dim, self.frame_rate = backbone.num_layers, backbone.dim, backbone.frame_rate

    def to(self, device: str) -> "FrozenEncoder":
        """Compute on another device."""
        self.backbone.to(device)
        self.device = device
        return self

    @torch.inference_mode()
    def layers(self, samples: np.ndarray) -> np.ndarray:
        """All hidden states of a 16 kHz recording.

        Shape: (samples,) float32 -> (num_layers, frames, dim) float32
        """
        batch = torch.from_numpy(np.array(samples, dtype=np.float32)).to(self.device)[None]
        # A single piece after the other: memory stays that of one piece, however long the recording is.
        pieces = torch.tensor_split(batch, self.backbone.cuts(len(samples)), dim=1)
        states = [
            torch.cat(self.backbone(piece, torch.tensor([piece.shape[1]], device=self.device))[0]) for piece in pieces
        ]
        return torch.cat(states, dim=1).cpu().numpy()


def load_frozen(name: str, pretrained_dir: str | Path | None = None) -> SpeechFeatures:
    """Load an encoder by name, local folder or hub id (see :mod:`m4ser.pretrained`), or openSMILE's functionals.

    Raises:
        UserError: it is not there, incomplete, or of a type that is not a speech encoder.
    """
    if name.startswith(OWN):
        fault = f"{name}: the model was trained on features of your own (--own-features)"
        raise UserError(f"{fault}, which nothing here can make of a recording")
    if name.startswith(PREFIX):
        return OpenSmileFunctionals(name.removeprefix(PREFIX))
    return FrozenEncoder(load_backbone(name, pretrained_dir))


def average(frames: np.ndarray, size: int) -> np.ndarray:
    """:func:`~m4ser.models.representations.average_frames` of one recording.

    Shape: (frames, features) -> (ceil(frames / size), features)
    """
    return average_frames(torch.from_numpy(frames)[None], torch.tensor([len(frames)]), size)[0].numpy()


def frozen_features(encoder: SpeechFeatures, samples: np.ndarray, layers: Sequence[int], pool: int) -> np.ndarray:
    """Chosen hidden layers of a frozen encoder side by side, averaged in time.

    Shape: (samples,) -> (ceil(frames / pool), layers * dim) float32
    """
    hidden = encoder.layers(samples)[list(layers)]
    return average(hidden.transpose(1, 0, 2).reshape(hidden.shape[1], -1), pool)
