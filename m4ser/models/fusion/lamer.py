"""LAMER: Xu et al., Learning Alignment for Multimodal Emotion Recognition from Speech (Interspeech 2019).

    speech -> Linear, ReLU -> BiLSTM -> S;   text -> BiLSTM -> T
    A = MHA(Q=T, K=V=S): the speech that belongs to each word
    v = attention pooling of BiLSTM([A; T])

Sizes are those of the authors' published configuration (512, 100 per direction, 8 heads of 25), whose recurrent cell is
a GRU where the paper says LSTM (``cell: gru``). Adapted: the paper reads spectrograms and GloVe vectors, here the
recipe's frozen speech encoder and pretrained text encoder feed it, and its words are the text encoder's pieces.
"""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from m4ser.models.fusion.base import Fusion
from m4ser.models.representations import Representations

CELLS = {"lstm": nn.LSTM, "gru": nn.GRU}


class Recurrence(nn.Module):
    """Both directions of a recurrent layer over the valid positions: (B, T, F), (B, T) -> (B, T, 2 H)."""

    def __init__(self, cell: str, input_size: int, hidden: int):
        super().__init__()
        self.rnn = CELLS[cell](input_size, hidden, batch_first=True, bidirectional=True)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Zeros on padded positions."""
        lengths = mask.sum(1).clamp(min=1).cpu()
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        states, _ = pad_packed_sequence(self.rnn(packed)[0], batch_first=True, total_length=x.shape[1])
        return states.masked_fill(~mask.unsqueeze(-1), 0.0)


class AttentionPooling(nn.Module):
    """v = sum_i a_i x_i, a = softmax(u . tanh(W x_i)) over valid positions (Yang et al. 2016): (B, T, D) -> (B, D)."""

    def __init__(self, size: int):
        super().__init__()
        self.project = nn.Linear(size, size)
        self.context = nn.Linear(size, 1, bias=False)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """A row without valid positions gives zeros."""
        score = self.context(torch.tanh(self.project(x))).squeeze(-1)
        score = score.masked_fill(~mask, torch.finfo(score.dtype).min)
        weight = torch.softmax(score, dim=-1).masked_fill(~mask, 0.0)
        return torch.einsum("bt,btd->bd", weight, x)


class LamerFusion(Fusion):
    """See the module.

    Args:
        speech_size, text_size: sizes of the encoders' states.
        speech_hidden: of the layer in front of the speech recurrence.
        hidden: of each recurrent layer and direction.
        heads: of the alignment; they divide 2 ``hidden``.
        cell: "lstm" or "gru".
        dropout: on the recurrent layers' inputs.
    """

    def __init__(
        self,
        speech_size: int,
        text_size: int,
        speech_hidden: int = 512,
        hidden: int = 100,
        heads: int = 8,
        cell: str = "lstm",
        dropout: float = 0.5,
    ):
        super().__init__()
        if cell not in CELLS:
            raise ValueError(f"cell must be lstm or gru, not {cell!r}")
        self.size = self.output_size = 2 * hidden
        self.speech_layer = nn.Sequential(nn.Linear(speech_size, speech_hidden), nn.ReLU())
        self.speech_rnn = Recurrence(cell, speech_hidden, hidden)
        self.text_rnn = Recurrence(cell, text_size, hidden)
        self.alignment = nn.MultiheadAttention(2 * hidden, heads, dropout=0.0, batch_first=True)
        self.fusion_rnn = Recurrence(cell, 4 * hidden, hidden)
        self.pool = AttentionPooling(2 * hidden)
        self.dropout = nn.Dropout(dropout)

    def align(self, speech: Tensor, speech_mask: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
        """Speech of each word (B, N, 2 H) and the weights (B, N, M) of the frames in it."""
        return self.alignment(text, speech, speech, key_padding_mask=~speech_mask)

    def forward(self, speech: Tensor, speech_mask: Tensor, text: Tensor, text_mask: Tensor) -> Representations:
        """Utterance vector (B, 2 H)."""
        heard = self.speech_rnn(self.dropout(self.speech_layer(speech)), speech_mask)
        read = self.text_rnn(self.dropout(text), text_mask)
        aligned, _ = self.align(heard, speech_mask, read)
        joint = self.fusion_rnn(self.dropout(torch.cat([aligned, read], dim=-1)), text_mask)
        return Representations(self.pool(joint, text_mask), speech, speech_mask, text, text_mask)
