"""Where the invariant representation begins: the sequence that asks both streams what they share.

MIR-GAN (Hu et al., ACL 2023), whose streams have one frame rate, begins with ``Linear(LN([H_S; H_T]))`` of every
frame. Speech and text have different lengths, so M4SER must begin otherwise; how could not be read. These are ways to
do it.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from m4ser.models.fusion.attention import Attention
from m4ser.models.fusion.balance import Standardised

Seed = tuple[Tensor, Tensor]  # the sequence (B, Q, D) and where it is valid (B, Q)


class ConcatSeed(nn.Module):
    """[H_S; H_T] in time: every position comes from one modality, and keeps it by the residual."""

    def __init__(self, size: int, heads: int, dropout: float, queries: int):
        super().__init__()

    def forward(self, speech: Tensor, speech_mask: Tensor, text: Tensor, text_mask: Tensor) -> Seed:
        """(B, M, D), (B, M), (B, N, D), (B, N) -> (B, M + N, D), (B, M + N)."""
        return torch.cat([speech, text], 1), torch.cat([speech_mask, text_mask], 1)


class TextSeed(nn.Module):
    """H_T alone: short, and the invariant representation is then the text with additions."""

    def __init__(self, size: int, heads: int, dropout: float, queries: int):
        super().__init__()

    def forward(self, speech: Tensor, speech_mask: Tensor, text: Tensor, text_mask: Tensor) -> Seed:
        """(B, M, D), (B, M), (B, N, D), (B, N) -> (B, N, D), (B, N)."""
        return text, text_mask


class MixedSeed(nn.Module):
    """Linear(LN([H_T; MHA(Q=H_T, K=V=H_S)])): MIR-GAN's seed, with attention in the place of equal frame rates."""

    def __init__(self, size: int, heads: int, dropout: float, queries: int):
        super().__init__()
        self.attention = Attention(size, heads, dropout=dropout)
        self.mix = nn.Sequential(nn.LayerNorm(2 * size), nn.Linear(2 * size, size), nn.Dropout(dropout))

    def forward(self, speech: Tensor, speech_mask: Tensor, text: Tensor, text_mask: Tensor) -> Seed:
        """(B, M, D), (B, M), (B, N, D), (B, N) -> (B, N, D), (B, N)."""
        heard = self.attention(text, speech, speech_mask)
        return self.mix(torch.cat([text, heard], dim=-1)), text_mask


class LearnedSeed(nn.Module):
    """q + MHA(q, H_S) + MHA(q, H_T) for some learned q, as in Perceiver (Jaegle et al. 2021).

    No position belongs to a modality, and what is read in either is standardised (:class:`.Standardised`).
    """

    def __init__(self, size: int, heads: int, dropout: float, queries: int):
        super().__init__()
        self.queries = nn.Parameter(torch.randn(queries, size) / size**0.5)
        self.speech, self.text = (Attention(size, heads, dropout=dropout) for _ in range(2))
        self.speech_norm, self.text_norm = Standardised(size), Standardised(size)

    def forward(self, speech: Tensor, speech_mask: Tensor, text: Tensor, text_mask: Tensor) -> Seed:
        """(B, M, D), (B, M), (B, N, D), (B, N) -> (B, Q, D), (B, Q), all valid."""
        queries = self.queries.expand(speech.shape[0], -1, -1)  # len() would hold a graph to the batch of its example
        mask = speech_mask.new_ones(queries.shape[:2])
        heard = self.speech_norm(self.speech(queries, speech, speech_mask), mask)
        read = self.text_norm(self.text(queries, text, text_mask), mask)
        return queries + heard + read, mask


SEEDS: dict[str, Callable[[int, int, float, int], nn.Module]] = {
    "concat": ConcatSeed,
    "text": TextSeed,
    "mixed": MixedSeed,
    "learned": LearnedSeed,
}
