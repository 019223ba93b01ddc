"""The fusion of M4SER: modality-specific (MSR) and modality-invariant (MIR) representations.

    H_S_spe, H_T_spe = CrossModalEncoder(H_S, H_T)
    H_inv = HybridModalAttention([H_S; H_T], H_S_spe, H_T_spe)
    v = [pool(H_S_spe); pool(H_T_spe); pool(H_inv)]

Reconstructed from MIR-GAN and from M4SER's abstract (arXiv 2509.18706); see ``m4ser/README.md`` for which line comes
from where. MF-AED-AEC is the same fusion with fewer objectives.
"""

import torch
from torch import Tensor, nn

from m4ser.models.fusion.base import Fusion
from m4ser.models.fusion.cross_modal import CrossModalEncoder
from m4ser.models.fusion.hybrid_modal import HybridModalAttention
from m4ser.models.pooling import build_pooling
from m4ser.models.representations import Representations


class M4serFusion(Fusion):
    """Cross-modal encoder, then hybrid-modal attention, then pooled and concatenated.

    Args:
        speech_size, text_size: sizes of the encoders' states; projected to ``size`` where they differ from it.
        size: D; 0 takes the text encoder's.
        heads, feed_forward, dropout: of the cross-modal encoder (feed_forward 0 means 4 D).
        cme_layers, cme_self_attention: depth of the cross-modal encoder, self-attention in front of cross-attention.
        hma_layers, hma_norm ("layer" or "batch"), hma_projections: blocks of hybrid-modal attention (MIR-GAN: 3,
            "batch", no learned projections).
        mir_query: "concat" asks with [H_S; H_T] (M + N positions), "text" with H_T alone.
        pooling: of every sequence; the paper's is taken to be temporal average pooling ("mean").
    """

    def __init__(
        self,
        speech_size: int,
        text_size: int,
        size: int = 0,
        heads: int = 4,
        feed_forward: int = 0,
        dropout: float = 0.1,
        cme_layers: int = 1,
        cme_self_attention: bool = False,
        hma_layers: int = 1,
        hma_norm: str = "layer",
        hma_projections: bool = False,
        mir_query: str = "concat",
        pooling: str = "mean",
    ):
        super().__init__()
        if mir_query not in ("concat", "text"):
            raise ValueError(f"mir_query must be concat or text, not {mir_query!r}")
        size = size or text_size
        self.size, self.mir_query = size, mir_query
        self.project_speech = nn.Linear(speech_size, size) if speech_size != size else nn.Identity()
        self.project_text = nn.Linear(text_size, size) if text_size != size else nn.Identity()
        self.cross_modal = CrossModalEncoder(
            size, cme_layers, heads, feed_forward or 4 * size, dropout, cme_self_attention
        )
        self.hybrid_modal = nn.ModuleList(
            HybridModalAttention(size, hma_norm, hma_projections, dropout) for _ in range(hma_layers)
        )
        self.pool_speech = build_pooling(pooling, size)
        self.pool_text = build_pooling(pooling, size)
        self.pool_invariant = build_pooling(pooling, size)
        self.output_size = 3 * self.pool_invariant.output_size

    def forward(self, speech: Tensor, speech_mask: Tensor, text: Tensor, text_mask: Tensor) -> Representations:
        """H_S (B, M, D_S) and H_T (B, N, D_T) -> all fields of :class:`Representations`."""
        own_speech, own_text = self.project_speech(speech), self.project_text(text)
        specific = self.cross_modal(own_speech, speech_mask, own_text, text_mask)
        if self.mir_query == "concat":
            joint, joint_mask = torch.cat([own_speech, own_text], 1), torch.cat([speech_mask, text_mask], 1)
        else:
            joint, joint_mask = own_text, text_mask
        for block in self.hybrid_modal:
            joint = block(joint, joint_mask, specific[0], speech_mask, specific[1], text_mask)
        joint = joint.masked_fill(~joint_mask.unsqueeze(-1), 0.0)
        utterance = torch.cat(
            [
                self.pool_speech(specific[0], speech_mask),
                self.pool_text(specific[1], text_mask),
                self.pool_invariant(joint, joint_mask),
            ],
            dim=-1,
        )
        return Representations(
            utterance, speech, speech_mask, text, text_mask, specific[0], specific[1], joint, joint_mask
        )
