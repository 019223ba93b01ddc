"""Values standardised by all that training has seen."""

import torch
from torch import Tensor, nn


class RunningStandard(nn.Module):
    """Zero mean and unit deviation of every dimension, over all that was seen in training.

    Values that are missing (NaN) do not count, and become the mean. The sums are exact enough in double precision for
    features of any unit; a dimension that never varied is only shifted.
    """

    def __init__(self, size: int):
        super().__init__()
        for name in ("count", "total", "squares"):
            self.register_buffer(name, torch.zeros(size, dtype=torch.float64))
        self.count: Tensor
        self.total: Tensor
        self.squares: Tensor

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, M, F), valid frames (B, M) -> (B, M, F)."""
        known = ~x.isnan()
        if self.training:
            with torch.no_grad():
                valid = known & mask.unsqueeze(-1)
                values = torch.where(valid, x, 0.0).double()
                self.count += valid.sum((0, 1))
                self.total += values.sum((0, 1))
                self.squares += values.square().sum((0, 1))
        count = self.count.clamp(min=1)
        mean = self.total / count
        variance = self.squares / count - mean.square()
        varied = variance > 1e-12 * (1 + mean.square())
        deviation = torch.where(varied, variance, 1.0).sqrt()
        return torch.where(known, (x - mean.to(x.dtype)) / deviation.to(x.dtype), 0.0)
