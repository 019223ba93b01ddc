"""What a configuration can be for, by its key ``task``, and what all systems have in common once they are trained."""

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from m4ser.utils.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from m4ser.models.representations import Representations

SER = "ser"  # a model of this project, which m4ser.models.build builds
# Class that trains and builds a system, imported when a configuration names it: other systems need ESPnet.
SYSTEMS = {
    SER: "m4ser.training.task:SERTask",
    "espnet_cls": "m4ser.training.baselines.espnet_cls:ClassificationBaseline",
    "espnet_asr": "m4ser.training.baselines.espnet_asr:FirstTokenBaseline",
    "linear": "m4ser.training.baselines.linear:LinearBaseline",
}


class EmotionModel(Protocol):
    """What inference needs of a trained system, whichever it is.

    ``represent`` takes encoder inputs by name, see :data:`m4ser.models.batches.ENCODER_INPUTS`; ``logits`` gives the
    scores (B, E) of the emotions in the order of ``labels``.
    """

    labels: list[str]

    @property
    def represent(self) -> Callable[..., "Representations"]:
        """Encoder inputs (B, ...) with lengths (B,), those that the system reads -> representations."""
        ...

    def logits(self, reps: "Representations") -> "Tensor":
        """Representations -> (B, E)."""
        ...


def system_class(name: str, where: str = "task") -> Any:
    """The class behind a name of :data:`SYSTEMS`.

    Raises:
        UserError: there is no such system; ``where`` is the file that names it.
    """
    if name not in SYSTEMS:
        raise UserError(f"{where}: unknown task {name!r}; known are {', '.join(SYSTEMS)}")
    module, class_name = SYSTEMS[name].split(":")
    return getattr(importlib.import_module(module), class_name)
