"""ESPnet's Conformer and E-Branchformer on log mel features, trained from scratch.

Padding never counts, which takes some care with ESPnet's parts: spectra are computed without centring (frames at the
end would be mirrored from padding), subsampling is here (ESPnet's gives an utterance more frames in a batch than
alone), convolutions over time get zeros for padding, and the Conformer has layer norm where ESPnet has batch norm.
"""

import inspect
from abc import abstractmethod
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn

from m4ser.data.audio import RATE
from m4ser.models.encoders.base import Encoder
from m4ser.models.representations import length_mask, masked_mean, masked_std

HOP = 160
WINDOW = 400
FFT = 512
Sized = TypeVar("Sized", int, Tensor)


class RunningNorm(nn.Module):
    """Zero mean and unit deviation of every feature over all valid training frames seen so far.

    Global normalisation without a pass over the data beforehand; evaluation changes nothing.
    """

    count: Tensor  # of frames
    total: Tensor  # (F,), sum over frames
    square: Tensor  # (F,), sum of squares

    def __init__(self, size: int):
        super().__init__()
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))
        self.register_buffer("total", torch.zeros(size, dtype=torch.float64))
        self.register_buffer("square", torch.zeros(size, dtype=torch.float64))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, F), (B, T) -> (B, T, F)."""
        if self.training:
            with torch.no_grad():
                frames = x[mask].double()
                # New tensors: a backward pass may still need the old ones.
                self.count = self.count + len(frames)
                self.total = self.total + frames.sum(0)
                self.square = self.square + frames.square().sum(0)
        count = self.count.clamp(min=1.0)
        mean = self.total / count
        deviation = (self.square / count - mean.square()).clamp(min=0.0).add(1e-5).sqrt()
        return (x - mean.to(x.dtype)) / deviation.to(x.dtype)


class Subsampling(nn.Module):
    """Two 3 x 3 convolutions of stride 2: (B, T, F) -> (B, ceil(T / 4), output_size), 25 frames a second."""

    def __init__(self, input_size: int, channels: int = 32):
        super().__init__()
        self.convolutions = nn.ModuleList(nn.Conv2d(size, channels, 3, stride=2, padding=1) for size in (1, channels))
        self.output_size = channels * halved(halved(input_size))

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, F) with zeros in padding, (B,) -> (B, T', D), (B,)."""
        x = x.unsqueeze(1)
        for convolution in self.convolutions:
            lengths = halved(lengths)
            x = torch.relu(convolution(x))
            x = x * length_mask(lengths, x.shape[2])[:, None, :, None]
        return x.transpose(1, 2).flatten(2), lengths


def halved(size: Sized) -> Sized:
    """Frames that a convolution of stride 2 leaves of ``size``."""
    return (size + 1) // 2


class FbankEncoder(Encoder):
    """Log mel features, normalisation, subsampling, then one of ESPnet's encoders.

    Args:
        n_mels: mel bands.
        normalise: "global" (:class:`RunningNorm`), "utterance" (each utterance's own mean and deviation: removes
            speaker and channel level, loudness too) or "none".
        time_mask: SpecAugment in training: largest share of the frames in each of two spans that are hidden; 0: none.
        freq_mask: largest number of mel bands in each of two bands that are hidden; 0: none.
        output_size: D.
        num_blocks, attention_heads, dropout_rate: of ESPnet's encoder.
        espnet: its further options by name.

    A recording shorter than one window (512 samples) is filled up with zeros.
    """

    def __init__(
        self,
        n_mels: int = 80,
        normalise: str = "global",
        time_mask: float = 0.1,
        freq_mask: int = 20,
        output_size: int = 256,
        num_blocks: int = 6,
        attention_heads: int = 4,
        dropout_rate: float = 0.1,
        espnet: dict[str, Any] | None = None,
    ):
        super().__init__()
        from espnet2.asr.frontend.default import DefaultFrontend
        from espnet2.asr.specaug.specaug import SpecAug

        if normalise not in ("global", "utterance", "none"):
            raise ValueError(f"normalise must be global, utterance or none, not {normalise!r}")
        self.frontend = DefaultFrontend(
            fs=RATE, n_fft=FFT, win_length=WINDOW, hop_length=HOP, center=False, n_mels=n_mels, frontend_conf=None
        )
        self.normalise = normalise
        self.norm = RunningNorm(n_mels) if normalise == "global" else None
        self.augment = None
        if time_mask > 0 or freq_mask > 0:
            self.augment = SpecAug(
                apply_time_warp=False,
                apply_freq_mask=freq_mask > 0,
                freq_mask_width_range=(0, max(freq_mask, 1)),
                apply_time_mask=time_mask > 0,
                time_mask_width_range=None,
                time_mask_width_ratio_range=(0.0, time_mask),
            )
        self.subsampling = Subsampling(n_mels)
        fixed = {
            "input_size": self.subsampling.output_size,
            "output_size": output_size,
            "num_blocks": num_blocks,
            "attention_heads": attention_heads,
            "dropout_rate": dropout_rate,
            "input_layer": "linear",
        }
        self.encoder: Any = self._build({**self._defaults, **(espnet or {})}, fixed)
        self._mask: Tensor | None = None
        for module in self.encoder.encoders.modules():
            if isinstance(module, nn.Conv1d) and module.kernel_size[0] > 1:
                module.register_forward_pre_hook(self._clear_padding)
        self.frame_rate = RATE / HOP / 4

    _defaults: ClassVar[dict[str, Any]] = {}

    @abstractmethod
    def _espnet_class(self) -> type[nn.Module]:
        """The encoder of ESPnet2 that is wrapped."""

    def _build(self, conf: dict[str, Any], fixed: dict[str, Any]) -> Any:
        encoder_class = self._espnet_class()
        known = set(inspect.signature(encoder_class).parameters) - set(fixed)
        if unknown := sorted(set(conf) - known):
            raise ValueError(f"espnet: unknown key {unknown[0]!r}; known are {', '.join(sorted(known))}")
        return encoder_class(**fixed, **conf)

    def _clear_padding(self, module: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
        assert self._mask is not None  # forward sets it
        return (inputs[0] * self._mask[:, None],)

    def output_size(self) -> int:
        """D."""
        return self.encoder.output_size()

    def forward(self, xs_pad: Tensor, ilens: Tensor, prev_states: Tensor | None = None) -> tuple[Tensor, Tensor, None]:
        """16 kHz samples (B, S), (B,) -> (B, M, D), frames (B,), None; padded frames come out as zeros."""
        samples = xs_pad.masked_fill(~length_mask(ilens, xs_pad.shape[1]), 0.0)
        ilens = ilens.clamp(min=FFT)
        longest = int(ilens.max())
        samples = nn.functional.pad(samples, (0, max(0, longest - samples.shape[1])))[:, :longest]
        with torch.no_grad(), torch.autocast(samples.device.type, enabled=False):
            x, lengths = self.frontend(samples.float(), ilens)
            mask = length_mask(lengths, x.shape[1])
            if self.norm is not None:
                x = self.norm(x, mask)
            elif self.normalise == "utterance":
                x = (x - masked_mean(x, mask).unsqueeze(1)) / masked_std(x, mask).unsqueeze(1)
            if self.augment is not None and self.training:
                x, _ = self.augment(x, lengths)
        x, lengths = self.subsampling(x.masked_fill(~mask.unsqueeze(-1), 0.0), lengths)
        self._mask = mask = length_mask(lengths, x.shape[1])
        states, _, _ = self.encoder(x, lengths, masks=~mask)
        return states.masked_fill(~mask.unsqueeze(-1), 0.0), lengths, None


class _ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of (B, C, T)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.transpose(1, 2)).transpose(1, 2)


class ConformerEncoder(FbankEncoder):
    """ESPnet's Conformer (Gulati et al. 2020)."""

    _defaults: ClassVar[dict[str, Any]] = {
        "macaron_style": True,
        "rel_pos_type": "latest",
        "linear_units": 1024,
        "cnn_module_kernel": 15,
    }

    def _espnet_class(self) -> type[nn.Module]:
        from espnet2.asr.encoder.conformer_encoder import ConformerEncoder as Conformer

        return Conformer

    def _build(self, conf: dict[str, Any], fixed: dict[str, Any]) -> Any:
        encoder = super()._build(conf, fixed)
        for layer in encoder.encoders:
            if layer.conv_module is not None:
                layer.conv_module.norm = _ChannelNorm(fixed["output_size"])
        return encoder


class EBranchformerEncoder(FbankEncoder):
    """ESPnet's E-Branchformer (Kim et al. 2022)."""

    _defaults: ClassVar[dict[str, Any]] = {
        "use_ffn": True,
        "macaron_ffn": True,
        "linear_units": 1024,
        "cgmlp_linear_units": 1024,
        "cgmlp_conv_kernel": 15,
    }

    def _espnet_class(self) -> type[nn.Module]:
        from espnet2.asr.encoder.e_branchformer_encoder import EBranchformerEncoder as EBranchformer

        return EBranchformer
