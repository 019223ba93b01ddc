"""Speech features of stage 1 (hidden layers of a frozen encoder) as the speech encoder of the model."""

import torch
from torch import Tensor, nn

from m4ser.models.encoders.base import Encoder
from m4ser.models.representations import length_mask, masked_mean, masked_std
from m4ser.models.standard import RunningStandard


class PrecomputedEncoder(Encoder):
    """Learned weighted sum of the dumped layers, standardised, then projected to the model size.

    The sum is SUPERB's (Yang et al. 2021): softmax weights over layers that were normalised one by one, so that a
    layer's scale does not decide its weight. ``num_layers``, ``input_size`` and ``frame_rate`` are read from the
    features' ``info.json`` when training starts.

    Args:
        num_layers: L, layers in a frame of the features.
        input_size: F, size of one layer.
        frame_rate: frames per second of the features.
        output_size: D; 0 keeps F without a projection.
        dropout: on the output.
        layers: "weighted" for the sum, "concat" to project all layers side by side (L F -> D).
        normalise: "frame" (layer norm of each layer and frame), "utterance" (zero mean, unit deviation over the
            utterance of every dimension: removes speaker and channel level), "corpus" (zero mean, unit deviation over
            the training part of every dimension, whatever its unit; a value that is missing, NaN, becomes the mean) or
            "none".
        time_mask: largest share of frames hidden (set to zero) in training, as in SpecAugment; 0 for none.
    """

    def __init__(
        self,
        num_layers: int = 1,
        input_size: int = 384,
        frame_rate: float = 50.0,
        output_size: int = 256,
        dropout: float = 0.1,
        layers: str = "weighted",
        normalise: str = "frame",
        time_mask: float = 0.0,
    ):
        super().__init__()
        if layers not in ("weighted", "concat"):
            raise ValueError(f"layers must be weighted or concat, not {layers!r}")
        if normalise not in ("frame", "utterance", "corpus", "none"):
            raise ValueError(f"normalise must be frame, utterance, corpus or none, not {normalise!r}")
        self.num_layers, self.input_size, self.frame_rate = num_layers, input_size, frame_rate
        self.normalise, self.time_mask = normalise, time_mask
        self.standardise = RunningStandard(num_layers * input_size) if normalise == "corpus" else None
        self.layer_weights = nn.Parameter(torch.zeros(num_layers)) if layers == "weighted" else None
        summed = input_size if layers == "weighted" else num_layers * input_size
        self.projection = nn.Linear(summed, output_size) if output_size else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self._output_size = output_size or summed

    def output_size(self) -> int:
        """D."""
        return self._output_size

    def forward(self, xs_pad: Tensor, ilens: Tensor, prev_states: Tensor | None = None) -> tuple[Tensor, Tensor, None]:
        """(B, M, L F), (B,) -> (B, M, D), (B,), None; padded frames come out as zeros."""
        mask = length_mask(ilens, xs_pad.shape[1])
        if self.standardise is not None:
            xs_pad = self.standardise(xs_pad, mask)
        x = xs_pad.unflatten(-1, (self.num_layers, self.input_size))  # (B, M, L, F)
        if self.normalise == "frame":
            x = nn.functional.layer_norm(x, (self.input_size,))
        elif self.normalise == "utterance":
            flat = x.flatten(2)
            flat = (flat - masked_mean(flat, mask).unsqueeze(1)) / masked_std(flat, mask).unsqueeze(1)
            x = flat.unflatten(-1, (self.num_layers, self.input_size))
        if self.layer_weights is not None:
            x = torch.einsum("bmlf,l->bmf", x, torch.softmax(self.layer_weights, 0))
        else:
            x = x.flatten(2)
        x = self.dropout(self.projection(x))
        if self.training and self.time_mask > 0:
            x = x.masked_fill(self._hidden_span(ilens, x.shape[1]).unsqueeze(-1), 0.0)
        return x.masked_fill(~mask.unsqueeze(-1), 0.0), ilens, None

    def _hidden_span(self, lengths: Tensor, size: int) -> Tensor:
        """One random span per utterance, at most ``time_mask`` of its length: (B, size), True inside."""
        span = torch.rand(len(lengths), device=lengths.device) * self.time_mask * lengths
        start = torch.rand(len(lengths), device=lengths.device) * (lengths - span)
        frame = torch.arange(size, device=lengths.device)[None, :]
        return (frame >= start[:, None]) & (frame < (start + span)[:, None])
