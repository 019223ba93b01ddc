"""Cross-modal encoder: modality-specific representations of one stream, informed by the other.

Reconstructed from MIR-GAN (Hu et al., ACL 2023), whose encoder layer is self-attention, cross-attention and a
feed-forward net per stream; M4SER's depth and the use of self-attention are not known and are switches here.
"""

from functools import partial

import torch
from torch import Tensor, nn

from m4ser.models.fusion.attention import Attention


class CrossModalLayer(nn.Module):
    """One layer: H' = LN(H + s MHA(Q=H, K=V=W)), H_spe = LN(H' + FFN(H')); with ``self_attention`` one more in front.

    Without ``cross_scale``, s is 1, and what is read in the other stream soon outweighs the own one: the states are
    then specific to neither. With it, s is learned for each channel and begins there (LayerScale, Touvron et al. 2021),
    so that a layer reads only as much of the other stream as pays.

    Args:
        size: D of both streams.
        heads: attention heads.
        feed_forward: inner size of the FFN.
        dropout: on attention weights and sublayer outputs.
        self_attention: H <- LN(H + MHA(H, H, H)) first, as in MIR-GAN.
        cross_scale: where the learned s begins, or None: 1, not learned.
    """

    def __init__(
        self,
        size: int,
        heads: int,
        feed_forward: int,
        dropout: float,
        self_attention: bool = False,
        cross_scale: float | None = None,
    ):
        super().__init__()
        self.self_attention = Attention(size, heads, dropout=dropout) if self_attention else None
        self.self_norm = nn.LayerNorm(size) if self_attention else None
        self.cross_attention = Attention(size, heads, dropout=dropout)
        self.cross_norm = nn.LayerNorm(size)
        self.cross_scale = None if cross_scale is None else nn.Parameter(torch.full((size,), float(cross_scale)))
        self.feed_forward = nn.Sequential(
            nn.Linear(size, feed_forward), nn.ReLU(), nn.Dropout(dropout), nn.Linear(feed_forward, size)
        )
        self.feed_forward_norm = nn.LayerNorm(size)
        self.dropout = nn.Dropout(dropout)

    def forward(self, states: Tensor, mask: Tensor, other: Tensor, other_mask: Tensor) -> Tensor:
        """(B, T, D), (B, T), (B, S, D), (B, S) -> (B, T, D); rows of padded positions mean nothing."""
        if self.self_attention is not None and self.self_norm is not None:
            states = self.self_norm(states + self.dropout(self.self_attention(states, states, mask)))
        read = self.dropout(self.cross_attention(states, other, other_mask))
        states = self.cross_norm(states + (read if self.cross_scale is None else self.cross_scale * read))
        return self.feed_forward_norm(states + self.dropout(self.feed_forward(states)))


class CrossModalEncoder(nn.Module):
    """Speech <- text and text <- speech layers side by side; layer k of one stream reads layer k - 1 of the other."""

    def __init__(
        self,
        size: int,
        layers: int,
        heads: int,
        feed_forward: int,
        dropout: float,
        self_attention: bool = False,
        cross_scale: float | None = None,
    ):
        super().__init__()
        make = partial(CrossModalLayer, size, heads, feed_forward, dropout, self_attention, cross_scale)
        self.speech_layers = nn.ModuleList(make() for _ in range(layers))
        self.text_layers = nn.ModuleList(make() for _ in range(layers))

    def forward(self, speech: Tensor, speech_mask: Tensor, text: Tensor, text_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return H_S_spe (B, M, D) and H_T_spe (B, N, D), zeros on padded positions."""
        for speech_layer, text_layer in zip(self.speech_layers, self.text_layers, strict=True):
            speech, text = (
                speech_layer(speech, speech_mask, text, text_mask),
                text_layer(text, text_mask, speech, speech_mask),
            )
        return speech.masked_fill(~speech_mask.unsqueeze(-1), 0.0), text.masked_fill(~text_mask.unsqueeze(-1), 0.0)
