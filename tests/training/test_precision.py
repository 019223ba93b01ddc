"""Precision of matrix products while training."""

import argparse

import pytest
import torch

from m4ser.training.baselines.espnet_asr import FirstTokenBaseline
from m4ser.training.baselines.espnet_cls import ClassificationBaseline
from m4ser.training.precision import MatmulPrecision, autocast
from m4ser.training.task import SERTask


class Base:
    seen = None

    @classmethod
    def add_task_arguments(cls, parser):
        parser.add_argument("--own", default=1)

    @classmethod
    def main_worker(cls, args):
        cls.seen = torch.get_float32_matmul_precision()
        if args.own == "fails":
            raise RuntimeError("training")


class Task(MatmulPrecision, Base):
    pass


def arguments(*words):
    parser = argparse.ArgumentParser()
    Task.add_task_arguments(parser)
    return parser.parse_args(words)


@pytest.mark.parametrize(("words", "seen"), [((), "highest"), (("--matmul_precision", "medium"), "medium")])
def test_it_holds_while_training_only(words, seen):
    before = torch.get_float32_matmul_precision()
    Task.main_worker(arguments(*words))
    assert (Task.seen, torch.get_float32_matmul_precision()) == (seen, before)


def test_it_ends_with_a_training_that_fails():
    before = torch.get_float32_matmul_precision()
    with pytest.raises(RuntimeError, match="training"):
        Task.main_worker(arguments("--matmul_precision", "medium", "--own", "fails"))
    assert torch.get_float32_matmul_precision() == before


@pytest.mark.parametrize("task", [SERTask, ClassificationBaseline, FirstTokenBaseline])
def test_every_task_has_it(task):
    assert task.get_parser().parse_args(["--matmul_precision", "high"]).matmul_precision == "high"


@pytest.mark.parametrize(
    ("precision", "has", "device", "dtype"),
    [
        ("medium", ["avx512_bf16"], "cpu", torch.bfloat16),
        ("medium", ["avx512_bf16", "amx_bf16"], "cpu", torch.bfloat16),
        ("medium", [], "cpu", torch.float32),  # bfloat16 would be slower
        ("medium", ["avx512_bf16"], "cuda", torch.float32),  # what runs on a GPU is not the processor's matter
        ("high", ["avx512_bf16"], "cpu", torch.float32),
        ("highest", ["avx512_bf16"], "cpu", torch.float32),
    ],
)
def test_medium_is_brought_about_where_the_switch_is_not_enough(processor, precision, has, device, dtype):
    processor(precision, *has)
    with autocast(device):
        assert torch.nn.functional.linear(torch.ones(2, 3), torch.ones(4, 3)).dtype == dtype


def test_weights_used_without_gradient_first_still_learn(processor):
    """A copy in bfloat16 that was kept from the first use would leave the second without a gradient."""
    processor("medium", "avx512_bf16")
    model = torch.nn.Linear(3, 2)
    with autocast("cpu"):
        with torch.no_grad():
            model(torch.ones(4, 3))
        model(torch.ones(4, 3)).float().sum().backward()
    assert model.weight.grad is not None
