"""Modality discriminator: values, minimum, and where gradients go."""

import math

import numpy as np
import pytest
import torch

from m4ser.models.objectives.adversarial import AdversarialObjective, frame_mean, undecided
from m4ser.models.objectives.base import Sizes, Targets, Tools
from m4ser.models.representations import Representations


def representations(requires_grad=True, extra=0):
    torch.manual_seed(4)
    lengths = {"speech": [5, 3], "text": [2, 4], "invariant": [7, 7]}
    fields = {}
    for name, (a, b) in lengths.items():
        mask = torch.zeros(2, max(a, b) + extra, dtype=torch.bool)
        mask[0, :a], mask[1, :b] = True, True
        states = torch.full((2, mask.shape[1], 16), 9.0)
        states[mask] = torch.randn(a + b, 16)
        fields[name] = states.requires_grad_(requires_grad), mask
    return Representations(
        torch.zeros(2, 3),
        speech_mask=fields["speech"][1],
        text_mask=fields["text"][1],
        speech_specific=fields["speech"][0],
        text_specific=fields["text"][0],
        invariant=fields["invariant"][0],
        invariant_mask=fields["invariant"][1],
    )


def objective(**conf):
    torch.manual_seed(5)
    return AdversarialObjective(Sizes(16, 16, 3, 2), **conf)


def probability(module, states, mask):
    """Discriminator outputs of the valid positions, row by row, by numpy."""
    x = states.detach().numpy().astype(np.float64)
    for layer in (module.discriminator.net[0], module.discriminator.net[2], module.discriminator.net[4]):
        x = x @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()
    d = 1 / (1 + np.exp(-x[..., 0]))
    return [d[row][mask[row].numpy()] for row in range(len(d))]


def test_losses_equal_their_equations():
    module, reps = objective(clamp=1e9), representations()
    speech = probability(module, reps.speech_specific, reps.speech_mask)
    text = probability(module, reps.text_specific, reps.text_mask)
    joint = probability(module, reps.invariant, reps.invariant_mask)
    undecidedness = np.mean([np.mean(-np.log(d) - np.log(1 - d)) for d in joint])
    own = np.mean([-np.log(d).mean() for d in speech]) + np.mean([-np.log(1 - d).mean() for d in text]) - undecidedness
    part = module(reps, Targets(torch.zeros(2, dtype=torch.long)), Tools())
    assert part.loss.item() == pytest.approx(undecidedness, abs=1e-5)
    assert part.unweighted.item() == pytest.approx(own, abs=1e-5)


def test_generator_term_is_least_where_the_discriminator_is_undecided():
    z = torch.linspace(-6, 6, 1201)
    values = undecided(z)
    assert values.min().item() == pytest.approx(2 * math.log(2), abs=1e-6)
    assert z[values.argmin()].item() == pytest.approx(0.0, abs=1e-6)


def test_discriminator_loss_reaches_the_discriminator_only():
    module, reps = objective(), representations()
    module.discriminator_loss(reps)[0].backward()
    assert all(states.grad is None for states in (reps.speech_specific, reps.text_specific, reps.invariant))
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in module.discriminator.parameters())


def test_generator_loss_spares_the_discriminator():
    module, reps = objective(), representations()
    module.generator_loss(reps).backward()
    assert all(p.grad is None for p in module.discriminator.parameters())
    assert reps.invariant.grad.abs().sum() > 0
    assert reps.speech_specific.grad is None


def test_cooperative_switch_trains_the_specific_states():
    module, reps = objective(gradient_to_specific=True), representations()
    module.generator_loss(reps).backward()
    assert reps.speech_specific.grad.abs().sum() > 0
    assert reps.text_specific.grad.abs().sum() > 0


def test_unbounded_term_is_clamped():
    module, reps = objective(clamp=4.0), representations(requires_grad=False)
    with torch.no_grad():
        module.discriminator.net[4].bias.fill_(500.0)
    loss, _ = module.discriminator_loss(reps)
    speech_and_text = 0.0 + 500.0
    assert loss.item() == pytest.approx(speech_and_text - 4.0, rel=0.02)


def test_padding_changes_nothing():
    module = objective()
    for function in (module.generator_loss, lambda reps: module.discriminator_loss(reps)[0]):
        torch.testing.assert_close(function(representations(extra=5)), function(representations()))


def test_frame_mean_by_hand():
    values = torch.tensor([[1.0, 3.0, 100.0], [5.0, 100.0, 100.0]])
    mask = torch.tensor([[True, True, False], [True, False, False]])
    assert frame_mean(values, mask).item() == pytest.approx((2.0 + 5.0) / 2)
