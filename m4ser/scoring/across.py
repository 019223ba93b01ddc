"""The mean of a difference over several conditions (texts, noises), with Student's interval.

Conditions that share their test utterances: the interval tells what other texts and trainings would change, not what
other speakers would.
"""

from collections.abc import Sequence

import numpy as np
from scipy import stats

MIN_CONDITIONS = 3  # of fewer, the interval is too wide to tell anything


def mean_interval(values: Sequence[float], level: float = 0.95) -> tuple[float, tuple[float, float]]:
    """Mean of one value per condition, and its interval by Student's t: they are too few to resample."""
    mean, half = np.mean(values), stats.t.ppf((1 + level) / 2, len(values) - 1) * stats.sem(values)
    return float(mean), (float(mean - half), float(mean + half))
