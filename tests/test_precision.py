"""Precision of matrix products while training."""

import argparse

import pytest
import torch

from m4ser.baselines.espnet_asr import FirstTokenBaseline
from m4ser.baselines.espnet_cls import ClassificationBaseline
from m4ser.precision import MatmulPrecision, short_attention
from m4ser.task import SERTask


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
    ("precision", "positions", "fused"), [("medium", 25, False), ("medium", 600, True), ("highest", 25, True)]
)
def test_short_attention_in_bfloat16_is_not_fused(precision, positions, fused):
    states = torch.zeros(2, positions, 4)
    torch.set_float32_matmul_precision(precision)
    try:
        with short_attention(states):
            assert torch.backends.cuda.flash_sdp_enabled() is fused  # the switch of the CPU's fused attention as well
    finally:
        torch.set_float32_matmul_precision("highest")
    assert torch.backends.cuda.flash_sdp_enabled()
