"""Auxiliary tasks of MTL-AUG: which losses there are, what they reach, hand-computed values."""

import numpy as np
import pytest
import torch
from torch import nn

from m4ser.models.objectives.augmentation import AugmentationObjective
from m4ser.models.objectives.base import Sizes, Targets, Tools
from m4ser.models.representations import Representations, length_mask

SIZES = Sizes(8, 8, 6, 2, speech_size=5, speech_input=(2, 3))


class Encoder(nn.Linear):
    """A stand-in for a speech encoder: (B, T, 6) -> (B, T, 5)."""

    def __init__(self):
        super().__init__(6, 5)

    def tools(self):
        return Tools(encode_speech=lambda x, lengths: (self(x), length_mask(lengths, x.shape[1])))


def augmentation_batch():
    torch.manual_seed(0)
    emotion = torch.tensor([0, 1, 0, 1])
    return Targets(emotion, speech=torch.randn(4, 9, 6), speech_lengths=torch.tensor([9, 5, 2, 1]))


def test_two_losses_that_reach_the_encoder():
    encoder, targets = Encoder(), augmentation_batch()
    reps = Representations(torch.zeros(4, 6))
    for type_weight, reconstruction_weight, names in (
        (1.0, 0.5, {"loss_augmentation_type", "acc_augmentation_type", "loss_reconstruction"}),
        (0.0, 1.0, {"loss_reconstruction"}),
        (1.0, 0.0, {"loss_augmentation_type", "acc_augmentation_type"}),
    ):
        module = AugmentationObjective(
            SIZES, type_weight=type_weight, reconstruction_weight=reconstruction_weight, hidden=4
        )
        part = module(reps, targets, encoder.tools())
        assert set(part.stats) == names
        expected = sum(
            weight * part.stats[f"loss_{name}"]
            for name, weight in (("augmentation_type", type_weight), ("reconstruction", reconstruction_weight))
            if weight
        )
        torch.testing.assert_close(part.loss.detach(), expected)
        encoder.zero_grad()
        part.loss.backward()
        assert encoder.weight.grad.abs().sum() > 0
        assert all(torch.isfinite(p.grad).all() for p in module.parameters())


def test_reconstruction_by_hand():
    module = AugmentationObjective(SIZES, hidden=4)
    for p in module.decoder.parameters():
        p.data.zero_()
    frames, lengths = torch.randn(2, 3, 6), torch.tensor([3, 1])
    mask = length_mask(lengths, 3)
    # the decoder says zero of normalised frames: the error is their variance, 1
    loss = module.reconstruction_loss(torch.randn(2, 3, 5), mask, frames, lengths)
    torch.testing.assert_close(loss, torch.tensor(1.0), atol=1e-3, rtol=0)


def test_types_are_learned():
    """Whole and masked utterances are told apart within a few steps."""
    torch.manual_seed(0)
    encoder, targets = Encoder(), augmentation_batch()
    module = AugmentationObjective(SIZES, kinds=["keep", "mask"], reconstruction_weight=0.0)
    targets = targets._replace(speech=torch.ones(4, 9, 6), speech_lengths=torch.full((4,), 9))
    optimizer = torch.optim.Adam([*encoder.parameters(), *module.parameters()], 0.05)
    losses = []
    for _ in range(100):
        part = module(Representations(torch.zeros(4, 6)), targets, encoder.tools())
        optimizer.zero_grad()
        part.loss.backward()
        optimizer.step()
        losses.append(part.loss.item())
    assert np.mean(losses[-10:]) < 0.7 * np.mean(losses[:10])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AugmentationObjective(SIZES, kinds=["echo"]), "kinds has 'echo'"),
        (lambda: AugmentationObjective(Sizes(8, 8, 6, 2, 5)), "set reconstruction_weight: 0"),
    ],
)
def test_mistakes_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
