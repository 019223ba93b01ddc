"""Means over conditions against a hand-computed interval."""

import pytest

from m4ser.scoring.across import mean_interval


def test_mean_and_interval():
    mean, ends = mean_interval([1, 2, 3])
    assert mean == 2
    assert ends == pytest.approx((2 - 2.48414, 2 + 2.48414), abs=1e-5)  # t 4.30265, sd 1, square root of 3
