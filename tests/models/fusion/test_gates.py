"""What is fitted on the development set: gates of experts, against a search over a grid."""

import numpy as np
import pytest
import torch

from m4ser.models.fusion import gates as module
from m4ser.models.fusion.gates import DECAYS, RELIABILITY, GatedExperts

SPEAKERS = [f"speaker{i // 2 % 4}" for i in range(400)]  # each says both classes
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
    experts.fit_on_dev(utterance, emotion, SPEAKERS[:200])
    gates = experts.experts(utterance)[-1][0].tolist()
    assert gates[0] > 0.6 > 0.3 > gates[1] > gates[2]


@pytest.mark.parametrize("decay", DECAYS)
def test_they_are_the_likeliest_ones_by_a_grid(experts, decay, monkeypatch):
    """Reliability is zero here, so the biases alone are fitted."""
    experts, utterance, emotion = experts
    monkeypatch.setattr(module, "DECAYS", (decay,))
    experts.fit_on_dev(utterance, emotion, SPEAKERS[:200])
    scores = utterance[:, :3].double().numpy()
    sign = 1 - 2 * emotion.numpy()

    def objective(bias):
        gates = np.exp(bias) / np.exp(bias).sum()
        margin = 2 * sign * (scores @ gates)  # between the logits of the two classes
        return np.log1p(np.exp(-margin)).sum() + decay * np.square(bias).sum()

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
    experts.fit_on_dev(utterance, emotion, SPEAKERS)
    gates = experts.experts(utterance)[-1][:, 1]
    assert gates[0] > 0.6 and gates[-1] < 0.33


def two_speakers(second):
    """The first expert is right of the first speaker and says nothing of the second, and the second is as told."""
    emotion = torch.arange(200) % 2
    right = 1.0 - 2.0 * emotion
    first = (torch.arange(200) < 100).float()
    values = torch.stack([right * first, right * second * (1 - first), torch.zeros(200)], dim=1)
    return torch.cat([values, torch.zeros(200, RELIABILITY)], dim=1), emotion, ["a"] * 100 + ["b"] * 100


def test_gates_stay_near_equal_where_another_speaker_contradicts():
    """What is best for one of the two is worst for the other: the strongest penalty is the likeliest for either."""
    utterance, emotion, speakers = two_speakers(1.0)
    together, apart = three_experts(), three_experts()
    together.fit_on_dev(utterance, emotion, speakers)
    assert together.experts(utterance)[-1][0].tolist() == pytest.approx([1 / 3] * 3, abs=0.01)
    apart.fit_on_dev(utterance, emotion, [f"{name}{i % 4}" for i, name in enumerate(speakers)])
    assert apart.experts(utterance)[-1][0, 2] < 0.25  # of other speakers of both kinds it can be seen


def test_gates_of_one_speaker_are_equal(experts):
    experts, utterance, emotion = experts
    experts.fit_on_dev(utterance, emotion, ["speaker"] * 200)
    assert experts.experts(utterance)[-1][0].tolist() == pytest.approx([1 / 3] * 3)


def test_training_leaves_gates_equal():
    """Trained utterances cannot tell whom to believe."""
    experts = three_experts()
    answers = experts.experts(torch.randn(8, 3 + RELIABILITY, generator=torch.Generator().manual_seed(0)))
    sum(each.square().sum() for each in experts.trained(answers)).backward()
    assert experts.gate.weight.grad is None and experts.gate.bias.grad is None
    assert experts.classifiers[0].weight.grad.abs().sum() > 0
