"""Jobs that start as copies of a process that has imported what they need; used as a command, like the launcher."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LAUNCHER = [sys.executable, "-m", "m4ser.launch.local"]

# `large` counts how often it is imported; `job` says what it finds and changes it.
LARGE = """
import sys
with open("imports", "a") as file:
    file.write("x")
print("large was imported", file=sys.stderr)
owner = None
"""
JOB = """
import os, signal, sys, time
import large

number = sys.argv[1]
print("argv", *sys.argv[1:])
print("owner", large.owner)
print("group", os.getpgid(0) == os.getpid())
print("input", repr(sys.stdin.read()), os.environ["M4SER_LAUNCHED"])
print("signals", signal.getsignal(signal.SIGTERM) == signal.SIG_DFL, signal.pthread_sigmask(signal.SIG_BLOCK, []))
large.owner = number
what = sys.argv[2] if len(sys.argv) > 2 else ""
if what == "fail" and number == "2":
    sys.exit("error: b.wav: is empty; remove it")
if what == "raise":
    raise ValueError("a defect")
if what == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
if what == "sleep":
    with open(f"pid.{number}.tmp", "w") as file:
        file.write(str(os.getpid()))
    os.rename(f"pid.{number}.tmp", f"pid.{number}")
    time.sleep(60)
"""

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere every job is a new process")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "large.py").write_text(LARGE, encoding="utf-8")
    (tmp_path / "job.py").write_text(JOB, encoding="utf-8")
    return tmp_path


def words(*job, preload="large", jobs=3):
    return [*LAUNCHER, "--preload", preload, f"JOB=1:{jobs}", "JOB.log", "python", "-m", "job", "JOB", *job]


def environment(folder, first=Path(sys.executable).parent):
    path = f"{first}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}", "PYTHONUNBUFFERED": "1"}


def launch(folder, *job, **options):
    command = words(*job, **options)
    return subprocess.run(command, cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=60)


def test_jobs_share_an_import_and_nothing_else(folder):
    result = launch(folder)
    assert (result.returncode, result.stderr) == (0, "")
    assert (folder / "imports").read_text() == "x"
    logs = [(folder / f"{number}.log").read_text().splitlines() for number in (1, 2, 3)]
    for number, log in enumerate(logs, 1):
        assert log[2:4] == ["large was imported", f"argv {number}"]
        assert log[4] == "owner None"
        assert log[5:8] == ["group True", "input '' 1", "signals True set()"]
        assert ", exit code 0, " in log[-1]


def test_other_commands_start_as_ever(folder):
    command = [*LAUNCHER, "--preload", "large", "JOB=1:2", "JOB.log", "bash", "-c", "echo $0", "JOB"]
    assert subprocess.run(command, cwd=folder, env=environment(folder), check=False, timeout=60).returncode == 0
    assert (folder / "2.log").read_text().splitlines()[2] == "2"


def test_a_failure_is_reported_and_leaves_what_others_have_done(folder):
    result = launch(folder, "fail")
    assert result.returncode == 1
    assert result.stderr == "error: b.wav: is empty; remove it\n(log of job 2 of 3: 2.log)\n"
    assert ", exit code 1, " in (folder / "2.log").read_text()


def test_a_defect_keeps_its_traceback(folder):
    result = launch(folder, "raise", jobs=1)
    assert result.returncode == 1
    assert "ValueError: a defect\n" in result.stderr
    assert result.stderr.splitlines()[-1] == "error: the job failed with exit code 1; its log: 1.log"


def test_a_killed_job_is_named(folder):
    result = launch(folder, "kill", jobs=1)
    assert result.returncode == 1
    assert "error: the job was ended by signal 9 (SIGKILL" in result.stderr


def test_what_cannot_be_imported_is_left_to_the_job(folder):
    assert launch(folder, preload="no_such_module", jobs=1).returncode == 0
    (folder / "large.py").write_text("raise RuntimeError('broken')", encoding="utf-8")
    result = launch(folder, jobs=1)
    assert result.returncode == 1
    assert "RuntimeError: broken" in result.stderr


def test_imports_that_start_threads_are_not_copied(folder):
    with open(folder / "large.py", "a", encoding="utf-8") as file:
        file.write("import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n")
    assert launch(folder, jobs=2).returncode == 0
    assert (folder / "imports").read_text() == "xxx"  # the launcher, then each job for itself


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_copies_end_with_the_launcher(folder, number):
    process = subprocess.Popen(
        words("sleep", jobs=2), cwd=folder, env=environment(folder), stderr=subprocess.PIPE, text=True
    )
    pids = [int(wait_for(folder / f"pid.{job}").read_text()) for job in (1, 2)]
    process.send_signal(number)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == (-signal.SIGKILL if number == signal.SIGKILL else 128 + number)
    assert number == signal.SIGKILL or stderr == "stopped; run the same command again to continue\n"
    assert all(gone(pid) for pid in pids)


def wait_for(path: Path, seconds=20.0) -> Path:
    limit = time.monotonic() + seconds
    while not path.exists() and time.monotonic() < limit:
        time.sleep(0.02)
    return path


def gone(pid: int, seconds=5.0) -> bool:
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.05)
    return False


def test_another_python_is_not_copied(folder):
    python = folder / "bin/python"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\necho another python\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    result = subprocess.run(words(), cwd=folder, env=environment(folder, python.parent), check=False, timeout=60)
    assert result.returncode == 0
    assert (folder / "1.log").read_text().count("another python") == 1
