"""Low-rank adaptation (LoRA, Hu et al. 2022) of a pretrained model: W + (alpha / r) B A, of which A and B are trained.

As a parametrization of the weight, not as a replaced layer: several models, WavLM among them, hand the weights of
their attention to a function instead of calling the layers, where a replaced layer would be left out unnoticed.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

# Query and value projections by the names they have in Hugging Face models.
ATTENTION = ("q_proj", "v_proj", "query", "value", "query_proj", "value_proj", "q_lin", "v_lin")


class LowRank(nn.Module):
    """W (O, I) -> W + (alpha / rank) B A; B starts at zero, so training starts at the pretrained model."""

    def __init__(self, weight: Tensor, rank: int, alpha: float) -> None:
        super().__init__()
        rows, columns = weight.shape
        self.down = nn.Parameter(weight.new_empty(rank, columns))
        self.up = nn.Parameter(weight.new_zeros(rows, rank))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))
        self.scale = alpha / rank

    def forward(self, weight: Tensor) -> Tensor:
        return weight + self.scale * (self.up @ self.down)


def add_lora(model: nn.Module, rank: int, alpha: float = 0.0, targets: Sequence[str] = ()) -> int:
    """Freeze ``model`` and add trained low-rank terms to its linear layers with the names ``targets``.

    Args:
        model: changed in place.
        rank: r.
        alpha: 0 for 2 r.
        targets: last part of the layers' names; default: queries and values of attention.

    Returns:
        Number of adapted layers.

    Raises:
        ValueError: no layer has such a name.
    """
    if rank < 1:
        raise ValueError(f"lora_rank must be 1 or more, not {rank}")
    names = tuple(targets) or ATTENTION
    layers = [m for name, m in model.named_modules() if isinstance(m, nn.Linear) and name.rsplit(".", 1)[-1] in names]
    if not layers:
        linear = {name.rsplit(".", 1)[-1] for name, module in model.named_modules() if isinstance(module, nn.Linear)}
        raise ValueError(f"lora_targets: no linear layer is called {', '.join(names)}; there are {sorted(linear)}")
    model.requires_grad_(False)
    for layer in layers:
        parametrize.register_parametrization(layer, "weight", LowRank(layer.weight, rank, alpha or 2 * rank))
    return len(layers)


@torch.no_grad()
def merge_lora(model: nn.Module) -> int:
    """Write the low-rank terms into the weights: inference then costs what it did without. Returns their number."""
    merged = 0
    for module in model.modules():
        if not parametrize.is_parametrized(module, "weight"):
            continue
        adapted: Any = module.parametrizations
        if isinstance(adapted.weight[0], LowRank):
            parametrize.remove_parametrizations(module, "weight", leave_parametrized=True)
            merged += 1
    return merged
