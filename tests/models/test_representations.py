"""Masked operations on padded batches, by hand."""

import torch

from m4ser.models.representations import average_frames, length_mask, masked_mean, masked_std

# Two sequences of one and three positions, the first padded with what must not count.
STATES = torch.tensor([[[2.0, 4.0], [99.0, 99.0], [99.0, 99.0]], [[1.0, 0.0], [3.0, 0.0], [5.0, 6.0]]])
MASK = torch.tensor([[True, False, False], [True, True, True]])


def test_mean_of_valid_positions():
    assert masked_mean(STATES, MASK).tolist() == [[2.0, 4.0], [3.0, 2.0]]


def test_a_row_without_valid_positions_gives_zeros():
    nothing = torch.zeros(2, 3, dtype=torch.bool)
    assert masked_mean(STATES, nothing).tolist() == [[0.0, 0.0], [0.0, 0.0]]
    assert masked_std(STATES, nothing, floor=0.25).tolist() == [[0.5, 0.5], [0.5, 0.5]]


def test_deviation_is_that_of_the_population():
    """Of 1, 3, 5: (4 + 0 + 4) / 3; of 0, 0, 6: (4 + 4 + 16) / 3; of a single value nothing but the floor."""
    expected = torch.tensor([[0.0, 0.0], [8 / 3, 8.0]]).sqrt()
    torch.testing.assert_close(masked_std(STATES, MASK, floor=0.0), expected)
    torch.testing.assert_close(masked_std(STATES, MASK, floor=0.25)[0], torch.tensor([0.5, 0.5]))


def test_frames_are_averaged_in_groups_of_which_the_last_may_be_short():
    frames = torch.tensor([[[1.0], [3.0], [5.0], [7.0], [10.0]], [[2.0], [4.0], [8.0], [99.0], [99.0]]])
    averaged = average_frames(frames, torch.tensor([5, 3]), 2)
    assert averaged.shape == (2, 3, 1)
    assert averaged[0, :, 0].tolist() == [2.0, 6.0, 10.0]
    assert averaged[1, :2, 0].tolist() == [3.0, 8.0]
    assert average_frames(frames, torch.tensor([5, 3]), 1) is frames


def test_mask_of_lengths():
    assert length_mask(torch.tensor([0, 2]), 3).tolist() == [[False, False, False], [True, True, False]]
