"""Auxiliary tasks of MMER and MTL-AUG: which losses there are, what they reach, hand-computed values."""

import numpy as np
import pytest
import torch
from torch import nn

from m4ser.models.objectives.augmentation import AugmentationObjective
from m4ser.models.objectives.base import Sizes, Targets, Tools
from m4ser.models.objectives.ctc import NUM_LETTERS, CtcObjective, letters
from m4ser.models.objectives.views import AugmentedViewObjective, info_nce, mask_pieces
from m4ser.models.representations import Representations, length_mask

SIZES = Sizes(8, 8, 6, 2, speech_size=5, speech_input=(2, 3))


def test_letters():
    assert letters(["ab", "c'"]).tolist() == [2, 3, 1, 4, 28]
    assert letters(["é"]).tolist() == [NUM_LETTERS - 1] and letters([]).dtype == np.int64


def test_ctc_is_the_likelihood_of_all_alignments():
    """One frame of two steps, the letter a: paths a-, -a, aa."""
    module = CtcObjective(Sizes(8, 8, 6, 2, speech_size=5), upsample=2, dropout=0.0)
    speech = torch.randn(1, 1, 5)
    reps = Representations(torch.zeros(1, 6), speech, torch.ones(1, 1, dtype=torch.bool))
    part = module(reps, Targets(torch.zeros(1, dtype=torch.long), letters=torch.tensor([[2]])), Tools())
    p = torch.softmax(module.output(speech).view(2, NUM_LETTERS), -1)
    expected = p[0, 2] * p[1, 0] + p[0, 0] * p[1, 2] + p[0, 2] * p[1, 2]
    torch.testing.assert_close(part.loss, -torch.log(expected))
    assert set(part.stats) == {"loss_ctc"}


def test_ctc_ignores_padding_and_survives_impossible_targets():
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


def test_augmentation_has_two_losses_that_reach_the_encoder():
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
    targets = augmentation_batch()
    module = AugmentedViewObjective(SIZES)
    part = module(Representations(vectors), targets, Tools(represent=represent))
    part.loss.backward()
    assert vectors.grad.abs().sum() > 0 and set(part.stats) == {"loss_augmented_view", "acc_augmented_view"}
    ids = torch.ones(4, 6, dtype=torch.long)
    text = Targets(targets.emotion, ids, text_lengths=torch.full((4,), 6))
    assert torch.isfinite(module(Representations(vectors), text, Tools(represent=represent, mask=0)).loss)
    assert seen == [["speech", "speech_lengths"], ["text", "text_lengths"]]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AugmentationObjective(SIZES, kinds=["echo"]), "kinds has 'echo'"),
        (lambda: AugmentationObjective(Sizes(8, 8, 6, 2, 5)), "set reconstruction_weight: 0"),
        (lambda: AugmentedViewObjective(SIZES, kinds=["echo"]), "kinds has 'echo'"),
        (lambda: CtcObjective(SIZES, upsample=0), "upsample must be 1"),
    ],
)
def test_mistakes_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
