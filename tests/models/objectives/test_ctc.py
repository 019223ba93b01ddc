"""CTC over letters, an auxiliary task of MMER: the alphabet, the likelihood by hand, what does not count."""

import numpy as np
import pytest
import torch

from m4ser.models.letters import NUM_LETTERS, letters
from m4ser.models.objectives.base import Sizes, Targets, Tools
from m4ser.models.objectives.ctc import CtcObjective
from m4ser.models.representations import Representations, length_mask


def test_letters():
    assert letters(["ab", "c'"]).tolist() == [2, 3, 1, 4, 28]
    assert letters(["é"]).tolist() == [NUM_LETTERS - 1] and letters([]).dtype == np.int64


def test_loss_is_the_likelihood_of_all_alignments():
    """One frame of two steps, the letter a: paths a-, -a, aa."""
    module = CtcObjective(Sizes(8, 8, 6, 2, speech_size=5), upsample=2, dropout=0.0)
    speech = torch.randn(1, 1, 5)
    reps = Representations(torch.zeros(1, 6), speech, torch.ones(1, 1, dtype=torch.bool))
    part = module(reps, Targets(torch.zeros(1, dtype=torch.long), letters=torch.tensor([[2]])), Tools())
    p = torch.softmax(module.output(speech).view(2, NUM_LETTERS), -1)
    expected = p[0, 2] * p[1, 0] + p[0, 0] * p[1, 2] + p[0, 2] * p[1, 2]
    torch.testing.assert_close(part.loss, -torch.log(expected))
    assert set(part.stats) == {"loss_ctc"}


def test_padding_is_ignored_and_impossible_targets_cost_nothing():
    torch.manual_seed(0)
    module = CtcObjective(Sizes(8, 8, 6, 2, speech_size=5), upsample=2).eval()
    speech, mask = torch.randn(3, 4, 5), length_mask(torch.tensor([4, 2, 1]), 4)
    target = torch.tensor([[2, 3, 4, 5, 6], [2, 3, -1, -1, -1], [2, 3, 4, 5, 6]])  # the last one does not fit
    emotion = torch.zeros(3, dtype=torch.long)

    def loss(states, mask, target):
        return module(Representations(emotion, states, mask), Targets(emotion, letters=target), Tools()).loss

    alone = [loss(speech[i : i + 1, : int(mask[i].sum())], mask[i : i + 1, : int(mask[i].sum())], t) for i, t in
             enumerate((target[:1], target[1:2, :2], target[2:]))]  # fmt: skip
    assert alone[2] == 0
    speech.requires_grad_()
    together = loss(speech, mask, target)
    torch.testing.assert_close(together, torch.stack(alone).mean())
    together.backward()
    assert torch.isfinite(speech.grad).all()
    assert torch.isfinite(loss(speech, mask, torch.empty(3, 0, dtype=torch.long)))  # empty references


def test_at_least_one_step_per_frame():
    with pytest.raises(ValueError, match="upsample must be 1"):
        CtcObjective(Sizes(8, 8, 6, 2, speech_size=5), upsample=0)
