"""What is fitted on the development set: gates of experts, against a search over a grid, and kept in a trained run."""

import numpy as np
import pytest
import torch

from m4ser.models.fusion.m4ser_x import GATE_DECAY, OPEN, GatedExperts


@pytest.fixture
def experts():
    """Of one value each: the first is right, the second says nothing, the third is wrong as often as right."""
    torch.manual_seed(0)
    experts = GatedExperts([1, 1, 1], 2)
    with torch.no_grad():
        for classifier in experts.classifiers:
            classifier.weight.copy_(torch.tensor([[1.0], [-1.0]]))
            classifier.bias.zero_()
    emotion = torch.arange(200) % 2
    right = 1.0 - 2.0 * emotion
    noise = torch.tensor([1.0, 1.0, -1.0, -1.0]).repeat(50)
    return experts, torch.stack([right, torch.zeros(200), noise, *torch.zeros(4, 200)], dim=1), emotion


def test_gates_open_for_the_expert_that_is_right_and_close_for_the_one_that_is_not(experts):
    experts, utterance, emotion = experts
    experts.fit_on_dev(utterance, emotion)
    gates = experts.experts(utterance)[-1][0].tolist()
    assert gates[0] > 2 and gates[1] == pytest.approx(1.0, abs=1e-4) and gates[2] < 0.7


def test_they_are_the_likeliest_ones_by_a_grid(experts):
    """Reliability is zero here, so the biases alone are fitted; the second expert's stays where it began."""
    experts, utterance, emotion = experts
    experts.fit_on_dev(utterance, emotion)
    scores = utterance[:, [0, 2]].double().numpy()
    sign = 1 - 2 * emotion.numpy()

    def objective(first, third):
        gates = np.log1p(np.exp([first, third]))
        margin = 2 * sign * (scores @ gates)  # between the logits of the two classes
        return np.log1p(np.exp(-margin)).sum() + GATE_DECAY * ((first - OPEN) ** 2 + (third - OPEN) ** 2)

    fitted = experts.gate.bias[0].item(), experts.gate.bias[2].item()
    around = [objective(fitted[0] + x, fitted[1] + y) for x in (-0.05, 0, 0.05) for y in (-0.05, 0, 0.05)]
    assert min(around) == pytest.approx(objective(*fitted), abs=1e-4)


def test_reliability_moves_a_gate():
    """Where words are said to be unreliable, their expert is wrong: its gate closes there and not elsewhere."""
    torch.manual_seed(0)
    experts = GatedExperts([1, 1, 1], 2)
    with torch.no_grad():
        for classifier in experts.classifiers:
            classifier.weight.copy_(torch.tensor([[1.0], [-1.0]]))
            classifier.bias.zero_()
    emotion = torch.arange(400) % 2
    right = 1.0 - 2.0 * emotion
    reliable = (torch.arange(400) < 200).float()
    words = torch.where(reliable == 1, right, torch.tensor([1.0, 1.0, -1.0, -1.0]).repeat(100))
    utterance = torch.stack([torch.zeros(400), words, torch.zeros(400), *reliable.expand(4, 400)], dim=1)
    experts.fit_on_dev(utterance, emotion)
    gates = experts.experts(utterance)[-1][:, 1]
    assert gates[0] > 1.5 and gates[-1] < 0.3
