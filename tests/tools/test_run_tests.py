import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "run_tests.sh"
LINTERS = ["ruff check .", "ruff format --check .", "lint-imports", "shellcheck", "mypy"]
STANDIN = """#!/bin/sh
echo "$(basename "$0") $*" | sed 's/ $//' >> "$CALLS"
[ "$(basename "$0")" != "$FAIL" ]
"""


@pytest.fixture
def run(tmp_path):
    """Run the script in a checkout of its own with stand-ins for all programs: exit status, output, calls."""
    root = tmp_path / "a checkout"
    (root / "tools" / "bin").mkdir(parents=True)
    shutil.copy2(SCRIPT, root / "tools")
    (root / "a script.sh").write_text("true\n")
    for name in ("ruff", "lint-imports", "shellcheck", "mypy", "python"):
        program = root / "tools" / "bin" / name
        program.write_text(STANDIN)
        program.chmod(0o755)
    (root / "tools" / "activate_python.sh").write_text(f'export PATH="{root}/tools/bin:$PATH"\n')

    def call(*words, fail=""):
        calls = root / "calls"
        calls.unlink(missing_ok=True)
        env = os.environ | {"CALLS": str(calls), "FAIL": fail}
        done = subprocess.run(
            [root / "tools" / "run_tests.sh", *words], env=env, cwd="/", capture_output=True, text=True
        )
        lines = calls.read_text().splitlines()
        looked_at = [line for line in lines if line.startswith("shellcheck")]
        assert all("./a script.sh" in line for line in looked_at)
        return done.returncode, done.stderr, ["shellcheck" if line in looked_at else line for line in lines]

    return call


def test_linters_alone_all_of_them(run):
    assert run("--lint")[::2] == (0, LINTERS)
    status, message, calls = run("--lint", fail="ruff")
    assert status == 1 and calls == LINTERS
    assert message == "error: the linters found something, see above\n"


def test_fast_tests_alone(run):
    assert run("--fast", "-x")[::2] == (0, ["python -m pytest -n 0 -m not slow -x"])
    assert run("--fast", fail="python")[0] == 1


@pytest.mark.parametrize(("fail", "status"), [("", 0), ("mypy", 1), ("python", 1)])
def test_tests_come_last_whatever_the_linters_say(run, fail, status):
    found, _, calls = run("tests/a", fail=fail)
    assert found == status
    assert calls == [*LINTERS, "python -m pytest -n 2 --dist loadfile --no-loadscope-reorder tests/a"]
