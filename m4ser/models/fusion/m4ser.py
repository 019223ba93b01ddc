"""The fusion of M4SER: modality-specific (MSR) and modality-invariant (MIR) representations.

    H_S_spe, H_T_spe = CrossModalEncoder(H_S, H_T)
    H_inv = HybridModalAttention(seed(H_S, H_T), H_S_spe, H_T_spe)
    v = [pool(H_S_spe); pool(H_T_spe); pool(H_inv)]

Reconstructed from MIR-GAN and from M4SER's abstract (arXiv 2509.18706); docs/model.md says which line comes from where.
MF-AED-AEC is the same fusion with fewer objectives.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from m4ser.models.fusion.base import Fusion
from m4ser.models.fusion.cross_modal import CrossModalEncoder
from m4ser.models.fusion.hybrid_modal import HybridModalAttention
from m4ser.models.fusion.seeds import SEEDS
from m4ser.models.pooling import Pooling, build_pooling
from m4ser.models.representations import Representations

PARTS = ("speech", "text", "invariant")  # of the utterance vector, in this order


class M4serFusion(Fusion):
    """Cross-modal encoder, then hybrid-modal attention, then pooled and concatenated.

    Args:
        speech_size, text_size: sizes of the encoders' states; projected to ``size`` where they differ from it.
        size: D; 0 takes the text encoder's.
        heads, feed_forward, dropout: of the cross-modal encoder (feed_forward 0 means 4 D).
        cme_layers, cme_self_attention: depth of the cross-modal encoder, self-attention in front of cross-attention.
        cme_cross_scale: see :class:`.CrossModalLayer`; None adds what is read in the other stream as it is.
        hma_layers, hma_norm ("layer" or "batch"), hma_projections: blocks of hybrid-modal attention (MIR-GAN: 3,
            "batch", no learned projections).
        hma_balance: see :class:`.HybridModalAttention`.
        mir_query: how the invariant representation begins, a name of :data:`m4ser.models.fusion.seeds.SEEDS`.
        mir_queries: number of positions of the seed "learned".
        pooling: of every sequence; the paper's is taken to be temporal average pooling ("mean").
        parts: what the classifier sees of "speech", "text" (specific) and "invariant". Without "invariant" there is no
            hybrid-modal attention.
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
        cme_cross_scale: float | None = None,
        hma_layers: int = 1,
        hma_norm: str = "layer",
        hma_projections: bool = False,
        hma_balance: bool = False,
        mir_query: str = "concat",
        mir_queries: int = 4,
        pooling: str = "mean",
        parts: Sequence[str] = PARTS,
    ):
        super().__init__()
        if mir_query not in SEEDS:
            raise ValueError(f"mir_query must be one of {', '.join(SEEDS)}, not {mir_query!r}")
        if not parts or len(set(parts)) != len(parts) or not set(parts) <= set(PARTS):
            raise ValueError(f"parts must be some of {', '.join(PARTS)}, not {', '.join(map(str, parts)) or 'none'}")
        size = size or text_size
        self.size, self.parts = size, [part for part in PARTS if part in parts]
        self.project_speech = nn.Linear(speech_size, size) if speech_size != size else nn.Identity()
        self.project_text = nn.Linear(text_size, size) if text_size != size else nn.Identity()
        self.cross_modal = CrossModalEncoder(
            size, cme_layers, heads, feed_forward or 4 * size, dropout, cme_self_attention, cme_cross_scale
        )
        self.hybrid_modal = nn.ModuleList()
        if "invariant" in parts:
            self.seed = SEEDS[mir_query](size, heads, dropout, mir_queries)
            self.hybrid_modal.extend(
                HybridModalAttention(size, hma_norm, hma_projections, dropout, hma_balance) for _ in range(hma_layers)
            )
        for part in self.parts:
            self.add_module(f"pool_{part}", build_pooling(pooling, size))
        self.output_size = sum(self.pool(part).output_size for part in self.parts)

    def pool(self, part: str) -> Pooling:
        """What makes a vector of the states of one of ``parts``."""
        pool = self.get_submodule(f"pool_{part}")
        assert isinstance(pool, Pooling)
        return pool

    def forward(self, speech: Tensor, speech_mask: Tensor, text: Tensor, text_mask: Tensor) -> Representations:
        """H_S (B, M, D_S) and H_T (B, N, D_T) -> all fields of :class:`Representations`."""
        own_speech, own_text = self.project_speech(speech), self.project_text(text)
        specific = self.cross_modal(own_speech, speech_mask, own_text, text_mask)
        sequences = {"speech": (specific[0], speech_mask), "text": (specific[1], text_mask)}
        invariant = invariant_mask = None
        if "invariant" in self.parts:
            invariant, invariant_mask = self.seed(own_speech, speech_mask, own_text, text_mask)
            for block in self.hybrid_modal:
                invariant = block(invariant, invariant_mask, specific[0], speech_mask, specific[1], text_mask)
            invariant = invariant.masked_fill(~invariant_mask.unsqueeze(-1), 0.0)
            sequences["invariant"] = invariant, invariant_mask
        pooled = [self.pool(part)(*sequences[part]) for part in self.parts]
        return Representations(
            torch.cat(pooled, dim=-1),
            speech,
            speech_mask,
            text,
            text_mask,
            specific[0],
            specific[1],
            invariant,
            invariant_mask,
        )
