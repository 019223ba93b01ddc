"""Speech alone, text alone, and their pooled vectors side by side."""

import torch
from torch import Tensor

from m4ser.models.fusion.base import Fusion
from m4ser.models.pooling import build_pooling
from m4ser.models.representations import Representations


class SpeechFusion(Fusion):
    """Pooled speech only."""

    uses_text = False

    def __init__(self, speech_size: int, text_size: int = 0, pooling: str = "statistics"):
        super().__init__()
        self.pool = build_pooling(pooling, speech_size)
        self.output_size = self.pool.output_size

    def forward(
        self, speech: Tensor, speech_mask: Tensor, text: Tensor | None = None, text_mask: Tensor | None = None
    ) -> Representations:
        """Utterance vector: pooled speech."""
        return Representations(self.pool(speech, speech_mask), speech, speech_mask)


class TextFusion(Fusion):
    """Pooled text only."""

    uses_speech = False

    def __init__(self, speech_size: int = 0, text_size: int = 0, pooling: str = "mean"):
        super().__init__()
        self.pool = build_pooling(pooling, text_size)
        self.output_size = self.pool.output_size

    def forward(
        self, speech: Tensor | None, speech_mask: Tensor | None, text: Tensor, text_mask: Tensor
    ) -> Representations:
        """Utterance vector: pooled text."""
        return Representations(self.pool(text, text_mask), text=text, text_mask=text_mask)


class ConcatFusion(Fusion):
    """Pooled speech and pooled text, concatenated: the plain two-modality baseline."""

    def __init__(self, speech_size: int, text_size: int, pooling: str = "statistics", text_pooling: str = "mean"):
        super().__init__()
        self.pool_speech = build_pooling(pooling, speech_size)
        self.pool_text = build_pooling(text_pooling, text_size)
        self.output_size = self.pool_speech.output_size + self.pool_text.output_size

    def forward(self, speech: Tensor, speech_mask: Tensor, text: Tensor, text_mask: Tensor) -> Representations:
        """Utterance vector: [pooled speech; pooled text]."""
        utterance = torch.cat([self.pool_speech(speech, speech_mask), self.pool_text(text, text_mask)], dim=-1)
        return Representations(utterance, speech, speech_mask, text, text_mask)
