"""ESPnet's Transformer as a text encoder, trained from scratch on the sentencepiece tokens of stage 3."""

from typing import Any

from torch import Tensor

from m4ser.models.encoders.base import TextEncoder
from m4ser.models.representations import length_mask
from m4ser.models.text import PADDING_ID


class TransformerTextEncoder(TextEncoder):
    """Token embeddings with positions, then ESPnet's Transformer encoder.

    Args:
        vocabulary_size: size of the tokenizer's vocabulary; given by the task.
        tokens: size of the sentencepiece model that stage 3 trains on the words of each fold's training part (fewer
            where there are not enough words).
        output_size: D.
        num_blocks, attention_heads, linear_units, dropout_rate: of ESPnet's encoder.
    """

    def __init__(
        self,
        vocabulary_size: int,
        tokens: int = 500,
        output_size: int = 256,
        num_blocks: int = 3,
        attention_heads: int = 4,
        linear_units: int = 1024,
        dropout_rate: float = 0.1,
    ):
        super().__init__()
        from espnet2.asr.encoder.transformer_encoder import TransformerEncoder

        self.tokens, self.vocabulary_size = tokens, vocabulary_size
        self.encoder = TransformerEncoder(
            input_size=vocabulary_size,
            output_size=output_size,
            num_blocks=num_blocks,
            attention_heads=attention_heads,
            linear_units=linear_units,
            dropout_rate=dropout_rate,
            positional_dropout_rate=dropout_rate,
            input_layer="embed",
            padding_idx=PADDING_ID,
        )

    def architecture(self) -> dict[str, Any]:
        """Constructor arguments that came from the tokenizer."""
        return {"vocabulary_size": self.vocabulary_size}

    def output_size(self) -> int:
        """D."""
        return self.encoder.output_size()

    def forward(self, xs_pad: Tensor, ilens: Tensor, prev_states: Tensor | None = None) -> tuple[Tensor, Tensor, None]:
        """Token ids (B, N), lengths (B,) -> (B, N, D), (B,), None; padded positions come out as zeros."""
        mask = length_mask(ilens, xs_pad.shape[1])
        states, _, _ = self.encoder(xs_pad, ilens, masks=~mask)
        return states.masked_fill(~mask.unsqueeze(-1), 0.0), ilens, None

    def embed(self, ids: Tensor) -> Tensor:
        """Embedding layer (token + position) of ids (B, T): (B, T, D). Shared with error correction."""
        return self.encoder.embed(ids)

    @property
    def word_embeddings(self) -> Tensor:
        """The token embedding matrix (V, D)."""
        return self.encoder.embed[0].weight
