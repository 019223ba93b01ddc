"""How precise matrix products are while training: an option of all tasks here, and what it means for attention."""

import argparse
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

SHORT = 256  # positions: from about here on fused attention is the faster one in bfloat16, too


def short_attention(states: Tensor) -> AbstractContextManager:
    """For attention over (B, T, ...): in bfloat16 on CPU, over few positions, not as one fused operation.

    That one is chosen wherever attention has no dropout, as in validation, and takes 5 to 10 times as long as its parts
    over 25 positions, twice as long over 128 (32 texts, 12 heads of 32 or 64; torch 2.13 on a processor with AMX).
    """
    lower = torch.get_float32_matmul_precision() == "medium"
    if lower and states.device.type == "cpu" and states.shape[1] < SHORT:
        return sdpa_kernel(SDPBackend.MATH)
    return nullcontext()


class MatmulPrecision:
    """To be put before an ESPnet task: adds ``--matmul_precision``."""

    @classmethod
    def add_task_arguments(cls, parser: argparse.ArgumentParser) -> None:
        """The task's options and this one."""
        super().add_task_arguments(parser)
        parser.add_argument(
            "--matmul_precision",
            choices=["highest", "high", "medium"],
            default="highest",
            help="torch.set_float32_matmul_precision while training: medium multiplies in bfloat16 where the processor "
            "can (of CPUs: those with AMX) and adds in float32, high uses TF32 on GPUs. Inference always uses highest",
        )

    @classmethod
    def main_worker(cls, args: argparse.Namespace) -> None:
        """Train in this process, with matrix products as precise as the configuration asks for."""
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision(args.matmul_precision)
        try:
            super().main_worker(args)
        finally:
            torch.set_float32_matmul_precision(before)
