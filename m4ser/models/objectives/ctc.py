"""Recognition of the reference's letters from speech states: the CTC auxiliary of MMER (Ghosh et al. 2023).

MMER's frames are wav2vec 2.0's, fifty a second. Dumped features are usually averaged to fewer frames than there are
letters, so each frame says ``upsample`` letters in a row (a learned upsampling inside the output layer).
"""

import torch
from torch import nn

from m4ser.models.letters import BLANK, NUM_LETTERS
from m4ser.models.objectives.base import Loss, Objective, Sizes, Targets, Tools
from m4ser.models.representations import Representations, required


class CtcObjective(Objective):
    """CTC on dropout and one linear layer of the speech encoder's states, per letter of the reference.

    Args:
        upsample: letters (blanks included) per frame.
        dropout: in front of the layer.
    """

    needs_reference = True
    needs_speech = True

    def __init__(self, sizes: Sizes, upsample: int = 6, dropout: float = 0.1):
        super().__init__()
        if upsample < 1:
            raise ValueError(f"upsample must be 1 or more, not {upsample}")
        self.upsample = upsample
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(sizes.speech_size, upsample * NUM_LETTERS)

    def forward(self, reps: Representations, targets: Targets, tools: Tools) -> Loss:
        """Mean over utterances of the negative log-likelihood per letter; one too short for its letters counts 0."""
        reference = required(targets.letters)
        scores = self.output(self.dropout(reps.speech)).unflatten(-1, (self.upsample, NUM_LETTERS)).flatten(1, 2)
        log_probability = torch.log_softmax(scores.float(), dim=-1).transpose(0, 1)  # (T, B, letters)
        lengths = (reference >= 0).sum(1)
        loss = nn.functional.ctc_loss(
            log_probability,
            reference.clamp(min=0),
            required(reps.speech_mask).sum(1) * self.upsample,
            lengths,
            blank=BLANK,
            reduction="none",
            zero_infinity=True,
        )
        loss = (loss / lengths.clamp(min=1)).mean()
        return Loss(loss, {"loss_ctc": loss.detach()})
