"""The contract of a fusion."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from m4ser.models.representations import Representations


class Classifier(nn.Module, ABC):
    """From the utterance vector (B, U) to scores of the classes (B, E), by one or more experts.

    Training compares each expert's answer with the labels by itself, unless :meth:`trained` says otherwise.
    """

    @abstractmethod
    def experts(self, utterance: Tensor) -> list[Tensor]:
        """(B, U) -> scores (B, E) of each expert."""

    @abstractmethod
    def combine(self, answers: list[Tensor]) -> Tensor:
        """What :meth:`experts` returns -> the model's scores (B, E)."""

    @abstractmethod
    def shift(self, offset: Tensor) -> None:
        """Add ``offset`` (E,) to every expert's scores from now on, by its bias."""

    def fit_on_dev(self, utterance: Tensor, emotion: Tensor, speakers: Sequence[str]) -> None:
        """Fit what trained utterances cannot tell; of a fusion with ``fits_on_dev``, once, after training.

        Args:
            utterance: vectors of the development utterances, (N, U).
            emotion: their classes, (N,).
            speakers: who says each, N names.
        """
        raise NotImplementedError(f"{type(self).__name__} has nothing to fit")

    def trained(self, answers: list[Tensor]) -> list[Tensor]:
        """What :meth:`experts` returns -> all scores (B, E) that training compares with the labels."""
        return answers


class LinearClassifier(nn.Linear, Classifier):
    """One linear layer, the only expert."""

    def experts(self, utterance: Tensor) -> list[Tensor]:
        """(B, U) -> scores (B, E) of each expert."""
        return [self(utterance)]

    def combine(self, answers: list[Tensor]) -> Tensor:
        """What :meth:`experts` returns -> scores (B, E)."""
        return answers[0]

    @torch.no_grad()
    def shift(self, offset: Tensor) -> None:
        """Add ``offset`` (E,) to the scores."""
        self.get_parameter("bias").add_(offset)


class LinearExperts(Classifier, ABC):
    """One linear classifier for each part of the utterance vector, of ``sizes``; how they combine is left open."""

    def __init__(self, sizes: list[int], num_classes: int):
        super().__init__()
        self.sizes = sizes
        self.classifiers = nn.ModuleList(nn.Linear(size, num_classes) for size in sizes)

    def scores(self, parts: Iterable[Tensor]) -> list[Tensor]:
        """Each part (B, size) -> scores (B, E)."""
        return [classifier(part) for classifier, part in zip(self.classifiers, parts, strict=True)]

    @torch.no_grad()
    def shift(self, offset: Tensor) -> None:
        """Add ``offset`` (E,) to the scores of each."""
        for classifier in self.classifiers:
            classifier.get_parameter("bias").add_(offset)


class Fusion(nn.Module, ABC):
    """A fusion is built from the encoders' sizes and returns one :class:`Representations`.

    ``uses_speech`` and ``uses_text`` say which encoders the model needs; the sequences of the other are None, which the
    ``forward`` of a fusion of one modality allows for. ``uses_confidence`` says that ``forward`` takes the recogniser's
    confidence in the word of each piece (B, N), too, ``fits_on_dev`` that its classifier has something to fit after
    training, on development utterances. ``output_size`` is the size of the utterance vector.
    """

    uses_speech = True
    uses_text = True
    uses_confidence = False
    fits_on_dev = False
    output_size: int

    @abstractmethod
    def forward(self, speech: Tensor, speech_mask: Tensor, text: Tensor, text_mask: Tensor) -> Representations:
        """(B, M, D_S), (B, M), (B, N, D_T), (B, N) -> Representations. Masks are True on valid positions."""

    def build_classifier(self, num_classes: int) -> Classifier:
        """What makes scores of the utterance vector."""
        return LinearClassifier(self.output_size, num_classes)
