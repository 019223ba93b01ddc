"""Modality discriminator: speech-specific and text-specific states apart, the invariant states in between.

Reconstructed from MIR-GAN (Hu et al., ACL 2023). MIR-GAN alternates two optimizer steps; here one pass gives the exact
gradients of simultaneous updates: the discriminator's loss sees detached states, the generator's term sees the
discriminator with detached parameters. Accumulation, mixed precision and data parallelism keep working.
"""

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import softplus

from m4ser.models.objectives.base import Loss, Objective, Sizes, Targets, Tools
from m4ser.models.representations import Representations, required


def frame_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of (B, T) over all valid positions of every utterance, then over the batch: scalar."""
    weight = mask.to(values.dtype)
    return ((values * weight).sum(1) / weight.sum(1).clamp(min=1.0)).mean()


def undecided(logit: Tensor) -> Tensor:
    """U(z) = -log D - log(1 - D) with D = sigmoid(z): at least 2 ln 2, reached at D = 0.5."""
    return softplus(logit) + softplus(-logit)


class ModalityDiscriminator(nn.Module):
    """Frame-level logit of "this is speech": D -> D/4 -> D/16 -> 1.

    MIR-GAN has no non-linearity between the layers (one affine map in effect); ``nonlinear`` puts LeakyReLU there.
    """

    def __init__(self, size: int, nonlinear: bool = False):
        super().__init__()
        between = nn.LeakyReLU(0.2) if nonlinear else nn.Identity()
        quarter, sixteenth = max(size // 4, 1), max(size // 16, 1)
        self.net = nn.Sequential(
            nn.Linear(size, quarter), between, nn.Linear(quarter, sixteenth), between, nn.Linear(sixteenth, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) -> (B, T)."""
        return self.net(x).squeeze(-1)


class AdversarialObjective(Objective):
    """L_D = BCE(D(sg H_S), 1) + BCE(D(sg H_T), 0) - w U(D(sg H_inv));  L_G = U(D*(H_inv)), D* frozen.

    L_G counts with the objective's weight. L_D is ``unweighted``: only the discriminator learns from it, at its own
    learning rate.

    Args:
        nonlinear: LeakyReLU in the discriminator.
        invariant_weight: w, how much the discriminator is pushed to take sides on H_inv; 0 leaves that term out.
        clamp: upper bound of that term's U, which is unbounded for the discriminator otherwise.
        gradient_to_specific: also train the specific states to differ (cooperative term).
    """

    def __init__(
        self,
        sizes: Sizes,
        nonlinear: bool = False,
        invariant_weight: float = 1.0,
        clamp: float = 4.0,
        gradient_to_specific: bool = False,
    ):
        super().__init__()
        self.discriminator = ModalityDiscriminator(sizes.size, nonlinear)
        self.invariant_weight, self.clamp = invariant_weight, clamp
        self.gradient_to_specific = gradient_to_specific

    def discriminator_loss(self, reps: Representations) -> tuple[Tensor, dict[str, Tensor]]:
        """L_D on detached states; gradients reach the discriminator only."""
        states, masks = _states_and_masks(reps)
        speech, text, invariant = (self.discriminator(x.detach()).float() for x in states)
        loss = frame_mean(softplus(-speech), masks[0]) + frame_mean(softplus(text), masks[1])
        if self.invariant_weight:
            decided = undecided(invariant).clamp(max=self.clamp)
            loss = loss - self.invariant_weight * frame_mean(decided, masks[2])
        stats = {
            "disc_acc_speech": frame_mean((speech > 0).float(), masks[0]),
            "disc_acc_text": frame_mean((text < 0).float(), masks[1]),
            "disc_invariant": frame_mean(torch.sigmoid(invariant), masks[2]),
        }
        return loss, {key: value.detach() for key, value in stats.items()}

    def generator_loss(self, reps: Representations) -> Tensor:
        """L_G; gradients reach encoders and fusion through H_inv, none the discriminator."""
        frozen = {name: value.detach() for name, value in self.discriminator.named_parameters()}
        states, masks = _states_and_masks(reps)
        loss = frame_mean(undecided(functional_call(self.discriminator, frozen, states[2]).float()), masks[2])
        if self.gradient_to_specific:
            speech, text = (functional_call(self.discriminator, frozen, x).float() for x in states[:2])
            loss = loss + frame_mean(softplus(-speech), masks[0]) + frame_mean(softplus(text), masks[1])
        return loss

    def forward(self, reps: Representations, targets: Targets, tools: Tools) -> Loss:
        """L_G as the weighted loss, L_D as the unweighted one."""
        own_loss, stats = self.discriminator_loss(reps)
        loss = self.generator_loss(reps)
        stats = {"loss_generator": loss.detach(), "loss_discriminator": own_loss.detach(), **stats}
        return Loss(loss, stats, unweighted=own_loss)


def _states_and_masks(reps: Representations) -> tuple[list[Tensor], list[Tensor]]:
    """Speech-specific, text-specific and invariant states (B, T, D), and where each is valid (B, T)."""
    states = [required(x) for x in (reps.speech_specific, reps.text_specific, reps.invariant)]
    return states, [required(x) for x in (reps.speech_mask, reps.text_mask, reps.invariant_mask)]
