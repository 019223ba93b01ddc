"""The demonstration's result is refused when it is worse than it must be."""

import importlib.util
from pathlib import Path

import pytest

PATH = Path(__file__).resolve().parents[2] / "tools/check_demo.py"
SPEC = importlib.util.spec_from_file_location("check_demo", PATH)
check_demo = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(check_demo)


def metrics(ua=0.7, wer=0.25, partial=False):
    return {"pooled": {"ua": {"mean": ua}}, "asr_word_errors": {"wer": wer}, "partial": partial}


def test_good_result_passes():
    assert check_demo.faults(metrics()) == []


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"ua": 0.59}, "test UA is 0.590"),
        ({"ua": float("nan")}, "test UA is nan"),
        ({"wer": 0.01}, "word error rate is 0.010"),
        ({"wer": 0.7}, "word error rate is 0.700"),
        ({"partial": True}, "runs are missing"),
    ],
)
def test_bad_result_is_named(changed, message):
    (fault,) = check_demo.faults(metrics(**changed))
    assert message in fault
