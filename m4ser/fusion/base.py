"""The contract of a fusion."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from m4ser.representations import Representations


class Fusion(nn.Module, ABC):
    """A fusion is built from the encoders' sizes and returns one :class:`Representations`.

    ``uses_speech`` and ``uses_text`` say which encoders the model needs; the sequences of the other are None.
    ``output_size`` is the size of the utterance vector.
    """

    uses_speech = True
    uses_text = True
    output_size: int

    @abstractmethod
    def forward(
        self, speech: Tensor | None, speech_mask: Tensor | None, text: Tensor | None, text_mask: Tensor | None
    ) -> Representations:
        """(B, M, D_S), (B, M), (B, N, D_T), (B, N) -> Representations. Masks are True on valid positions."""

    def build_classifier(self, num_classes: int) -> nn.Module:
        """From the utterance vector (B, U) to scores of the classes (B, E): one linear layer."""
        return nn.Linear(self.output_size, num_classes)
