"""From a sequence to one vector: (B, T, D), (B, T) -> (B, output_size). Padding never counts."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn

from m4ser.models.representations import masked_mean, masked_std


class Pooling(nn.Module, ABC):
    """``output_size`` is the size of the vector."""

    output_size: int

    @abstractmethod
    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, D), (B, T), True on valid positions -> (B, output_size)."""


class MeanPooling(Pooling):
    """Temporal average pooling; that M4SER has it is a guess."""

    def __init__(self, size: int):
        super().__init__()
        self.output_size = size

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, D) -> (B, D)."""
        return masked_mean(x, mask)


class MaxPooling(Pooling):
    """Largest value over time of every dimension; zeros for a row without valid positions."""

    def __init__(self, size: int):
        super().__init__()
        self.output_size = size

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, D) -> (B, D)."""
        largest = x.masked_fill(~mask.unsqueeze(-1), torch.finfo(x.dtype).min).amax(1)
        return largest.masked_fill(~mask.any(1, keepdim=True), 0.0)


class StatisticsPooling(Pooling):
    """Mean and standard deviation over time: how much a feature moves matters for emotion."""

    def __init__(self, size: int):
        super().__init__()
        self.output_size = 2 * size

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, D) -> (B, 2 D)."""
        return torch.cat([masked_mean(x, mask), masked_std(x, mask)], dim=-1)


class AttentivePooling(Pooling):
    """Attentive statistics pooling (Okabe et al. 2018): mean and deviation under learned frame weights."""

    def __init__(self, size: int, hidden: int = 64):
        super().__init__()
        self.score = nn.Sequential(nn.Linear(size, hidden), nn.Tanh(), nn.Linear(hidden, 1))
        self.output_size = 2 * size

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, D) -> (B, 2 D)."""
        score = self.score(x).squeeze(-1).masked_fill(~mask, torch.finfo(x.dtype).min)
        weight = torch.softmax(score, dim=-1).masked_fill(~mask, 0.0).unsqueeze(-1)
        mean = (weight * x).sum(1)
        variance = (weight * (x - mean.unsqueeze(1)).square()).sum(1)
        return torch.cat([mean, (variance + 1e-5).sqrt()], dim=-1)


POOLINGS: dict[str, Callable[[int], Pooling]] = {
    "mean": MeanPooling,
    "max": MaxPooling,
    "statistics": StatisticsPooling,
    "attentive": AttentivePooling,
}


def build_pooling(name: str, size: int) -> Pooling:
    """Return the pooling called ``mean``, ``max``, ``statistics`` or ``attentive``.

    Raises: ValueError for another name.
    """
    if name not in POOLINGS:
        raise ValueError(f"pooling must be one of {', '.join(POOLINGS)}, not {name!r}")
    return POOLINGS[name](size)
