"""How all tasks here train: with matrix products as precise as is asked for, and files read as data."""

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

from m4ser.training.checkpoints import only_data


def autocast(device: str) -> torch.autocast:
    """What ``medium`` needs beyond PyTorch's switch: automatic mixed precision on CPUs that multiply bfloat16.

    Without AMX the switch alone changes nothing; with it, its float32 products in bfloat16 are slower than products of
    bfloat16. Weights are not kept in bfloat16 between two uses: such a copy, first made where no gradient is asked for,
    would have none later.
    """
    needed = device == "cpu" and torch.get_float32_matmul_precision() == "medium"
    if needed:
        older: Callable[[], dict[str, bool]] = dict  # older releases of PyTorch do not know what a processor can do
        needed = getattr(torch.cpu, "get_capabilities", older)().get("avx512_bf16", False)
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=needed, cache_enabled=False)


if TYPE_CHECKING:
    from espnet2.tasks.abs_task import AbsTask as Task
else:
    Task = object


class MatmulPrecision(Task):
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
            "can (of CPUs: those with AMX or AVX512-BF16), high uses TF32 on GPUs. Inference always uses highest",
        )

    @classmethod
    def main_worker(cls, args: argparse.Namespace) -> None:
        """Train in this process, with matrix products as precise as the configuration asks for; no file runs code."""
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision(args.matmul_precision)
        try:
            with only_data():
                super().main_worker(args)
        finally:
            torch.set_float32_matmul_precision(before)
