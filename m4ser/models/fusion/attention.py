"""Attention, a block in the manner of BERT, and a fusion that is little more than it."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from m4ser.models.attention import short_attention
from m4ser.models.fusion.base import Fusion
from m4ser.models.pooling import build_pooling
from m4ser.models.representations import Representations


class Attention(nn.MultiheadAttention):
    """PyTorch's multi-head attention, computed batch first.

    Its own forward transposes the streams first, which makes the projections several times slower on CPUs.
    """

    def forward(  # type: ignore[override]  # of PyTorch's class, only the parameters and their names are wanted
        self, states: Tensor, other: Tensor, other_mask: Tensor
    ) -> Tensor:
        """Queries of (B, T, D), keys and values of (B, S, D) where (B, S) is valid -> (B, T, D)."""
        size = self.embed_dim
        query = functional.linear(states, self.in_proj_weight[:size], self.in_proj_bias[:size])
        both = functional.linear(other, self.in_proj_weight[size:], self.in_proj_bias[size:])
        query, key, value = (x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for x in (query, *both.chunk(2, -1)))
        dropout = self.dropout if self.training else 0.0
        with short_attention(other):
            attended = functional.scaled_dot_product_attention(
                query, key, value, attn_mask=other_mask[:, None, None], dropout_p=dropout
            )
        return self.out_proj(attended.transpose(1, 2).flatten(2))


class AttentionBlock(nn.Module):
    """x' = LN(x + MHA(Q=x, K=V=y)), x'' = LN(x' + FFN(x')) with GELU; self-attention where y is x.

    Args:
        size: D of both streams.
        heads, feed_forward, dropout: as in a Transformer layer.
    """

    def __init__(self, size: int, heads: int, feed_forward: int, dropout: float):
        super().__init__()
        self.attention = Attention(size, heads, dropout=dropout)
        self.attention_norm = nn.LayerNorm(size)
        self.feed_forward = nn.Sequential(nn.Linear(size, feed_forward), nn.GELU(), nn.Linear(feed_forward, size))
        self.feed_forward_norm = nn.LayerNorm(size)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, y: Tensor, y_mask: Tensor) -> Tensor:
        """(B, T, D), (B, S, D), (B, S) -> (B, T, D); rows of padded positions mean nothing."""
        x = self.attention_norm(x + self.dropout(self.attention(x, y, y_mask)))
        return self.feed_forward_norm(x + self.dropout(self.feed_forward(x)))


class CrossAttentionFusion(Fusion):
    """Speech asks text and text asks speech; both answers are pooled and concatenated.

    The plain cross-modal baseline (two blocks of Tsai et al., ACL 2019, in one layer): what M4SER adds to it are the
    invariant representation and the objectives.

    Args:
        speech_size, text_size: sizes of the encoders' states, projected to ``size``.
        size: D; 0 takes the text encoder's.
        heads, feed_forward, dropout: of the blocks (feed_forward 0 means 4 D).
        layers: blocks per direction.
        pooling: of both sequences.
    """

    def __init__(
        self,
        speech_size: int,
        text_size: int,
        size: int = 0,
        heads: int = 4,
        feed_forward: int = 0,
        dropout: float = 0.1,
        layers: int = 1,
        pooling: str = "statistics",
    ):
        super().__init__()
        self.size = size = size or text_size
        self.project_speech, self.project_text = nn.Linear(speech_size, size), nn.Linear(text_size, size)
        make = (size, heads, feed_forward or 4 * size, dropout)
        self.speech_blocks = nn.ModuleList(AttentionBlock(*make) for _ in range(layers))
        self.text_blocks = nn.ModuleList(AttentionBlock(*make) for _ in range(layers))
        self.pool_speech, self.pool_text = build_pooling(pooling, size), build_pooling(pooling, size)
        self.output_size = self.pool_speech.output_size + self.pool_text.output_size

    def forward(self, speech: Tensor, speech_mask: Tensor, text: Tensor, text_mask: Tensor) -> Representations:
        """Utterance vector: [pooled speech that has read the text; pooled text that has heard the speech]."""
        speech_states, text_states = self.project_speech(speech), self.project_text(text)
        attended_speech, attended_text = speech_states, text_states
        for speech_block, text_block in zip(self.speech_blocks, self.text_blocks, strict=True):
            attended_speech = speech_block(attended_speech, text_states, text_mask)
            attended_text = text_block(attended_text, speech_states, speech_mask)
        utterance = torch.cat(
            [self.pool_speech(attended_speech, speech_mask), self.pool_text(attended_text, text_mask)], dim=-1
        )
        return Representations(utterance, speech, speech_mask, text, text_mask)
