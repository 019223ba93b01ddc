"""Functionals of openSMILE as features of stage 1: one vector per utterance.

Needs the package opensmile (``make -C tools opensmile``). openSMILE is free for research, education and personal use
only; its licence is not ours (see the README), which is why it is not installed by default.
"""

import numpy as np

from m4ser.data.audio import RATE
from m4ser.utils.errors import UserError

PREFIX = "opensmile:"
SETS = ("eGeMAPSv02", "GeMAPSv01b", "ComParE_2016")


class OpenSmileFunctionals:
    """One frame of functionals, e.g. 88 for eGeMAPSv02 (Eyben et al. 2016).

    Attributes:
        num_layers, dim: 1 and the number of functionals.
        frame_rate: 0, there is one frame however long the recording is.
    """

    num_layers = 1
    frame_rate = 0.0

    def __init__(self, name: str) -> None:
        if name not in SETS:
            raise UserError(f"{PREFIX}{name}: no such feature set; there are {', '.join(SETS)}")
        try:
            import opensmile
        except ImportError as error:
            raise UserError(
                f"{PREFIX}{name}: the package opensmile is not installed ({error}); "
                "read its licence (research and personal use only), then: make -C tools opensmile"
            ) from None
        self.smile = opensmile.Smile(getattr(opensmile.FeatureSet, name), opensmile.FeatureLevel.Functionals)
        self.dim = len(self.smile.feature_names)

    def to(self, device: str) -> "OpenSmileFunctionals":
        """Nothing to move: openSMILE computes on the CPU."""
        return self

    def layers(self, samples: np.ndarray) -> np.ndarray:
        """(samples,) at 16 kHz -> (1, 1, dim) float32. What openSMILE cannot compute (no voiced frame) is 0."""
        values = self.smile.process_signal(np.asarray(samples, dtype=np.float32), RATE).to_numpy(dtype=np.float32)
        return np.nan_to_num(values[None], nan=0.0, posinf=0.0, neginf=0.0)
