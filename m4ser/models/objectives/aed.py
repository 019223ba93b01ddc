"""ASR error detection: is a word of the hypothesis right (KEEP), wrong (DELETE), or are words missing (CHANGE)?

Reconstructed from ConstDecoder (Yang et al., Interspeech 2022), whose labels M4SER's predecessor MF-AED-AEC uses.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from m4ser.models.objectives.base import Loss, Objective, Sizes, Targets, Tools
from m4ser.models.representations import Representations, required
from m4ser.models.text import IGNORE, TAGS

TAG_NAMES = {"K": "keep", "D": "delete", "C": "change"}


class ErrorDetection(Objective):
    """P(o_i | h_T^i) = softmax(W dropout(h_T^i) + b); L_AED is the weighted cross-entropy over labelled pieces.

    ConstDecoder counts padding and [CLS] as DELETE; here they carry no label.

    Args:
        class_weights: of DELETE, KEEP, CHANGE.
        dropout: before the linear layer.
    """

    needs_edits = True
    class_weights: Tensor

    def __init__(self, sizes: Sizes, class_weights: Sequence[float] = (1.0, 1.0, 1.5), dropout: float = 0.2):
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(sizes.text_size, len(TAGS))
        self.register_buffer("class_weights", torch.tensor(list(class_weights)), persistent=False)

    def logits(self, reps: Representations) -> Tensor:
        """(B, N, 3), classes in the order of :data:`m4ser.models.text.TAGS`; the fusion's own where it has them."""
        if reps.tag_logits is not None:
            return reps.tag_logits
        return self.linear(self.dropout(required(reps.text)))

    def forward(self, reps: Representations, targets: Targets, tools: Tools) -> Loss:
        """Weighted mean over labelled pieces; zero, with a gradient of zero, when there is none."""
        logits, tags = self.logits(reps).float(), required(targets.tags)
        weight = self.class_weights[tags.clamp(min=0)] * (tags != IGNORE)
        nll = nn.functional.cross_entropy(logits.transpose(1, 2), tags.clamp(min=0), reduction="none")
        loss = (nll * weight).sum() / weight.sum().clamp(min=1e-6)
        return Loss(loss, {"loss_aed": loss.detach()})

    def evaluate(self, reps: Representations, targets: Targets, tools: Tools) -> list[Any]:
        """Flat predicted and true classes of the labelled pieces."""
        tags = required(targets.tags)
        labelled = tags != IGNORE
        predicted = self.logits(reps).argmax(-1)[labelled]
        return [(tags[labelled].cpu().numpy(), predicted.cpu().numpy())]

    @staticmethod
    def summarise(records: Sequence[Any]) -> dict[str, float]:
        """F1 of every class and their mean; nothing of a dev set without reference transcripts."""
        if not sum(len(true) for true, _ in records):
            return {}
        from sklearn.metrics import f1_score  # a second of import, which inference does without

        true, predicted = (np.concatenate(x) for x in zip(*records, strict=True))
        f1 = f1_score(true, predicted, labels=range(len(TAGS)), average=None, zero_division=0.0)
        named = {f"aed_f1_{TAG_NAMES[tag]}": float(value) for tag, value in zip(TAGS, f1, strict=True)}
        return {"aed_f1": float(f1.mean()), **named}
