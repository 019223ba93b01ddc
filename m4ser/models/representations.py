"""What a fusion hands to the classifier and the objectives, and the masked operations on padded batches.

Letters used in shapes here and in all of ``m4ser``: B utterances, M speech frames, N text pieces, D model size,
E emotion classes.
"""

from typing import NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.nn.functional import pad

Value = TypeVar("Value")


class Representations(NamedTuple):
    """Output of a fusion. Masks are boolean, True on valid positions. What a fusion does not have is None."""

    utterance: Tensor  # (B, U), input of the classifier
    speech: Tensor | None = None  # (B, M, D), speech encoder output H_S
    speech_mask: Tensor | None = None  # (B, M)
    text: Tensor | None = None  # (B, N, D), text encoder output H_T
    text_mask: Tensor | None = None  # (B, N)
    speech_specific: Tensor | None = None  # (B, M, D)
    text_specific: Tensor | None = None  # (B, N, D)
    invariant: Tensor | None = None  # (B, Q, D); Q is M + N, N, or a number, see m4ser.models.fusion.seeds
    invariant_mask: Tensor | None = None
    tag_logits: Tensor | None = None  # (B, N, 3), of a fusion that detects recognition errors itself
    heard_words: Tensor | None = None  # (B, D_T), the reference words' mean embedding as a fusion expects it of speech


def required(value: Value | None) -> Value:
    """``value``, which is there: models without what a part of them needs are refused when they are built."""
    assert value is not None
    return value


def length_mask(lengths: Tensor, size: int) -> Tensor:
    """Return (B, size) with True where the position is below the length.

    >>> length_mask(torch.tensor([1, 3]), 3).int()
    tensor([[1, 0, 0],
            [1, 1, 1]], dtype=torch.int32)
    """
    return torch.arange(size, device=lengths.device)[None, :] < lengths[:, None]


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """Mean of (B, T, D) over the valid positions of (B, T): (B, D). A row without any gives zeros."""
    weight = mask.unsqueeze(-1).to(x.dtype)
    return (x * weight).sum(1) / weight.sum(1).clamp(min=1.0)


def masked_std(x: Tensor, mask: Tensor, floor: float = 1e-5) -> Tensor:
    """Standard deviation (population) of (B, T, D) over valid positions: (B, D); ``floor`` is added to the variance."""
    weight = mask.unsqueeze(-1).to(x.dtype)
    centred = (x - masked_mean(x, mask).unsqueeze(1)) * weight
    return (centred.square().sum(1) / weight.sum(1).clamp(min=1.0) + floor).sqrt()


def average_frames(x: Tensor, lengths: Tensor, size: int) -> Tensor:
    """Average ``size`` consecutive valid frames; the last group averages what it has.

    Shape: (B, M, D), (B,) -> (B, ceil(M / size), D)
    """
    if size == 1:
        return x
    mask = pad(length_mask(lengths, x.shape[1]), (0, -x.shape[1] % size))
    x = pad(x, (0, 0, 0, -x.shape[1] % size)).masked_fill(~mask.unsqueeze(-1), 0.0)
    count = mask.unflatten(1, (-1, size)).sum(2, keepdim=True).clamp(min=1)
    return x.unflatten(1, (-1, size)).sum(2) / count
