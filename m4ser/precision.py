"""What all tasks here have in common: how precise matrix products are while training."""

import argparse

import torch


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
            "can and adds in float32, high uses TF32 on GPUs. Inference always uses the highest",
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
