"""Modality discriminator: speech-specific and text-specific states apart, the invariant states in between.

Reconstructed from MIR-GAN (Hu et al., ACL 2023). MIR-GAN alternates two optimizer steps; here one pass gives the exact
gradients of simultaneous updates: the discriminator's loss sees detached states, the generator's term sees the
discriminator with detached parameters. Accumulation, mixed precision and data parallelism keep working.

As reconstructed, the discriminator is right about every specific state after an epoch: each stream ends in a
normalisation with weights of its own, whose bias alone tells the two apart. Then it teaches nothing. What mends that,
and what carries out the abstract's "enhance the diversity of modality-specific representations", are switches here;
with their defaults nothing differs from the reconstruction.
"""

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional
from torch.nn.functional import softplus

from m4ser.models.objectives.base import Loss, Objective, Sizes, Targets, Tools
from m4ser.models.representations import Representations, masked_mean, required

FIRST_NOISE = 1.0  # standard deviation; that of normalised states
NOISE_STEP, NOISE_RANGE = 1.05, (1e-3, 100.0)


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
    ``normalise`` puts a LayerNorm without weights in front, so that a state counts by its direction.
    """

    def __init__(self, size: int, nonlinear: bool = False, normalise: bool = False):
        super().__init__()
        between = nn.LeakyReLU(0.2) if nonlinear else nn.Identity()
        quarter, sixteenth = max(size // 4, 1), max(size // 16, 1)
        self.normalise = normalise
        self.net = nn.Sequential(
            nn.Linear(size, quarter), between, nn.Linear(quarter, sixteenth), between, nn.Linear(sixteenth, 1)
        )

    def forward(self, x: Tensor, noise: Tensor | None = None) -> Tensor:
        """(B, T, D) -> (B, T); ``noise`` (B, T, D) is added behind the normalisation."""
        if self.normalise:
            x = functional.layer_norm(x, x.shape[-1:])
        return self.net(x if noise is None else x + noise).squeeze(-1)


class AdversarialObjective(Objective):
    """L_D = BCE(D(sg H_S), 1) + BCE(D(sg H_T), 0) - w U(D(sg H_inv));  L_G = U(D*(H_inv)), D* frozen.

    L_G counts with the objective's weight. L_D is ``unweighted``: only the discriminator learns from it, at its own
    learning rate.

    Args:
        nonlinear: LeakyReLU in the discriminator.
        invariant_weight: w, how much the discriminator is pushed to take sides on H_inv; 0 leaves that term out.
        clamp: upper bound of that term's U, which is unbounded for the discriminator otherwise.
        gradient_to_specific: also train the specific states to differ (cooperative term).
        normalise: LayerNorm without weights in front of the discriminator.
        accuracy: noise is added to what the discriminator sees, as much as keeps it right about this share of the
            specific states in training (instance noise, Soenderby et al. 2017; held to an accuracy as in ADA, Karras et
            al. 2020). None: no noise.
        diversity: weight of one more term beside L_G, the similarity (linear CKA, Kornblith et al. 2019) of the pooled
            specific states of a batch: a difference loss as in domain separation networks (Bousmalis et al. 2016).
        middle: weight of one more term, which draws the mean of the invariant states to the middle between the means of
            the specific ones. A discriminator that is undecided says so of one direction; this says it of all.
    """

    noise: Tensor

    def __init__(
        self,
        sizes: Sizes,
        nonlinear: bool = False,
        invariant_weight: float = 1.0,
        clamp: float = 4.0,
        gradient_to_specific: bool = False,
        normalise: bool = False,
        accuracy: float | None = None,
        diversity: float = 0.0,
        middle: float = 0.0,
    ):
        super().__init__()
        if accuracy is not None and not 0.5 < accuracy < 1:
            raise ValueError(f"accuracy must be above 0.5 and below 1, not {accuracy:g}")
        self.discriminator = ModalityDiscriminator(sizes.size, nonlinear, normalise)
        self.invariant_weight, self.clamp = invariant_weight, clamp
        self.gradient_to_specific, self.accuracy = gradient_to_specific, accuracy
        self.diversity, self.middle = diversity, middle
        if accuracy is not None:
            self.register_buffer("noise", torch.tensor(FIRST_NOISE))

    def discriminator_loss(self, reps: Representations) -> tuple[Tensor, dict[str, Tensor]]:
        """L_D on detached states; gradients reach the discriminator only."""
        states, masks = _states_and_masks(reps)
        speech, text, invariant = (self.discriminator(x.detach(), self._noise_for(x)).float() for x in states)
        loss = frame_mean(softplus(-speech), masks[0]) + frame_mean(softplus(text), masks[1])
        if self.invariant_weight:
            decided = undecided(invariant).clamp(max=self.clamp)
            loss = loss - self.invariant_weight * frame_mean(decided, masks[2])
        stats = {
            "disc_acc_speech": frame_mean((speech > 0).float(), masks[0]),
            "disc_acc_text": frame_mean((text < 0).float(), masks[1]),
            "disc_invariant": frame_mean(torch.sigmoid(invariant), masks[2]),
        }
        if self.accuracy is not None:
            if self.training:
                self._adapt((stats["disc_acc_speech"] + stats["disc_acc_text"]) / 2)
            stats["disc_noise"] = self.noise.clone()
        return loss, {key: value.detach() for key, value in stats.items()}

    def _noise_for(self, x: Tensor) -> Tensor | None:
        if self.accuracy is None:
            return None
        if self.training:
            return torch.randn_like(x) * self.noise
        # The same for every batch, so that figures of dev can be compared.
        return torch.randn(x.shape, generator=torch.Generator().manual_seed(0)).to(x) * self.noise

    @torch.no_grad()
    def _adapt(self, accuracy: Tensor) -> None:
        """More noise where the discriminator is right too often, less where it is wrong."""
        step = torch.where(accuracy > required(self.accuracy), NOISE_STEP, 1 / NOISE_STEP)
        self.noise.copy_((self.noise * step).clamp(*NOISE_RANGE))

    def generator_loss(self, reps: Representations) -> tuple[Tensor, dict[str, Tensor]]:
        """L_G; gradients reach encoders and fusion through H_inv, none the discriminator."""
        frozen = {name: value.detach() for name, value in self.discriminator.named_parameters()}
        states, masks = _states_and_masks(reps)

        def judge(x: Tensor) -> Tensor:
            return functional_call(self.discriminator, frozen, (x, self._noise_for(x))).float()

        loss = frame_mean(undecided(judge(states[2])), masks[2])
        stats = _gradient("grad_invariant", loss, states[2], masks[2])
        if self.gradient_to_specific:
            apart = frame_mean(softplus(-judge(states[0])), masks[0]) + frame_mean(softplus(judge(states[1])), masks[1])
            stats |= _gradient("grad_specific", apart, states[0], masks[0])
            loss = loss + apart
        speech, text, invariant = (masked_mean(x.float(), mask) for x, mask in zip(states, masks, strict=True))
        if self.middle:
            off = off_the_middle(invariant, speech.detach(), text.detach())
            stats["off_the_middle"] = off.detach()
            loss = loss + self.middle * off
        if self.diversity:
            similarity = linear_cka(speech, text)
            stats["cka_specific"] = similarity.detach()
            loss = loss + self.diversity * similarity
        return loss, stats

    def forward(self, reps: Representations, targets: Targets, tools: Tools) -> Loss:
        """L_G as the weighted loss, L_D as the unweighted one."""
        own_loss, stats = self.discriminator_loss(reps)
        loss, more = self.generator_loss(reps)
        stats = {"loss_generator": loss.detach(), "loss_discriminator": own_loss.detach(), **stats, **more}
        return Loss(loss, stats, unweighted=own_loss)


def off_the_middle(invariant: Tensor, speech: Tensor, text: Tensor) -> Tensor:
    """Squared distance of the mean of (B, D) from the middle between two others', over that between these two.

    >>> means = (torch.tensor([[x, y]]) for x, y in ((1.0, 3.0), (0.0, 0.0), (4.0, 0.0)))
    >>> off_the_middle(*means).item()  # (1 - 2)^2 + 3^2 over 4^2
    0.625
    """
    first, second = speech.mean(0), text.mean(0)
    distance = (invariant.mean(0) - (first + second) / 2).square().sum()
    return distance / (first - second).square().sum().clamp(min=1e-6)


def linear_cka(x: Tensor, y: Tensor) -> Tensor:
    """Linear CKA of two views of a batch, |Y'X|^2 / (|X'X| |Y'Y|) of centred columns: 0 unrelated, 1 alike.

    Shape: (B, D), (B, E) -> scalar; 0 for a batch of one.
    """
    x, y = x - x.mean(0), y - y.mean(0)
    # By the (B, B) products: |Y'X|^2 is the sum of XX' times YY'.
    x, y = x @ x.T, y @ y.T
    return (x * y).sum() / (x.norm() * y.norm()).clamp(min=1e-8)


def _gradient(name: str, loss: Tensor, states: Tensor, mask: Tensor) -> dict[str, Tensor]:
    """How hard a term pulls at the states: norm of its gradient at a state, mean over valid ones, times their number.

    The number undoes the mean in the loss, so that the figure does not depend on the size of the batch.
    """
    if not (torch.is_grad_enabled() and states.requires_grad):
        return {}
    (gradient,) = torch.autograd.grad(loss, states, retain_graph=True)
    return {name: gradient.float().norm(dim=-1)[mask].sum()}


def _states_and_masks(reps: Representations) -> tuple[list[Tensor], list[Tensor]]:
    """Speech-specific, text-specific and invariant states (B, T, D), and where each is valid (B, T)."""
    states = [required(x) for x in (reps.speech_specific, reps.text_specific, reps.invariant)]
    return states, [required(x) for x in (reps.speech_mask, reps.text_mask, reps.invariant_mask)]
