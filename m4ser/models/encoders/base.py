"""The contract of an encoder, which is that of ESPnet's ``AbsEncoder``: theirs fit here, and ours fit there.

:mod:`m4ser.training.espnet` registers the class with ESPnet.
"""

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Encoder(nn.Module, ABC):
    """From padded inputs to padded states."""

    @abstractmethod
    def output_size(self) -> int:
        """D."""

    @abstractmethod
    def forward(
        self, xs_pad: Tensor, ilens: Tensor, prev_states: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Inputs (B, T, ...), lengths (B,) -> states (B, M, D), lengths (B,), None; padded states are zeros."""


class TextEncoder(Encoder):
    """An encoder of pieces that lends its embeddings to error correction."""

    @abstractmethod
    def embed(self, ids: Tensor) -> Tensor:
        """Embedding layer of piece ids (B, T): (B, T, D)."""

    @property
    @abstractmethod
    def word_embeddings(self) -> Tensor:
        """The piece embedding matrix (V, D)."""
