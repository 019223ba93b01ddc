"""What the trainer adds to ESPnet's; tests/training/test_checkpoints.py has what it does to checkpoints."""

from argparse import Namespace

import pytest
import torch
from espnet2.train.trainer import Trainer

from m4ser.training.trainer import SERTrainer


@pytest.fixture
def alone(tmp_path):
    """A group of one process."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/meeting", rank=0, world_size=1)
    yield
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def test_processes_part_when_they_have_trained(alone, monkeypatch, tmp_path):
    grouped = []
    monkeypatch.setattr(Trainer, "run", lambda *_, **__: grouped.append(torch.distributed.is_initialized()))
    options = Namespace(output_dir=str(tmp_path), resume=False)
    distributed = Namespace(distributed=True, dist_rank=0)
    SERTrainer.run(None, [], [], options, distributed)
    assert grouped == [True]
    assert not torch.distributed.is_initialized()
