"""Systems by name."""

import pytest

from m4ser.models.systems import SYSTEMS, system_class
from m4ser.training.baselines.linear import LinearBaseline
from m4ser.utils.errors import UserError


def test_class_of_a_system():
    assert system_class("linear") is LinearBaseline
    with pytest.raises(UserError, match=r"conf/x\.yaml: unknown task 'svm'; known are ser, .*linear"):
        system_class("svm", "conf/x.yaml")


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_system_trains_and_builds(name):
    assert all(callable(getattr(system_class(name), method)) for method in ("get_parser", "main", "build_model"))
