"""Which implementation of attention is the fast one."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

SHORT = 256  # positions: from about here on fused attention is the faster one in bfloat16, too


def short_attention(states: Tensor) -> AbstractContextManager[None]:
    """For attention over (B, T, ...): in bfloat16 on CPU, over few positions, not as one fused operation.

    That one is chosen wherever attention has no dropout, as in validation, and takes 5 to 10 times as long as its parts
    over 25 positions, twice as long over 128 (32 texts, 12 heads of 32 or 64; torch 2.13 on a processor with AMX).
    """
    lower = torch.get_float32_matmul_precision() == "medium"
    if lower and states.device.type == "cpu" and states.shape[1] < SHORT:
        return sdpa_kernel(SDPBackend.MATH)
    return nullcontext()
