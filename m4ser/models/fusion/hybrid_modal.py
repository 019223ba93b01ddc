"""Hybrid-modal attention: the generator of the modality-invariant representation.

Reconstructed from MIR-GAN (Hu et al., ACL 2023), read as code there. MIR-GAN's streams are frame-synchronous; for
speech and text of different lengths the query is their concatenation in time, so every position of either stream
asks both streams what they share.
"""

import math

import torch
from torch import Tensor, nn

from m4ser.models.fusion.balance import Standardised


class MaskedNorm(nn.Module):
    """LayerNorm over channels, or BatchNorm whose statistics come from valid positions only.

    MIR-GAN uses plain BatchNorm1d: with padding in the batch its statistics would depend on how much padding there is.
    """

    def __init__(self, norm: str, size: int):
        super().__init__()
        if norm not in ("layer", "batch"):
            raise ValueError(f"norm must be layer or batch, not {norm!r}")
        self.norm = nn.LayerNorm(size) if norm == "layer" else nn.BatchNorm1d(size)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, D), (B, T) -> (B, T, D)."""
        if isinstance(self.norm, nn.LayerNorm):
            return self.norm(x)
        normalised = torch.zeros_like(x)
        normalised[mask] = self.norm(x[mask]).to(x.dtype)
        return normalised


class StreamBranch(nn.Module):
    """What one stream contributes to the joint sequence x.

    A_u = softmax(x x_u^T / sqrt(D)),  r_u = PReLU(norm(W A_u x_u)),
    M_u = sigmoid(norm(W [r_u; x])) filters out what is specific to the stream,  r_u' = W (r_u * M_u).
    """

    def __init__(self, size: int, norm: str, learned_projections: bool):
        super().__init__()
        self.scale = 1.0 / math.sqrt(size)
        self.query = nn.Linear(size, size) if learned_projections else nn.Identity()
        self.key = nn.Linear(size, size) if learned_projections else nn.Identity()
        self.value = nn.Linear(size, size) if learned_projections else nn.Identity()
        self.content = nn.Linear(size, size)
        self.content_norm = MaskedNorm(norm, size)
        self.activation = nn.PReLU()
        self.gate = nn.Linear(2 * size, size)
        self.gate_norm = MaskedNorm(norm, size)
        self.output = nn.Linear(size, size)

    def forward(self, joint: Tensor, joint_mask: Tensor, stream: Tensor, stream_mask: Tensor) -> Tensor:
        """(B, Q, D), (B, Q), (B, S, D), (B, S) -> (B, Q, D)."""
        score = torch.matmul(self.query(joint), self.key(stream).transpose(1, 2)) * self.scale  # (B, Q, S)
        score = score.masked_fill(~stream_mask.unsqueeze(1), torch.finfo(score.dtype).min)
        content = torch.matmul(torch.softmax(score, dim=-1), self.value(stream))
        content = self.activation(self.content_norm(self.content(content), joint_mask))
        gate = torch.sigmoid(self.gate_norm(self.gate(torch.cat([content, joint], dim=-1)), joint_mask))
        return self.output(content * gate)


class HybridModalAttention(nn.Module):
    """One block: x <- LN(x + r_S' + r_T'), each stream with weights of its own.

    Args:
        size: D.
        norm: "layer" or "batch", of the branches.
        learned_projections: of queries, keys and values.
        dropout: on what is added.
        balance: r_u' are standardised (:class:`.Standardised`), so that neither stream outweighs the other.
    """

    def __init__(
        self,
        size: int,
        norm: str = "layer",
        learned_projections: bool = False,
        dropout: float = 0.0,
        balance: bool = False,
    ):
        super().__init__()
        self.speech = StreamBranch(size, norm, learned_projections)
        self.text = StreamBranch(size, norm, learned_projections)
        self.norm = nn.LayerNorm(size)
        self.dropout = nn.Dropout(dropout)
        self.balance = nn.ModuleList(Standardised(size) for _ in range(2)) if balance else None

    def forward(
        self,
        joint: Tensor,
        joint_mask: Tensor,
        speech: Tensor,
        speech_mask: Tensor,
        text: Tensor,
        text_mask: Tensor,
    ) -> Tensor:
        """Joint sequence (B, Q, D) and the two specific streams -> (B, Q, D)."""
        heard = self.speech(joint, joint_mask, speech, speech_mask)
        read = self.text(joint, joint_mask, text, text_mask)
        if self.balance is not None:
            heard, read = (part(x, joint_mask) for part, x in zip(self.balance, (heard, read), strict=True))
        return self.norm(joint + self.dropout(heard + read))
