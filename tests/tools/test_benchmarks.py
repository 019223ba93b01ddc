"""Benchmarks that need no trained model run at small scale, and fail where a limit is passed."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from m4ser.hub.opening import IN_THE_BOX

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = ROOT / "tools/benchmarks"


@pytest.fixture
def run(tmp_path):
    def run(name, *words, timeout=100):
        env = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
        command = [sys.executable, BENCHMARKS / name, *words]
        return subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=timeout)

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


@pytest.fixture(scope="module")
def start():
    spec = importlib.util.spec_from_file_location("start", BENCHMARKS / "start.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_start_finds_the_slowest_import(start):
    messages = """import time: self [us] | cumulative | imported package
import time:       100 |        100 |     zlib
import time:       200 |     900000 |   numpy.core
import time:       300 |     610000 |   m4ser.hub
note: model x
import time:       400 |     950000 | onnxruntime
"""
    assert start.slowest_import(messages) == (0.61, "m4ser.hub")


def test_start_names_the_limits_that_are_passed(start):
    kept = start.Start(seconds=1.5, megabytes=300.0, imported=0.5, module="a", factor=0.03)
    slow = start.Start(seconds=1.6, megabytes=301.0, imported=0.61, module="b", factor=0.13)
    sizes = {"m4ser": start.Installed(35, 500.0), "another": start.Installed(60, 9000.0)}
    assert start.passed_limits({"voice alone": kept, "with words": kept}, sizes) == []
    assert start.passed_limits({"voice alone": slow, "with words": slow}, {"m4ser": start.Installed(35, 501.0)}) == [
        "voice alone: real-time factor 0.130",
        "voice alone: 0.61 s to import b",
        "voice alone: 1.60 s",
        "voice alone: 301 MB",
        "with words: real-time factor 0.130",
        "with words: 0.61 s to import b",
        "m4ser: 501 MB installed",
    ]


@pytest.mark.slow
def test_start(run, tmp_path):
    result = run("start.py", "--rounds", "1", "--model", "ours=", timeout=200)
    assert result.stderr == "error: ours=: must be NAME=VALUE\n"
    result = run("start.py", "--rounds", "1", "--model", f"ours={IN_THE_BOX}", "--out", "start", timeout=200)
    assert result.returncode == 0, result.stderr
    (row,) = json.loads((tmp_path / "start.json").read_text())["rows"]
    name, seconds, megabytes, imported, factor = row
    assert name == "ours" and 0.1 < seconds < 20 and 50 < megabytes < 1000 and 0 < imported < 5 and 0 < factor < 0.3


@pytest.mark.slow
def test_growth(run, tmp_path):
    words = ("--sizes", "1000", "2000", "--real-sizes", "5", "10", "--out", "growth", "--asr", "reference")
    result = run("growth.py", *words, "--max-slope", "1.6", timeout=400)
    assert result.returncode == 0, result.stderr
    found = json.loads((tmp_path / "growth.json").read_text())
    keys = [column.get("key") or column["name"] for column in found["columns"]]
    rows = [dict(zip(keys, row, strict=True)) for row in found["rows"]]
    measured = {row["step"]: row for row in rows if row["kind"] == "measured"}
    assert len(measured) == 7
    assert measured["1: audio"]["files"] == 2000 + 8  # FLAC files, seven lists, contents.json
    costs = [cost for cost in found["about"]["costs"] if cost["step"] == "1: features"]
    assert {cost["utterances"]: cost["files"] for cost in costs} == {1000: 6, 2000: 6}
    scaled = [row for row in rows if row["kind"] == "scaled"]
    assert [row["step"] for row in scaled] == ["1: audio", "1: features", "2: recognition", "2, 3: normaliser"]
    assert all(row["seconds_2000"] == pytest.approx(2 * row["seconds_1000"], rel=1e-3) for row in scaled)
    assert not list(tmp_path.glob("tmp*"))  # the made-up corpora
    again = run("growth.py", *words, "--max-slope", "1.6", "--known", "growth.json")
    assert not re.search(r"\d (utterances|real recordings|texts)  ", again.stdout)  # nothing is measured again
    assert json.loads((tmp_path / "growth.json").read_text())["rows"] == found["rows"]


def test_growth_knows_what_is_too_steep(monkeypatch):
    spec = importlib.util.spec_from_file_location("benchmark_growth", BENCHMARKS / "growth.py")
    growth = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, growth)  # dataclasses look there
    spec.loader.exec_module(growth)
    costs = {100: growth.Cost(2, 50, 10), 1000: growth.Cost(20, 50, 10), 10000: growth.Cost(400, 60, 10)}
    assert growth.slope({size: cost.seconds for size, cost in costs.items()}) == pytest.approx(1.30103)
    assert growth.slope({size: cost.files for size, cost in costs.items()}) == 0
    assert growth.slope({100: 3.0}) is None
    assert growth.fit({10: growth.Cost(7, 0), 20: growth.Cost(9, 0), 40: growth.Cost(13, 0)}) == pytest.approx(0.2)
    assert growth.steep([growth.Row("x", "measured", costs), growth.Row("y", "scaled", costs)], 1.1) == [
        "x (seconds 1.30)"
    ]
    assert [growth.named(size) for size in (999, 1000, 2500, 1_000_000)] == ["999", "1 k", "2.5 k", "1 M"]


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


@pytest.mark.slow
def test_live(run, voice_archive, tmp_path):
    result = run(
        "live.py", ROOT / "egs/mini/corpus/f01", "--model", voice_archive, "--clips", "4", "--out", "live.json"
    )
    assert result.returncode == 0, result.stderr
    rows = {row[0]: row[1:] for row in json.loads((tmp_path / "live.json").read_text())["rows"]}
    assert list(rows) == ["pause until the end is known", "model", "end of speech to segment"]
    assert all(500 <= value < 620 for value in rows["pause until the end is known"])
