"""What is fitted on the development set: gates of experts, against a search over a grid."""

import numpy as np
import pytest
import torch

from m4ser.models.fusion.m4ser_x import GATE_DECAY, GatedExperts

NOISE = torch.tensor([1.0, 1.0, -1.0, -1.0])  # right as often as wrong, for classes that alternate


def three_experts():
    """Each reads one value, of which its sign is the class."""
    experts = GatedExperts([1, 1, 1], 2)
    with torch.no_grad():
        for classifier in experts.classifiers:
            classifier.weight.copy_(torch.tensor([[1.0], [-1.0]]))
            classifier.bias.zero_()
    return experts


@pytest.fixture
def experts():
    """The first is right, the second says nothing, the third is wrong as often as right."""
    experts = three_experts()
    emotion = torch.arange(200) % 2
    right = 1.0 - 2.0 * emotion
    return experts, torch.stack([right, torch.zeros(200), NOISE.repeat(50), *torch.zeros(4, 200)], dim=1), emotion


def test_gates_open_for_the_expert_that_is_right_and_close_for_the_one_that_is_not(experts):
    experts, utterance, emotion = experts
    experts.fit_on_dev(utterance, emotion)
    gates = experts.experts(utterance)[-1][0].tolist()
    assert gates[0] > 0.6 > 0.3 > gates[1] > gates[2]


def test_they_are_the_likeliest_ones_by_a_grid(experts):
    """Reliability is zero here, so the biases alone are fitted."""
    experts, utterance, emotion = experts
    experts.fit_on_dev(utterance, emotion)
    scores = utterance[:, :3].double().numpy()
    sign = 1 - 2 * emotion.numpy()

    def objective(bias):
        gates = np.exp(bias) / np.exp(bias).sum()
        margin = 2 * sign * (scores @ gates)  # between the logits of the two classes
        return np.log1p(np.exp(-margin)).sum() + GATE_DECAY * np.square(bias).sum()

    fitted = experts.gate.bias.detach().double().numpy()
    steps = (-0.05, 0.0, 0.05)
    around = [objective(fitted + np.array([x, y, z])) for x in steps for y in steps for z in steps]
    assert min(around) == pytest.approx(objective(fitted), abs=1e-4)


def test_reliability_moves_a_gate():
    """Where words are said to be unreliable, their expert is wrong: its gate closes there and not elsewhere."""
    experts = three_experts()
    emotion = torch.arange(400) % 2
    right = 1.0 - 2.0 * emotion
    reliable = (torch.arange(400) < 200).float()
    words = torch.where(reliable == 1, right, NOISE.repeat(100))
    utterance = torch.stack([torch.zeros(400), words, torch.zeros(400), *reliable.expand(4, 400)], dim=1)
    experts.fit_on_dev(utterance, emotion)
    gates = experts.experts(utterance)[-1][:, 1]
    assert gates[0] > 0.6 and gates[-1] < 0.33
