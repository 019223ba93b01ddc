"""Altered copies of speech inputs, made batch by batch in training.

The same functions serve waveforms (B, T) and frames of a frozen encoder (B, T, F). On waveforms they are what the
literature does; on frames the alteration happens behind the frozen encoder, which is cheaper (nothing is dumped twice)
and coarser: noise is noise of hidden states, not of the room.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from m4ser.models.representations import length_mask, masked_std


def keep(x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """As it is."""
    return x, lengths


def noise(x: Tensor, lengths: Tensor, level: float = 0.5) -> tuple[Tensor, Tensor]:
    """Add Gaussian noise of ``level`` times the utterance's standard deviation in every dimension."""
    deviation = masked_std(x, length_mask(lengths, x.shape[1])).unsqueeze(1)
    return x + level * deviation * torch.randn_like(x), lengths


def speed(x: Tensor, lengths: Tensor, change: float = 0.2) -> tuple[Tensor, Tensor]:
    """Resample time by a factor from 1 - ``change`` to 1 + ``change``, linearly between neighbours."""
    factors = 1 + change * (2 * torch.rand(len(x), device=x.device) - 1)
    changed = (lengths / factors).round().long().clamp(min=1)
    rows = [
        nn.functional.interpolate(row[None, :, : int(old)], size=int(new), mode="linear", align_corners=False)[0]
        for row, old, new in zip(x.transpose(1, 2), lengths.clamp(min=1), changed, strict=True)
    ]
    return nn.utils.rnn.pad_sequence([row.T for row in rows], batch_first=True), changed


def mask(x: Tensor, lengths: Tensor, share: float = 0.4) -> tuple[Tensor, Tensor]:
    """Set a span of at most ``share`` of the utterance to zero, as SpecAugment does with time."""
    span = torch.rand(len(x), device=x.device) * share * lengths
    start = torch.rand(len(x), device=x.device) * (lengths - span)
    position = torch.arange(x.shape[1], device=x.device)[None, :]
    hidden = (position >= start[:, None]) & (position < (start + span)[:, None])
    return x.masked_fill(hidden.unsqueeze(-1), 0.0), lengths


def mix(x: Tensor, lengths: Tensor, share: float = 0.4) -> tuple[Tensor, Tensor]:
    """Mix with the next utterance of the batch: (1 - ``share``) own + ``share`` other (mixup of the input alone)."""
    return (1 - share) * x + share * x.roll(1, dims=0), lengths


AUGMENTATIONS: dict[str, Callable[..., tuple[Tensor, Tensor]]] = {
    "keep": keep,
    "noise": noise,
    "speed": speed,
    "mask": mask,
    "mix": mix,
}


def check_names(names: Iterable[str], option: str) -> None:
    """Raises ValueError for a name that is not in :data:`AUGMENTATIONS`."""
    if unknown := [name for name in names if name not in AUGMENTATIONS]:
        raise ValueError(f"{option} has {unknown[0]!r}; known are {', '.join(AUGMENTATIONS)}")


def augment_at_random(
    x: Tensor, lengths: Tensor, names: Sequence[str], strengths: Mapping[str, float] | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """:func:`augment` with a kind drawn for each utterance, all equally likely; returns the kinds (B,) as well."""
    kinds = torch.randint(len(names), (len(x),), device=x.device)
    return *augment(x, lengths, names, kinds, strengths), kinds


def augment(
    x: Tensor, lengths: Tensor, names: Sequence[str], kinds: Tensor, strengths: Mapping[str, float] | None = None
) -> tuple[Tensor, Tensor]:
    """Alter every utterance in its own way: ``kinds`` (B,) are indices into ``names`` of :data:`AUGMENTATIONS`.

    ``strengths`` replace the functions' defaults of level, change or share.

    Shape: (B, T) or (B, T, F), (B,) -> the same with other T, new lengths. Padding is zero.
    """
    flat = x.dim() == 2
    x = x.unsqueeze(-1) if flat else x
    x = x.masked_fill(~length_mask(lengths, x.shape[1]).unsqueeze(-1), 0.0)
    rows, new_lengths = list(x), lengths.clone()
    for index, name in enumerate(names):
        chosen = torch.nonzero(kinds == index).flatten().tolist()
        if chosen:
            strength = [strengths[name]] if strengths and name in strengths else []
            changed, changed_lengths = AUGMENTATIONS[name](x, lengths, *strength)
            for row in chosen:
                rows[row] = changed[row, : int(changed_lengths[row])]
                new_lengths[row] = changed_lengths[row]
    padded = nn.utils.rnn.pad_sequence(rows, batch_first=True)
    return padded.squeeze(-1) if flat else padded, new_lengths
