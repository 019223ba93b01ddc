"""The Slurm launcher with stand-ins for sbatch and scancel that run the jobs here."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from m4ser.launch import slurm
from m4ser.utils.errors import UserError

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]

SBATCH = r'''#!/usr/bin/env python3
"""sbatch --wait: notes its arguments, runs every task of the array, returns the highest exit code."""
import os, re, subprocess, sys
options = dict(re.fullmatch(r"--([a-z-]+)=?(.*)", word).groups() for word in sys.argv[1:-1])
open("sbatch.args", "w").write("\n".join(sys.argv[1:]))
if options.get("partition") == "nowhere":
    sys.exit("sbatch: error: invalid partition specified: nowhere")
first, last = map(int, options.get("array", "1-1").split("%")[0].split("-"))
tasks = []
for task in range(first, last + 1):
    env = dict(os.environ)
    if "array" in options:
        env["SLURM_ARRAY_TASK_ID"] = str(task)
    out = open(options["output"].replace("%j", str(100 + task)), "w")
    tasks.append(subprocess.Popen(["bash", sys.argv[-1]], cwd=options["chdir"], env=env, stdout=out, stderr=out))
    open(options["job-name"] + ".pids", "a").write(f"{tasks[-1].pid}\n")
print("Submitted batch job 100")
sys.exit(max(min(255, abs(task.wait())) for task in tasks))
'''
SCANCEL = r'''#!/usr/bin/env python3
"""scancel --name=X: SIGTERM to the tasks of X."""
import os, signal, sys
for line in open(sys.argv[1].removeprefix("--name=") + ".pids"):
    try:
        os.kill(int(line), signal.SIGTERM)
    except ProcessLookupError:
        pass
open("cancelled", "w").write(sys.argv[1])
'''


@pytest.fixture
def cluster(tmp_path):
    """Environment with the stand-ins on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in (("sbatch", SBATCH), ("scancel", SCANCEL)):
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
    assert {"--wait", "--partition=gpu", "--gres=gpu:h200:2", "--account=my group", "--exclusive"} <= set(given)
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


def test_the_logs_tell_whether_jobs_have_ended_well(tmp_path, cluster):
    """Whatever sbatch says: it may complain of jobs that are complete, and be content with jobs that never ran."""
    program = tmp_path / "bin/sbatch"
    program.write_text(SBATCH.replace("sys.exit(max(", "sys.exit(3 + 0 * max("))
    assert launch(tmp_path, cluster, "JOB=1:2", "JOB.log", "echo", "JOB").returncode == 0
    program.write_text("#!/bin/sh\necho Submitted batch job 100\n")
    script = "from m4ser.launch import slurm; slurm.LATE = 0.1; slurm.main()"
    words = [sys.executable, "-c", script, "b.log", "echo", "hello"]
    result = subprocess.run(words, cwd=tmp_path, env=cluster, capture_output=True, text=True, timeout=60)
    assert result.returncode == 1
    assert result.stderr.startswith("error: sbatch refused the jobs: Submitted batch job 100")


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


def test_a_job_that_the_cluster_ended(tmp_path, cluster):
    result = launch(tmp_path, cluster, "a.log", "bash", "-c", "echo begun; kill -9 $PPID; sleep 1")
    assert result.returncode == 1
    assert "begun" in result.stderr
    assert "error: the job ended without an exit code (stopped by the cluster" in result.stderr


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
