"""Benchmarks that need no trained model run at small scale, and fail where a limit is passed."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = ROOT / "tools/benchmarks"


@pytest.fixture
def run(tmp_path):
    def run(name, *words):
        env = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
        command = [sys.executable, BENCHMARKS / name, *words]
        return subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=100)

    return run


def test_data(run):
    result = run("data.py", "--utterances", "4000")
    assert result.returncode == 0, result.stderr
    assert re.search(r"folds written, read, checked +\d+\.\d s", result.stdout)
    assert re.search(r"^4000 utterances: \d+\.\d s of processor time, 0\.\d\d GB$", result.stdout, re.MULTILINE)
    assert run("data.py", "--utterances", "4000", "--max-gb", "0.001").stderr == "error: more than 60 s or 0.001 GB\n"


def test_alignment(run):
    result = run("alignment.py", "--utterances", "200", "--repeat", "1")
    assert result.returncode == 0, result.stderr
    assert re.search(r"^align and check: \d+ utterances/s$", result.stdout, re.MULTILINE)


@pytest.mark.parametrize("script", sorted(BENCHMARKS.glob("*.py")), ids=lambda path: path.name)
def test_script_hides_no_package(script):
    """Python looks beside a script first: `onnx.py` would be imported by everything that needs the package onnx."""
    assert importlib.util.find_spec(script.stem) is None
