"""Fusions of whole-utterance vectors: answers averaged (late), or vectors mixed by a gate."""

import math

import torch
from torch import Tensor, nn

from m4ser.models.fusion.base import Classifier, Fusion, LinearExperts
from m4ser.models.fusion.plain import ConcatFusion
from m4ser.models.pooling import build_pooling
from m4ser.models.representations import Representations


class AveragedExperts(LinearExperts):
    """The answer is the mean of the parts' probabilities."""

    def experts(self, utterance: Tensor) -> list[Tensor]:
        """(B, U) -> logits (B, E) of each part."""
        return self.scores(utterance.split(self.sizes, dim=-1))

    def combine(self, answers: list[Tensor]) -> Tensor:
        """Logits of each part -> log of their mean probabilities (B, E)."""
        log_probabilities = torch.stack([torch.log_softmax(logits, dim=-1) for logits in answers])
        return torch.logsumexp(log_probabilities, dim=0) - math.log(len(answers))

    def forward(self, utterance: Tensor) -> Tensor:
        """(B, U) -> (B, E)."""
        return self.combine(self.experts(utterance))


class LateFusion(ConcatFusion):
    """Two models of one modality, trained side by side on the same batches, whose probabilities are averaged.

    Neither has a part that sees the other modality. A linear layer on both vectors, in contrast, adds the logits of two
    linear classifiers and trains them together: that is ``concat``.
    """

    def build_classifier(self, num_classes: int) -> Classifier:
        """One linear classifier per modality."""
        return AveragedExperts([self.pool_speech.output_size, self.pool_text.output_size], num_classes)


class GatedFusion(Fusion):
    """Gated multimodal unit (Arevalo et al., ICLR workshop 2017) on pooled vectors.

    h_u = tanh(W_u v_u) for u in {S, T}, z = sigmoid(W_z [v_S; v_T]), v = z * h_S + (1 - z) * h_T

    Args:
        speech_size, text_size: sizes of the encoders' states.
        size: of v; 0 takes the text encoder's.
        pooling, text_pooling: of speech and text.
    """

    def __init__(
        self, speech_size: int, text_size: int, size: int = 0, pooling: str = "statistics", text_pooling: str = "mean"
    ):
        super().__init__()
        self.size = self.output_size = size = size or text_size
        self.pool_speech = build_pooling(pooling, speech_size)
        self.pool_text = build_pooling(text_pooling, text_size)
        sizes = self.pool_speech.output_size, self.pool_text.output_size
        self.speech, self.text = nn.Linear(sizes[0], size, bias=False), nn.Linear(sizes[1], size, bias=False)
        self.gate = nn.Linear(sum(sizes), size, bias=False)

    def forward(self, speech: Tensor, speech_mask: Tensor, text: Tensor, text_mask: Tensor) -> Representations:
        """Utterance vector: the gated mixture."""
        speech_vector, text_vector = self.pool_speech(speech, speech_mask), self.pool_text(text, text_mask)
        gate = torch.sigmoid(self.gate(torch.cat([speech_vector, text_vector], dim=-1)))
        utterance = gate * torch.tanh(self.speech(speech_vector)) + (1 - gate) * torch.tanh(self.text(text_vector))
        return Representations(utterance, speech, speech_mask, text, text_mask)
