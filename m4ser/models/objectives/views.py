"""Contrast of an utterance with an altered view of itself (MMER, Ghosh et al. 2023: "augmented-view" InfoNCE).

MMER's second view is a paraphrase spoken by a synthesiser. Adapted: an alteration of the speech input
(:mod:`m4ser.models.augment`) together with masked word pieces, made anew in every batch, so that nothing has to be
generated.
"""

import torch
from torch import Tensor, nn

from m4ser.models.augment import augment_at_random, check_names
from m4ser.models.objectives.base import Loss, Objective, Sizes, Targets, Tools
from m4ser.models.representations import Representations, required


def info_nce(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """Mean cross-entropy of finding, by cosine, each row of one view among all rows of the other; both directions.

    Shape: (B, D), (B, D) -> scalar; zero for a batch of one.
    """
    first, second = (nn.functional.normalize(x.float(), dim=-1) for x in (first, second))
    logits = first @ second.T / temperature
    positives = torch.arange(len(first), device=first.device)
    return (nn.functional.cross_entropy(logits, positives) + nn.functional.cross_entropy(logits.T, positives)) / 2


class AugmentedViewObjective(Objective):
    """q = Linear(GELU(Linear(v))) of the utterance vectors of both views, then InfoNCE.

    Args:
        temperature: tau.
        kinds: alterations of the speech to draw from, names of ``m4ser.models.augment.AUGMENTATIONS``.
        masked_pieces: share of the word pieces that the second view does not see.
        size: of q; 0 takes the fusion's D.
    """

    def __init__(
        self,
        sizes: Sizes,
        temperature: float = 0.07,
        kinds: tuple[str, ...] | list[str] = ("noise", "speed", "mask", "mix"),
        masked_pieces: float = 0.15,
        size: int = 0,
    ):
        super().__init__()
        check_names(kinds, "kinds")
        size = size or sizes.size
        self.temperature, self.kinds, self.masked_pieces = temperature, list(kinds), masked_pieces
        self.projection = nn.Sequential(nn.Linear(sizes.utterance_size, size), nn.GELU(), nn.Linear(size, size))

    def forward(self, reps: Representations, targets: Targets, tools: Tools) -> Loss:
        """InfoNCE and the share of utterances that find their own view."""
        view: dict[str, Tensor] = {}
        if targets.speech is not None:
            altered = augment_at_random(targets.speech, required(targets.speech_lengths), self.kinds)
            view["speech"], view["speech_lengths"], _ = altered
        if targets.ids is not None:
            view["text_lengths"] = lengths = required(targets.text_lengths)
            view["text"] = mask_pieces(targets.ids, lengths, self.masked_pieces, tools.mask)
        first = self.projection(reps.utterance)
        second = self.projection(required(tools.represent)(**view).utterance)
        loss = info_nce(first, second, self.temperature)
        with torch.no_grad():
            similarity = nn.functional.normalize(first, dim=-1) @ nn.functional.normalize(second, dim=-1).T
            accuracy = (similarity.argmax(1) == torch.arange(len(first), device=first.device)).float().mean()
        return Loss(loss, {"loss_augmented_view": loss.detach(), "acc_augmented_view": accuracy})


def mask_pieces(ids: Tensor, lengths: Tensor, share: float, mask: int) -> Tensor:
    """Replace a random ``share`` of the pieces between the first and the last one, which stay. (B, N) -> (B, N)."""
    position = torch.arange(ids.shape[1], device=ids.device)[None, :]
    inside = (position > 0) & (position < lengths[:, None] - 1)
    return torch.where(inside & (torch.rand(ids.shape, device=ids.device) < share), mask, ids)
