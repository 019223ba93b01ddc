"""Experts whose answers are weighed by gates that are fitted to development speakers: the classifier of ``m4ser_x``.

    z = sum_e g_e(r) log p_e,   g = softmax(V r + d)

r says how reliable the words of an utterance are. The gates are positive and sum to one (a logarithmic opinion pool,
Heskes 1998). Which expert is to be believed how far cannot be learned from trained utterances, whose words the model
has seen, so while it is trained the gates are equal; afterwards they are fitted to the development set (stacked
generalisation, Wolpert 1992). A development set may be two speakers who say the same words again and again: how far
the gates may leave equality is what predicts speakers best to whom they were not fitted.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from m4ser.models.fusion.base import LinearExperts

RELIABILITY = 4  # values of r
DECAYS = (1000.0, 300.0, 100.0, 30.0, 10.0)  # of the squared V and d, beside the summed log likelihood
GROUPS = 5  # of speakers, at most, each left out once


class GatedExperts(LinearExperts):
    """The parts' log probabilities are weighted; as gates sum to one, shifting each part shifts z by the same.

    The last values of the utterance vector are r.

    Args:
        sizes: of the experts' parts.
        num_classes: E.
    """

    def __init__(self, sizes: list[int], num_classes: int):
        super().__init__(sizes, num_classes)
        self.gate = nn.Linear(RELIABILITY, len(sizes)).requires_grad_(False)
        nn.init.zeros_(self.gate.weight)
        nn.init.zeros_(self.gate.bias)

    def experts(self, utterance: Tensor) -> list[Tensor]:
        """(B, U) -> scores (B, E) of each expert, and their gates (B, number of experts)."""
        *parts, reliability = utterance.split([*self.sizes, RELIABILITY], dim=-1)
        return [*self.scores(parts), torch.softmax(self.gate(reliability), dim=-1)]

    def combine(self, answers: list[Tensor]) -> Tensor:
        """What :meth:`experts` returns -> z (B, E)."""
        *scores, gates = answers
        log_probabilities = torch.stack([torch.log_softmax(score, dim=-1) for score in scores], dim=1)
        return (gates.unsqueeze(-1) * log_probabilities).sum(1)

    def trained(self, answers: list[Tensor]) -> list[Tensor]:
        """Each expert's scores, and theirs together."""
        return [*answers[:-1], self.combine(answers)]

    @torch.no_grad()
    def fit_on_dev(self, utterance: Tensor, emotion: Tensor, speakers: Sequence[str]) -> None:
        """The gates at which the classes are likeliest, drawn to equal ones by a penalty; with one speaker, equal ones.

        The penalty is the one at which speakers that are left out in turn are likeliest.
        """
        *scores, _ = self.experts(utterance)
        log_probabilities = torch.stack([torch.log_softmax(score.double(), dim=-1) for score in scores], dim=1)
        answers = _Answers(log_probabilities, utterance[:, -RELIABILITY:].double(), emotion)
        weight, bias = torch.zeros_like(self.gate.weight).double(), torch.zeros_like(self.gate.bias).double()
        if len(set(speakers)) > 1:
            decay = max(DECAYS, key=lambda decay: _likelihood_left_out(answers, speakers, decay))
            weight, bias = _fit(answers, decay)
        self.gate.weight.copy_(weight)
        self.gate.bias.copy_(bias)


class _Answers(NamedTuple):
    """What experts say of N utterances, and what they are."""

    log_probabilities: Tensor  # (N, number of experts, E)
    reliability: Tensor  # (N, RELIABILITY)
    emotion: Tensor  # (N,)

    def of(self, places: Tensor) -> "_Answers":
        return _Answers(*(values[places] for values in self))

    def loss(self, weight: Tensor, bias: Tensor) -> Tensor:
        """Cross-entropy, summed over utterances, of the answers under gates of V and d."""
        gates = torch.softmax(nn.functional.linear(self.reliability, weight, bias), dim=-1)
        z = (gates.unsqueeze(-1) * self.log_probabilities).sum(1)
        return nn.functional.cross_entropy(z, self.emotion, reduction="sum")


def _likelihood_left_out(answers: _Answers, speakers: Sequence[str], decay: float) -> float:
    """Summed log likelihood of each group of speakers under gates that are fitted to the others."""
    from sklearn.model_selection import GroupKFold  # a second of import, which inference does without

    groups = GroupKFold(min(GROUPS, len(set(speakers))))
    total = 0.0
    for others, left_out in groups.split(speakers, groups=speakers):
        gates = _fit(answers.of(torch.from_numpy(others)), decay)
        total -= answers.of(torch.from_numpy(left_out)).loss(*gates).item()
    return total


@torch.enable_grad()
def _fit(answers: _Answers, decay: float) -> tuple[Tensor, Tensor]:
    """V (number of experts, RELIABILITY) and d (number of experts,)."""
    experts = answers.log_probabilities.shape[1]
    weight = torch.zeros(experts, RELIABILITY, dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(experts, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=200, line_search_fn="strong_wolfe")

    def objective() -> Tensor:
        optimizer.zero_grad()
        loss = answers.loss(weight, bias) + decay * (weight.square().sum() + bias.square().sum())
        loss.backward()
        return loss

    optimizer.step(objective)
    return weight.detach(), bias.detach()
