"""What a trained model says about utterances whose features and text stages 1 to 3 have written."""

import argparse
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from espnet2.torch_utils.device_funcs import to_device
from espnet2.train.dataset import ESPnetDataset
from torch.utils.data import DataLoader

import m4ser.training.espnet  # noqa: F401  (the dataset then knows our features)
from m4ser.models import batches
from m4ser.models.build import build_collate, build_preprocessor
from m4ser.models.representations import Representations
from m4ser.models.systems import EmotionModel


@torch.no_grad()
def represent(
    model: EmotionModel,
    args: argparse.Namespace,
    data: list[tuple[str, str, str]],
    utterances: Iterable[str],
    device: str = "cpu",
    batch_size: int = 32,
) -> Iterator[tuple[list[str], Representations]]:
    """Yield (utterances, what the fusion makes of them) batch by batch, in the order given.

    ``data`` are (path, name, type) as for ESPnet's dataset; names: speech, text.
    """
    dataset = ESPnetDataset(data, preprocess=build_preprocessor(args))
    ids = list(utterances)
    in_batches = [ids[start : start + batch_size] for start in range(0, len(ids), batch_size)]
    for keys, batch in DataLoader(dataset, batch_sampler=in_batches, collate_fn=build_collate(args)):
        yield keys, batches.represent(model, to_device(batch, device))


@torch.no_grad()
def predict(model: EmotionModel, *args: Any, **options: Any) -> Iterator[tuple[list[str], torch.Tensor]]:
    """Yield (utterances, probabilities (B, E)) batch by batch; arguments as for :func:`represent`."""
    for keys, reps in represent(model, *args, **options):
        yield keys, torch.softmax(model.logits(reps).float(), dim=-1).cpu()
