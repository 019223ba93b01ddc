"""The examples in docstrings are true."""

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def examples(path):
    """Lines with examples; those that need a trained model are skipped."""
    return [line for line in path.read_text().splitlines() if ">>> " in line and "+SKIP" not in line]


FILES = [path for path in sorted(ROOT.glob("m4ser/**/*.py")) if examples(path)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_examples(path):
    module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    result = doctest.testmod(module)
    assert result.attempted and not result.failed
