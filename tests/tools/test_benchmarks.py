"""The benchmark of data preparation runs, and fails where a limit is passed."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_small(tmp_path):
    def run(*words):
        command = [sys.executable, ROOT / "tools/benchmarks/data.py", "--utterances", "4000", *words]
        env = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=100)

    result = run()
    assert result.returncode == 0, result.stderr
    assert "folds written, read, checked" in result.stdout and "4000 utterances: " in result.stdout
    assert run("--max-gb", "0.001").stderr == "error: more than 60 s or 0.001 GB\n"
