"""The contract of a fusion."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from m4ser.models.representations import Representations


class LinearClassifier(nn.Linear):
    """From the utterance vector (B, U) to scores of the classes (B, E), by one expert.

    A classifier has ``experts``, whose answers training compares with the labels one by one, and ``combine``, which
    makes the model's answer of theirs.
    """

    def experts(self, utterance: Tensor) -> list[Tensor]:
        """(B, U) -> scores (B, E) of each expert."""
        return [self(utterance)]

    def combine(self, answers: list[Tensor]) -> Tensor:
        """What :meth:`experts` returns -> scores (B, E)."""
        return answers[0]


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
        """What makes scores of the utterance vector, see :class:`LinearClassifier`."""
        return LinearClassifier(self.output_size, num_classes)
