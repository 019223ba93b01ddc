"""The Slurm launcher with stand-ins for sbatch, squeue and scancel that run the jobs here."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from m4ser.launch import slurm, worker
from m4ser.utils.errors import UserError

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]

SBATCH = r'''#!/usr/bin/env python3
"""sbatch: notes its arguments, starts every task of the array, and leaves a file about each in the folder queue."""
import os, pathlib, re, subprocess, sys
options = dict(re.fullmatch(r"--([a-z-]+)=?(.*)", word).groups() for word in sys.argv[1:-1])
open("sbatch.args", "w").write("\n".join(sys.argv[1:]))
if options.get("partition") == "nowhere":
    sys.exit("sbatch: error: invalid partition specified: nowhere")
queue = pathlib.Path(sys.argv[0]).parent / "queue"
queue.mkdir(exist_ok=True)
first, last = map(int, options.get("array", "1-1").split("%")[0].split("-"))
for task in range(first, last + 1):
    env = dict(os.environ)
    if "array" in options:
        env["SLURM_ARRAY_TASK_ID"] = str(task)
    out = open(options["output"].replace("%a", str(task)).replace("%%", "%"), "w")
    started = subprocess.Popen(
        ["bash", sys.argv[-1]], cwd=options["chdir"], env=env, stdout=out, stderr=out, start_new_session=True
    )
    number = task if "array" in options else "N/A"
    (queue / str(started.pid)).write_text(f"100|{number}|{sys.argv[-1]}")
print("100")
'''
SQUEUE = r'''#!/usr/bin/env python3
"""squeue: the tasks that are still there."""
import pathlib, sys
for entry in pathlib.Path(sys.argv[0]).parent.glob("queue/*"):
    try:
        state = pathlib.Path("/proc", entry.name, "stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        continue
    if state not in "ZX":
        print(entry.read_text())
'''
SCANCEL = r'''#!/usr/bin/env python3
"""scancel 100: SIGTERM to all tasks."""
import os, pathlib, signal, sys
for entry in pathlib.Path(sys.argv[0]).parent.glob("queue/*"):
    try:
        os.kill(int(entry.name), signal.SIGTERM)
    except ProcessLookupError:
        pass
open("cancelled", "w").write(sys.argv[1])
'''


@pytest.fixture
def cluster(tmp_path):
    """Environment with the stand-ins on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in (("sbatch", SBATCH), ("squeue", SQUEUE), ("scancel", SCANCEL)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}


def command(*words):
    return [sys.executable, "-m", "m4ser.launch.slurm", *map(str, words)]


def launch(cwd, env, *words):
    return subprocess.run(command(*words), cwd=cwd, env=env, capture_output=True, text=True, timeout=60)


def test_array_with_the_options_of_the_configuration(tmp_path, cluster):
    (tmp_path / "slurm.conf").write_text(
        "# ours\npartition cpu\naccount  my group\nexclusive\ngpu.partition gpu # fast\ngpu.gres gpu:h200:{gpu}\n"
    )
    result = launch(
        *(
            tmp_path,
            cluster,
            "--config",
            "slurm.conf",
            "--gpu",
            2,
            "--num_threads",
            3,
            "--mem",
            "8G",
            "--time",
            "1:00:00",
        ),
        *("--max-jobs-run", 2, "--name", "feats", "JOB=1:3", "logs/f.JOB.log", "bash", "-c", 'echo "part $0"', "JOB a"),
    )
    assert (result.returncode, result.stderr) == (0, "")
    for index in (1, 2, 3):
        lines = (tmp_path / f"logs/f.{index}.log").read_text().splitlines()
        assert lines[1].endswith(f", job {index} of 3")
        assert lines[2] == f"part {index} a"
        assert re.fullmatch(r"# ended: .*, exit code 0, \d+ s", lines[3])
    given = (tmp_path / "sbatch.args").read_text().splitlines()
    assert {"--no-requeue", "--partition=gpu", "--gres=gpu:h200:2", "--account=my group", "--exclusive"} <= set(given)
    assert {"--cpus-per-task=3", "--mem=8G", "--time=1:00:00", "--array=1-3%2"} <= set(given)
    assert not any(word.startswith("--nodes") for word in given)


def test_single_job_on_several_machines(tmp_path, cluster):
    assert launch(tmp_path, cluster, "--gpu", 1, "--num_nodes", 2, "a.log", "echo", "hello").returncode == 0
    given = (tmp_path / "sbatch.args").read_text().splitlines()
    assert {"--nodes=2", "--ntasks-per-node=1", "--gres=gpu:1"} <= set(given)
    assert not any(word.startswith("--array") for word in given)
    assert "\nhello\n" in (tmp_path / "a.log").read_text()


def test_within_an_array_of_somebody_else(tmp_path, cluster):
    """The number of the outer array's task is no number of ours."""
    result = launch(tmp_path, {**cluster, "SLURM_ARRAY_TASK_ID": "7"}, "a.log", "echo", "hello")
    assert (result.returncode, result.stderr) == (0, "")
    assert "\nhello\n" in (tmp_path / "a.log").read_text()


def test_the_logs_tell_whether_jobs_have_ended(tmp_path, cluster):
    """However long Slurm keeps a job in its queue, and however soon it forgets one."""
    program = tmp_path / "bin/squeue"
    program.write_text(f"#!/bin/sh\n[ ! -e 1.log ] || echo '100|N/A|{tmp_path}/slurm/1.sh'\n")
    assert launch(tmp_path, cluster, "1.log", "echo", "hello").returncode == 0
    program.write_text("#!/bin/sh\n")
    assert launch(tmp_path, cluster, "2.log", "sleep", "2").returncode == 0
    program.write_text("#!/bin/sh\n[ -e begun ] || { touch begun; exit; }; echo 'no answer' >&2; exit 1\n")
    assert launch(tmp_path, cluster, "3.log", "sleep", "2").returncode == 0


def test_failure_is_reported_as_by_the_local_launcher_and_cancels_the_rest(tmp_path, cluster):
    script = "if [ $0 = 2 ]; then echo 'error: b.wav: is empty; remove it' >&2; exit 1; fi; sleep 60"
    (tmp_path / "log").mkdir()
    (tmp_path / "log/1.log").write_text("# ended: yesterday, exit code 9, 1 s\n")  # of an earlier run
    start = time.monotonic()
    result = launch(tmp_path, cluster, "JOB=1:3", "log/JOB.log", "bash", "-c", script, "JOB")
    assert time.monotonic() - start < 30
    assert result.returncode == 1
    assert result.stderr == "error: b.wav: is empty; remove it\n(log of job 2 of 3: log/2.log)\n"
    assert (tmp_path / "cancelled").exists()
    assert "exit code -15" in (tmp_path / "log/3.log").read_text()


def test_what_srun_says_of_a_task_does_not_hide_why(tmp_path, cluster):
    script = "echo srun: error: Node failure on node2; echo slurmstepd-node1: error: CANCELLED; exit 143"
    result = launch(tmp_path, cluster, "a.log", "bash", "-c", script)
    assert "\nsrun: error: Node failure on node2\n" in result.stderr
    assert result.stderr.endswith("\nerror: the job failed with exit code 143; its log: a.log\n")


def impatient(cwd, env, *words):
    """Launch with little patience for a job that has disappeared."""
    script = "from m4ser.launch import slurm; slurm.LATE = 0.5; slurm.main()"
    words = [sys.executable, "-c", script, *map(str, words)]
    return subprocess.run(words, cwd=cwd, env=env, capture_output=True, text=True, timeout=60)


def test_a_job_that_the_cluster_ended(tmp_path, cluster):
    script = "echo begun; echo slurmstepd: error: too much memory >slurm/a.out; kill -9 $PPID; sleep 1"
    result = impatient(tmp_path, cluster, "a.log", "bash", "-c", script)
    assert result.returncode == 1
    assert "begun" in result.stderr
    assert "error: the job ended without an exit code (stopped by the cluster" in result.stderr
    assert result.stderr.endswith("\nSlurm says: slurmstepd: error: too much memory\n")


def test_a_job_that_the_cluster_ended_is_noticed_while_others_run(tmp_path, cluster):
    start = time.monotonic()
    words = ("JOB=1:3", "JOB.log", "bash", "-c", "[ $0 != 2 ] || kill -9 $PPID; sleep 50", "JOB")
    result = impatient(tmp_path, cluster, *words)
    assert time.monotonic() - start < 30
    assert result.returncode == 1
    assert "error: job 2 of 3 ended without an exit code" in result.stderr
    assert "exit code -15" in (tmp_path / "3.log").read_text()


def test_jobs_that_a_killed_launcher_has_left_are_ended_first(tmp_path, cluster):
    words = ("a.log", "bash", "-c", "echo $$ >>began; [ -e again ] || sleep 50")
    first = subprocess.Popen(command(*words), cwd=tmp_path, env=cluster)
    while not (tmp_path / "began").exists():
        time.sleep(0.05)
    first.kill()
    first.wait()
    (tmp_path / "again").touch()
    assert launch(tmp_path, cluster, *words).returncode == 0
    left, _ = (tmp_path / "began").read_text().split()
    assert not Path("/proc", left).exists()
    assert "exit code 0" in (tmp_path / "a.log").read_text()


def test_a_process_that_slurm_has_given_up_is_not_met(tmp_path, monkeypatch):
    """It lives on without its daemon: whatever comes after it waits for it, and says so when that takes too long."""
    jobs = tmp_path / "a.json"
    script = "echo $0 >>order; sleep $1; echo $0 >>order"
    for name, seconds in (("first", 3), ("second", 0)):
        listed = [[1, str(tmp_path / "a.log"), ["bash", "-c", script, name, str(seconds)]]]
        (tmp_path / f"{name}.json").write_text(json.dumps(listed))
    monkeypatch.chdir(tmp_path)
    shutil.copy("first.json", jobs)
    first = subprocess.Popen(
        [sys.executable, "-m", "m4ser.launch.worker", jobs], env={**os.environ, "PYTHONPATH": ROOT}
    )
    while not Path("order").exists():
        time.sleep(0.05)
    Path("a.log").unlink()  # by the launcher that comes next
    shutil.copy("second.json", jobs)
    monkeypatch.setattr(worker, "PATIENCE", 0.3)
    with pytest.raises(SystemExit) as stop:
        worker.main([str(jobs)])
    assert stop.value.code == 1
    log = Path("a.log").read_text()
    assert f"error: process {first.pid} on {socket.gethostname()} is still at work on this" in log
    assert log.endswith("exit code 1, 0 s\n")
    monkeypatch.setattr(worker, "PATIENCE", 30.0)
    with pytest.raises(SystemExit) as stop:
        worker.main([str(jobs)])
    assert stop.value.code == 0
    assert Path("order").read_text().split() == ["first", "first", "second", "second"]
    assert first.wait() == 0
    assert Path("a.log").read_text().count("# ended: ") == 1


def test_refused_by_sbatch(tmp_path, cluster):
    (tmp_path / "slurm.conf").write_text("partition nowhere\n")
    result = launch(tmp_path, cluster, "--config", "slurm.conf", "a.log", "true")
    assert result.returncode == 1
    assert result.stderr == ("error: sbatch refused the jobs: sbatch: error: invalid partition specified: nowhere\n")


def test_ctrl_c_cancels_the_jobs(tmp_path, cluster):
    words = command("JOB=1:2", "JOB.log", "bash", "-c", "touch began.$0; sleep 100", "JOB")
    process = subprocess.Popen(words, cwd=tmp_path, env=cluster, stderr=subprocess.PIPE, text=True)
    limit = time.monotonic() + 20
    while not ((tmp_path / "began.1").exists() and (tmp_path / "began.2").exists()) and time.monotonic() < limit:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "its jobs are cancelled" in stderr
    assert "exit code -15" in (tmp_path / "1.log").read_text()


def test_no_slurm_here(tmp_path):
    env = {**os.environ, "PATH": str(tmp_path), "PYTHONPATH": str(ROOT)}
    result = launch(tmp_path, env, "a.log", "true")
    assert result.returncode == 1
    assert result.stderr.startswith("error: sbatch: not found; log in to a Slurm submit node")


@pytest.mark.parametrize(
    ("line", "message"),
    [("--partition cpu", "is not an option of sbatch"), ("array 1-3", "--array is set by the launcher")],
)
def test_wrong_configuration(tmp_path, line, message):
    path = tmp_path / "slurm.conf"
    path.write_text(f"# first\n{line}\n")
    with pytest.raises(UserError, match=message) as error:
        slurm.read_config(path, 0)
    assert str(error.value).startswith(f"{path}:2: ")


def test_missing_configuration(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        slurm.read_config(tmp_path / "slurm.conf", 0)


def test_gpu_lines_count_only_with_gpus(tmp_path):
    path = tmp_path / "slurm.conf"
    path.write_text("gpu.time 2-0\ntime 1:00\n")
    assert slurm.read_config(path, 0) == {"time": "1:00"}
    assert slurm.read_config(path, 1) == {"time": "2-0"}
