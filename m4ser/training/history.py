"""The course of a training, kept as ``history.json`` when the checkpoint that holds it is removed."""

import math
from datetime import timedelta
from pathlib import Path
from typing import Any

from m4ser.training.checkpoints import read_checkpoint
from m4ser.training.experiment import History


def read_history(checkpoint: str | Path, criterion: tuple[str, str, str]) -> History:
    """Statistics of every epoch in ESPnet's checkpoint of a run of ours.

    Args:
        checkpoint: ``checkpoint.pth`` of the last epoch.
        criterion: phase, statistic and ``max`` or ``min``: what the model was chosen by.
    """
    stats = read_checkpoint(Path(checkpoint))["reporter"]["stats"]
    epochs = {
        str(epoch): {phase: _numbers(values) for phase, values in phases.items()}
        for epoch, phases in sorted(stats.items())
    }
    phase, name, mode = criterion
    scores = {int(epoch): phases[phase][name] for epoch, phases in epochs.items() if name in phases.get(phase, {})}
    best = (max if mode == "max" else min)(scores, key=scores.__getitem__) if scores else None
    return {"criterion": list(criterion), "best_epoch": best, "epochs": epochs}


def _numbers(values: dict[str, Any]) -> dict[str, float]:
    numbers = {}
    for name, value in values.items():
        number = value.total_seconds() if isinstance(value, timedelta) else float(value)
        if math.isfinite(number):
            numbers[name] = float(f"{number:.6g}")
    return numbers
