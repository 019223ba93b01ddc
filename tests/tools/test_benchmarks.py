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


@pytest.mark.slow
def test_gpu_finds_what_a_device_does_differently(run, tmp_path):
    def predicted(name, first):
        rows = [("a", "s", "x", "x", first, 1 - first), ("b", "s", "y", "y", 0.25, 0.75)]
        lines = ["\t".join([*row[:4], *(f"{p:.6f}" for p in row[4:])]) for row in rows]
        (tmp_path / name).mkdir()
        text = "\n".join(["utt_id\tspeaker\tref\thyp\tp_x\tp_y", *lines, ""])
        (tmp_path / name / "predictions_test.tsv").write_text(text, encoding="utf-8")

    predicted("cpu", 0.9)
    predicted("gpu", 0.6)  # other random numbers in training
    predicted("same", 0.9004)
    result = run("gpu.py", "recipe", "cpu", "gpu", "same")
    assert result.returncode == 0, result.stderr
    assert re.search(r"predictions of one model +\| +4.0e-04 +\| +1e-03 +\| +yes", result.stdout)
    result = run("gpu.py", "recipe", "cpu", "cpu", "gpu")
    assert result.returncode == 1
    assert result.stderr == "error: the device does not give what the CPU gives\n"


@pytest.mark.parametrize("script", sorted(BENCHMARKS.glob("*.py")), ids=lambda path: path.name)
def test_script_hides_no_package(script):
    """Python looks beside a script first: `onnx.py` would be imported by everything that needs the package onnx."""
    assert importlib.util.find_spec(script.stem) is None
