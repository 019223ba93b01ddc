"""Alterations of speech inputs."""

import pytest
import torch

from m4ser.models.augment import AUGMENTATIONS, augment, mix, noise, speed

NAMES = list(AUGMENTATIONS)


@pytest.mark.parametrize("shape", [(5, 40), (5, 40, 3)])
def test_each_utterance_in_its_own_way(shape):
    torch.manual_seed(0)
    x, lengths = torch.randn(shape), torch.tensor([40, 30, 20, 10, 1])
    changed, new = augment(x, lengths, NAMES, torch.arange(5))
    assert changed.dim() == x.dim() and changed.shape[1] == new.max()
    assert torch.equal(changed[0, :40], x[0]) and new[0] == 40  # keep
    assert new[1] == 30 and not torch.equal(changed[1, :30], x[1, :30])  # noise
    assert 20 / 1.2 - 1 <= new[2] <= 20 / 0.8 + 1  # speed
    assert new[3] == 10 and new[4] == 1
    for row, length in zip(changed, new, strict=True):
        assert torch.equal(row[length:], torch.zeros_like(row[length:]))


def test_padding_does_not_leak():
    x, lengths = torch.randn(2, 8, 3), torch.tensor([8, 4])
    x[1, 4:] = 1e6
    for name in NAMES:
        if name != "mix":  # which hears the next utterance, not its padding
            assert augment(x, lengths, [name], torch.zeros(2, dtype=torch.long))[0].abs().max() < 1e3
    assert augment(x, lengths, ["mix"], torch.zeros(2, dtype=torch.long))[0].abs().max() < 1e3


def test_amounts():
    torch.manual_seed(0)
    x = torch.randn(4, 4000, 1) * torch.tensor([1.0, 2.0, 3.0, 4.0])[:, None, None]
    lengths = torch.full((4,), 4000)
    added = noise(x, lengths, level=0.5)[0] - x
    torch.testing.assert_close(added.std(dim=1), 0.5 * x.std(dim=1), rtol=0.1, atol=0)
    torch.testing.assert_close(mix(x, lengths, share=0.25)[0][0], 0.75 * x[0] + 0.25 * x[3])
    ramp = torch.linspace(0, 1, 100)[None, :, None]
    changed, new = speed(ramp, torch.tensor([100]))
    torch.testing.assert_close(changed[0, [0, int(new) - 1], 0], torch.tensor([0.0, 1.0]), atol=0.01, rtol=0)


def test_strengths_replace_the_defaults():
    torch.manual_seed(0)
    x, lengths, kinds = torch.randn(3, 4000), torch.full((3,), 4000), torch.tensor([0, 1, 1])
    changed, new = augment(x, lengths, ["noise", "speed"], kinds, {"noise": 0.1, "speed": 0.01})
    added = changed[0, :4000] - x[0]
    torch.testing.assert_close(added.std(), 0.1 * x[0].std(), rtol=0.1, atol=0)
    assert all(4000 / 1.01 - 1 <= size <= 4000 / 0.99 + 1 for size in new[1:].tolist())
