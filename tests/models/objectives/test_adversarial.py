"""Modality discriminator: values, minimum, and where gradients go."""

import math

import numpy as np
import pytest
import torch

from m4ser.models.objectives.adversarial import AdversarialObjective, frame_mean, linear_cka, undecided
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
    module.generator_loss(reps)[0].backward()
    assert all(p.grad is None for p in module.discriminator.parameters())
    assert reps.invariant.grad.abs().sum() > 0
    assert reps.speech_specific.grad is None


def test_cooperative_switch_trains_the_specific_states():
    module, reps = objective(gradient_to_specific=True), representations()
    module.generator_loss(reps)[0].backward()
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
    for function in (module.generator_loss, module.discriminator_loss):
        torch.testing.assert_close(function(representations(extra=5)), function(representations()))


def test_frame_mean_by_hand():
    values = torch.tensor([[1.0, 3.0, 100.0], [5.0, 100.0, 100.0]])
    mask = torch.tensor([[True, True, False], [True, False, False]])
    assert frame_mean(values, mask).item() == pytest.approx((2.0 + 5.0) / 2)


def test_normalisation_takes_the_bias_of_a_stream_away():
    """States of two streams that differ by size and by one common addend only are judged alike."""
    module = objective(normalise=True)
    states = torch.randn(2, 5, 16)
    torch.testing.assert_close(module.discriminator(states), module.discriminator(3 * states + 7))
    plain = objective()
    assert not torch.allclose(plain.discriminator(states), plain.discriminator(3 * states + 7))


def test_noise_holds_the_discriminator_to_its_accuracy():
    """Streams that lie far apart: without noise it is always right, with it about as often as is asked for."""
    torch.manual_seed(0)
    centre = torch.zeros(16).index_fill(0, torch.tensor([0]), 4.0)
    mask = torch.ones(32, 4, dtype=torch.bool)
    none = torch.zeros(32, 1)

    def states():
        noise = torch.randn(3, 32, 4, 16) / 4
        return Representations(none, None, mask, None, mask, noise[0] + centre, noise[1] - centre, noise[2], mask)

    for accuracy, lowest, highest in ((None, 1.0, 1.0), (0.8, 0.72, 0.88)):
        module = objective(accuracy=accuracy, invariant_weight=0.0)
        optimizer = torch.optim.Adam(module.parameters(), lr=1e-2)
        right = []
        for _ in range(600):
            loss, stats = module.discriminator_loss(states())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            right.append((stats["disc_acc_speech"] + stats["disc_acc_text"]).item() / 2)
        assert lowest <= np.mean(right[-100:]) <= highest
        dev = module.eval().discriminator_loss(states())[1]["disc_acc_speech"].item()
        assert lowest - 0.05 <= dev <= highest + 0.05


def test_the_gradient_of_a_saturated_discriminator_vanishes_and_noise_brings_it_back():
    far = representations()
    for states, sign in ((far.speech_specific, 1), (far.text_specific, -1)):
        states.data[..., 0] += sign * 20.0
    norms = []
    for noise in (None, 0.9):
        module = objective(gradient_to_specific=True, accuracy=noise)
        with torch.no_grad():
            for layer in (module.discriminator.net[0], module.discriminator.net[2], module.discriminator.net[4]):
                layer.weight.zero_()
                layer.bias.zero_()
                layer.weight[0, 0] = 1.0
            if noise:
                module.noise.fill_(20.0)
        norms.append(module.generator_loss(far)[1]["grad_specific"].item())
    assert norms[0] < 1e-4 < 1e-1 < norms[1]


def test_gradient_norms_by_hand():
    """D(x) = 2 x_0: the gradient of U at z is tanh(z / 2) dz/dx, in a batch of one state."""
    module = objective()
    with torch.no_grad():
        for layer in (module.discriminator.net[0], module.discriminator.net[2], module.discriminator.net[4]):
            layer.weight.zero_()
            layer.bias.zero_()
            layer.weight[0, 0] = 1.0
        module.discriminator.net[4].weight[0, 0] = 2.0
    mask = torch.ones(1, 1, dtype=torch.bool)
    state = torch.zeros(1, 1, 16)
    state[..., 0] = 0.75
    reps = Representations(
        torch.zeros(1, 1), None, mask, None, mask, state, state, state.clone().requires_grad_(), mask
    )
    assert module.generator_loss(reps)[1]["grad_invariant"].item() == pytest.approx(2 * math.tanh(0.75), abs=1e-6)


def test_similarity_is_that_of_kornblith_et_al():
    random = np.random.default_rng(1)
    x, y = random.normal(size=(9, 4)), random.normal(size=(9, 6))
    centred_x, centred_y = x - x.mean(0), y - y.mean(0)
    expected = np.linalg.norm(centred_y.T @ centred_x) ** 2
    expected /= np.linalg.norm(centred_x.T @ centred_x) * np.linalg.norm(centred_y.T @ centred_y)
    found = linear_cka(torch.from_numpy(x), torch.from_numpy(y)).item()
    assert found == pytest.approx(expected)
    rotation = np.linalg.qr(random.normal(size=(4, 4)))[0]
    assert linear_cka(torch.from_numpy(x), torch.from_numpy(3 * x @ rotation + 5)).item() == pytest.approx(1.0)
    assert linear_cka(torch.ones(1, 4), torch.ones(1, 6)).item() == 0.0


def test_difference_term_makes_specific_states_less_alike():
    torch.manual_seed(0)
    shared, mask = torch.randn(12, 1, 16), torch.ones(12, 3, dtype=torch.bool)
    speech, text = ((shared + torch.randn(12, 3, 16) / 4).requires_grad_() for _ in range(2))
    reps = Representations(
        torch.zeros(12, 1), None, mask, None, mask, speech, text, torch.randn(12, 3, 16, requires_grad=True), mask
    )
    module = objective(diversity=1.0)
    optimizer = torch.optim.SGD([speech, text], lr=20.0)
    values = []
    for _ in range(20):
        loss, stats = module.generator_loss(reps)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(stats["cka_specific"].item())
    assert values[0] > 0.9 and values[-1] < 0.6


@pytest.mark.parametrize("accuracy", [0.5, 1.0])
def test_accuracy_out_of_range(accuracy):
    with pytest.raises(ValueError, match=r"accuracy must be above 0\.5 and below 1"):
        objective(accuracy=accuracy)
