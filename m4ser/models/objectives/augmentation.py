"""MTL-AUG: Latif et al., Multitask Learning From Augmented Auxiliary Data (IEEE TAFFC 14(4), 2023).

A speech encoder is shared by emotion recognition and two tasks that need no labels: which alteration was applied to
the input, and reconstruction of the input from the encoder's states. Only the abstract could be read; heads and
alterations are ours. Adapted: with precomputed features the alterations are made on the frozen encoder's frames (see
:mod:`m4ser.models.augment`), and no unlabelled data is used.
"""

from torch import Tensor, nn

from m4ser.models.augment import AUGMENTATIONS, augment_at_random, check_names
from m4ser.models.objectives.base import Loss, Objective, Sizes, Targets, Tools
from m4ser.models.pooling import StatisticsPooling
from m4ser.models.representations import Representations, length_mask, required


class AugmentationObjective(Objective):
    """On one altered copy of the batch: w_t CE(which alteration | pooled states) + w_r MSE(decoder(states), input).

    Args:
        kinds: alterations to tell apart, names of ``m4ser.models.augment.AUGMENTATIONS``; "keep" is none.
        type_weight, reconstruction_weight: w_t and w_r; 0 leaves a task out.
        hidden: of the decoder.
    """

    needs_speech = True

    def __init__(
        self,
        sizes: Sizes,
        kinds: tuple[str, ...] | list[str] = tuple(AUGMENTATIONS),
        type_weight: float = 1.0,
        reconstruction_weight: float = 1.0,
        hidden: int = 256,
    ):
        super().__init__()
        check_names(kinds, "kinds")
        if reconstruction_weight and not sizes.speech_input:
            raise ValueError("reconstruction needs frames as input; set reconstruction_weight: 0")
        self.kinds, self.speech_input = list(kinds), sizes.speech_input
        self.type_weight, self.reconstruction_weight = type_weight, reconstruction_weight
        self.pool = StatisticsPooling(sizes.speech_size)
        self.classifier = nn.Linear(self.pool.output_size, len(kinds)) if type_weight else None
        self.decoder = None
        if reconstruction_weight:
            layers, size = required(sizes.speech_input)
            self.decoder = nn.Sequential(
                nn.Linear(sizes.speech_size, hidden), nn.ReLU(), nn.Linear(hidden, layers * size)
            )

    def forward(self, reps: Representations, targets: Targets, tools: Tools) -> Loss:
        """Losses on a copy altered anew in every batch."""
        altered, lengths, kinds = augment_at_random(
            required(targets.speech), required(targets.speech_lengths), self.kinds
        )
        states, mask = required(tools.encode_speech)(altered, lengths)
        loss, stats = states.new_zeros(()), {}
        if self.classifier is not None:
            scores = self.classifier(self.pool(states, mask)).float()
            part = nn.functional.cross_entropy(scores, kinds)
            loss = loss + self.type_weight * part
            stats["loss_augmentation_type"] = part.detach()
            stats["acc_augmentation_type"] = (scores.argmax(-1) == kinds).float().mean()
        if self.decoder is not None:
            part = self.reconstruction_loss(states, mask, altered, lengths)
            loss = loss + self.reconstruction_weight * part
            stats["loss_reconstruction"] = part.detach()
        return Loss(loss, stats)

    def reconstruction_loss(self, states: Tensor, mask: Tensor, frames: Tensor, lengths: Tensor) -> Tensor:
        """Mean squared error to the input, every layer and frame of which has been normalised (so 1 is ignorance)."""
        layers, size = required(self.speech_input)
        target = nn.functional.layer_norm(frames.unflatten(-1, (layers, size)), (size,)).flatten(2)
        error = (required(self.decoder)(states).float() - target).square().mean(-1)
        return error[length_mask(lengths, frames.shape[1]) & mask].mean()
