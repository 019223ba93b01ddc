"""Label-based contrastive learning on utterance vectors.

M4SER's exact form could not be read. ``supcon`` is supervised contrastive learning (Khosla et al., NeurIPS 2020);
``clmlf`` is the form of CLMLF (Li et al., Findings of NAACL 2022), who coined the term.
"""

import torch
from torch import Tensor, nn

from m4ser.models.objectives.base import Loss, Objective, Sizes, Targets, Tools
from m4ser.models.representations import Representations


def supervised_contrastive(vectors: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """SupCon, L_out: mean over anchors with a positive of -1/|P| sum_p log softmax_{a != i}(q_i . q_a / tau)[p].

    ``vectors`` (B, D) are L2-normalised. Anchors alone in their class are left out; zero when all are.
    """
    same = labels[:, None] == labels[None, :]
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    positive = (same & ~itself).float()
    logits = (vectors @ vectors.T / temperature).float().masked_fill(itself, torch.finfo(torch.float32).min)
    log_probability = logits - torch.logsumexp(logits, dim=1, keepdim=True)
    count = positive.sum(1)
    per_anchor = -(positive * log_probability).sum(1) / count.clamp(min=1.0)
    return (per_anchor * (count > 0)).sum() / (count > 0).sum().clamp(min=1)


def clmlf_contrastive(vectors: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """CLMLF: -mean over all pairs of one label, itself included, of log softmax_j(q_i . q_j) / tau.

    No normalisation, and tau divides after the softmax, so it is a weight of the loss.
    """
    log_probability = torch.log_softmax((vectors @ vectors.T).float(), dim=1)
    same = (labels[:, None] == labels[None, :]).float()
    return -(same * log_probability).sum() / same.sum() / temperature


class ContrastiveObjective(Objective):
    """q = Linear(GELU(Linear(v))) of the utterance vector v, then one of the two losses.

    Args:
        form: "supcon" or "clmlf".
        temperature: tau.
        size: of q; 0 takes the fusion's D.
    """

    def __init__(self, sizes: Sizes, form: str = "supcon", temperature: float = 0.07, size: int = 0):
        super().__init__()
        if form not in ("supcon", "clmlf"):
            raise ValueError(f"form must be supcon or clmlf, not {form!r}")
        size = size or sizes.size
        self.form, self.temperature = form, temperature
        self.projection = nn.Sequential(nn.Linear(sizes.utterance_size, size), nn.GELU(), nn.Linear(size, size))

    def forward(self, reps: Representations, targets: Targets, tools: Tools) -> Loss:
        """Loss and mean cosine similarity of pairs of one class and of two classes."""
        projected = self.projection(reps.utterance)
        normalised = nn.functional.normalize(projected.float(), dim=-1)
        if self.form == "supcon":
            loss = supervised_contrastive(normalised, targets.emotion, self.temperature)
        else:
            loss = clmlf_contrastive(projected, targets.emotion, self.temperature)
        stats = {"loss_contrastive": loss.detach(), **_similarity(normalised.detach(), targets.emotion)}
        return Loss(loss, stats)


def _similarity(vectors: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Mean cosine of same-class pairs (without self pairs) and of different-class pairs; 0 where there are none."""
    cosine = vectors @ vectors.T
    same = labels[:, None] == labels[None, :]
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    pairs = {"cosine_same_class": same & ~itself, "cosine_other_class": ~same}
    return {name: (cosine * mask).sum() / mask.sum().clamp(min=1) for name, mask in pairs.items()}
