"""Two contributions of equal weight: what of them differs between utterances is brought to one size."""

import torch
from torch import Tensor, nn

from m4ser.models.representations import masked_mean

MOMENTUM = 0.1
FLOOR = 1e-2  # least standard deviation


class Standardised(nn.Module):
    """Channels with mean 0 and deviation 1 of their means over time, over the utterances of training.

    Sums of two such sequences hold as much of one as of the other: what is constant in one of them, however large,
    counts for nothing. As in batch normalisation, statistics are a batch's own in training and running ones at
    inference; there are no weights. Of one utterance alone there is no deviation: it is treated as at inference.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, size: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("deviation", torch.ones(size))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, Q, D), (B, Q) -> (B, Q, D)."""
        mean, deviation = self.mean, self.deviation
        if self.training and len(x) > 1:
            pooled = masked_mean(x.float(), mask)
            mean, deviation = pooled.mean(0), pooled.std(0).clamp(min=FLOOR)
            with torch.no_grad():
                self.mean.lerp_(mean, MOMENTUM)
                self.deviation.lerp_(deviation, MOMENTUM)
        return ((x.float() - mean) / deviation).to(x.dtype)
