"""How strongly a trained model's generator term pulls at its fusion, beside the emotion loss."""

import math
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import cast

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.nn.functional import cross_entropy

from m4ser.models import batches
from m4ser.models.checkpoint import load_run, read_config
from m4ser.models.model import SERModel
from m4ser.models.objectives.base import Objective, Targets
from m4ser.models.systems import SER
from m4ser.training.states import Inputs

ADVERSARIAL = "adversarial"
BATCHES = 4


def generator_gradients(folder: str | Path, part: str = "test", count: int = BATCHES) -> dict[str, float]:
    """Gradient norms at the trained model, mean over a few batches, without dropout.

    Returns:
        ``generator`` and ``emotion``: norms of the gradients of the weighted generator term and of the cross-entropy,
        by the fusion's parameters; ``generator_cross_modal``: of the first, what reaches the cross-modal encoder,
        which makes the modality-specific states; and the discriminator's statistics. Empty for a model that was
        trained without a discriminator.

    Raises:
        UserError: the run is not finished, or the dumps are gone.
    """
    folder = Path(folder)
    stored = read_config(folder)
    if stored.get("task", SER) != SER or ADVERSARIAL not in (stored.get("objectives") or {}):
        return {}
    loaded, conf = load_run(folder, objectives=[ADVERSARIAL])
    model = cast(SERModel, loaded)
    objective, weight = cast(Objective, model.objectives[ADVERSARIAL]), model.weights[ADVERSARIAL]
    inputs = Inputs(folder, part, conf)
    utts = list(inputs.emotions)
    every = [p for p in model.fusion.parameters() if p.requires_grad]
    makers = getattr(model.fusion, "cross_modal", None)
    upstream = [p for p in makers.parameters() if p.requires_grad] if makers is not None else []
    norms: dict[str, list[float]] = {}
    for _, batch in islice(inputs.batches(utts, utts), count):
        reps, emotion = batches.represent(model, batch), batch["emotion"].squeeze(-1)
        adversarial = objective(reps, Targets(emotion, batch.get("text")), model.tools)
        loss = cross_entropy(model.logits(reps).float(), emotion)
        measured = {
            "generator": _norm(weight * adversarial.loss, every),
            "generator_cross_modal": _norm(weight * adversarial.loss, upstream),
            "emotion": _norm(loss, every),
            **{name: float(value) for name, value in adversarial.stats.items()},
        }
        for name, value in measured.items():
            norms.setdefault(name, []).append(value)
    return {name: sum(values) / len(values) for name, values in norms.items()}


def _norm(loss: Tensor, parameters: Iterable[Parameter]) -> float:
    """Euclidean norm of the gradient of ``loss`` by all ``parameters``; zero for those that it does not depend on."""
    parameters = list(parameters)
    if not parameters or not loss.requires_grad:
        return 0.0
    gradients = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
    return math.sqrt(sum(float(g.double().square().sum()) for g in gradients if g is not None))
