"""The fusion of MMER: Ghosh et al., Multimodal Multi-task Learning for Speech Emotion Recognition (Interspeech 2023).

    T' = SelfBlock(H_T)
    A  = CrossBlock(Q=T', K=V=H_S)                      text informed by speech
    B  = CrossBlock(Q=T', K=V=CrossBlock(Q=H_S, K=V=T'))  text informed by speech that was informed by text
    g  = sigmoid(W [A; B]),  v = [max([B; g * A]); max(H_S)]

Its objectives are ``ctc``, ``augmented_view`` and ``contrastive`` with ``form: clmlf``, each with the weight 0.1.
Adapted: the paper fine-tunes wav2vec 2.0 and reads reference transcripts at inference too; here the recipe's speech
encoder and ASR text feed it.
"""

import torch
from torch import Tensor, nn

from m4ser.models.fusion.attention import AttentionBlock
from m4ser.models.fusion.base import Fusion
from m4ser.models.pooling import build_pooling
from m4ser.models.representations import Representations


class MmerFusion(Fusion):
    """See the module.

    Args:
        speech_size, text_size: sizes of the encoders' states; projected to ``size`` where they differ from it.
        size: D; 0 takes the text encoder's.
        heads, feed_forward, dropout: of all blocks (feed_forward 0 means 4 D).
    """

    def __init__(
        self,
        speech_size: int,
        text_size: int,
        size: int = 0,
        heads: int = 12,
        feed_forward: int = 0,
        dropout: float = 0.1,
    ):
        super().__init__()
        self.size = size = size or text_size
        self.project_speech = nn.Linear(speech_size, size) if speech_size != size else nn.Identity()
        self.project_text = nn.Linear(text_size, size) if text_size != size else nn.Identity()
        make = (size, heads, feed_forward or 4 * size, dropout)
        self.text_self, self.text_to_speech = AttentionBlock(*make), AttentionBlock(*make)
        self.speech_to_text, self.text_to_informed = AttentionBlock(*make), AttentionBlock(*make)
        self.gate = nn.Linear(2 * size, size)
        self.pool = build_pooling("max", 2 * size)
        self.pool_speech = build_pooling("max", speech_size)
        self.output_size = 2 * size + speech_size

    def forward(self, speech: Tensor, speech_mask: Tensor, text: Tensor, text_mask: Tensor) -> Representations:
        """Utterance vector (B, 2 D + D_S)."""
        own_speech, own_text = self.project_speech(speech), self.project_text(text)
        read = self.text_self(own_text, own_text, text_mask)
        heard = self.text_to_speech(read, own_speech, speech_mask)
        informed = self.speech_to_text(own_speech, read, text_mask)
        both = self.text_to_informed(read, informed, speech_mask)
        gate = torch.sigmoid(self.gate(torch.cat([heard, both], dim=-1)))
        joint = self.pool(torch.cat([both, gate * heard], dim=-1), text_mask)
        utterance = torch.cat([joint, self.pool_speech(speech, speech_mask)], dim=-1)
        return Representations(utterance, speech, speech_mask, text, text_mask)
