"""The augmented view of MMER: the contrastive loss by hand, which pieces are masked, what the view is made of."""

import pytest
import torch

from m4ser.models.objectives.base import Sizes, Targets, Tools
from m4ser.models.objectives.views import AugmentedViewObjective, info_nce, mask_pieces
from m4ser.models.representations import Representations

SIZES = Sizes(8, 8, 6, 2, speech_size=5, speech_input=(2, 3))


def test_info_nce_by_hand():
    a = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    expected = -torch.log(torch.exp(torch.tensor(2.0)) / (torch.exp(torch.tensor(2.0)) + 1))
    torch.testing.assert_close(info_nce(a, 3 * a, 0.5), expected)
    assert info_nce(a[:1], a[:1], 0.5) == 0
    assert info_nce(a, a.flip(0), 0.5) > expected


def test_masked_pieces_spare_the_ends():
    torch.manual_seed(0)
    ids = torch.arange(1, 13).repeat(200, 1)
    masked = mask_pieces(ids, torch.full((200,), 10), 0.3, 99)
    changed = masked == 99
    assert torch.equal(masked[~changed], ids[~changed])
    assert not changed[:, [0, 9, 10, 11]].any()
    assert changed[:, 1:9].float().mean() == pytest.approx(0.3, abs=0.05)


def test_view_uses_what_there_is_and_trains_both_sides():
    torch.manual_seed(0)
    seen = []

    def represent(**view):
        seen.append(sorted(view))
        return Representations(view["speech"].mean(1) if "speech" in view else view["text"].float())

    vectors = torch.randn(4, 6, requires_grad=True)
    emotion = torch.tensor([0, 1, 0, 1])
    targets = Targets(emotion, speech=torch.randn(4, 9, 6), speech_lengths=torch.tensor([9, 5, 2, 1]))
    module = AugmentedViewObjective(SIZES)
    part = module(Representations(vectors), targets, Tools(represent=represent))
    part.loss.backward()
    assert vectors.grad.abs().sum() > 0 and set(part.stats) == {"loss_augmented_view", "acc_augmented_view"}
    ids = torch.ones(4, 6, dtype=torch.long)
    text = Targets(emotion, ids, text_lengths=torch.full((4,), 6))
    assert torch.isfinite(module(Representations(vectors), text, Tools(represent=represent, mask=0)).loss)
    assert seen == [["speech", "speech_lengths"], ["text", "text_lengths"]]


def test_unknown_augmentation_is_named():
    with pytest.raises(ValueError, match="kinds has 'echo'"):
        AugmentedViewObjective(SIZES, kinds=["echo"])
