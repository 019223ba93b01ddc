"""The local launcher, used as its users do: as a command."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from m4ser.launch import common, local

ROOT = Path(__file__).resolve().parents[2]
LAUNCHER = [sys.executable, "-m", "m4ser.launch.local"]


def environment(**extra):
    return {**os.environ, "PYTHONPATH": str(ROOT), **{key: str(value) for key, value in extra.items()}}


def launch(cwd, *words, **extra):
    return subprocess.run(
        [*LAUNCHER, *map(str, words)], cwd=cwd, env=environment(**extra), capture_output=True, text=True, timeout=60
    )


def wait_for(path: Path, timeout=20.0):
    limit = time.monotonic() + timeout
    while not path.exists() and time.monotonic() < limit:
        time.sleep(0.02)
    assert path.exists()


def gone(pid: int, timeout=5.0) -> bool:
    limit = time.monotonic() + timeout
    while time.monotonic() < limit:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def test_each_job_gets_its_number_its_log_and_spaces_survive(tmp_path):
    folder = tmp_path / "my logs ü"
    result = launch(tmp_path, "JOB=1:3", folder / "part.JOB.log", "bash", "-c", 'echo "<$0>" "$1"', "a JOBof3", "x  y")
    assert (result.returncode, result.stderr) == (0, "")
    for index in (1, 2, 3):
        lines = (folder / f"part.{index}.log").read_text().splitlines()
        assert lines[0].startswith("# command: bash -c")
        assert re.fullmatch(rf"# started: \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d on .*, job {index} of 3", lines[1])
        assert lines[2] == f"<a {index}of3> x  y"
        assert re.fullmatch(r"# ended: .*, exit code 0, \d+ s", lines[3])
        assert len(lines) == 4


def test_a_single_command_needs_no_range(tmp_path):
    assert launch(tmp_path, "one.log", "echo", "JOB").returncode == 0
    assert "\nJOB\n" in (tmp_path / "one.log").read_text()


def test_part_of_a_longer_word_is_not_a_job_number():
    jobs = common.expand(["JOB=2:3", "JOBS/x.JOB.log", "cmd", "/JOBS/MYJOB/JOB1", "JOBof3", "--job=JOB", "/JOB_47/x"])
    assert [job.log.as_posix() for job in jobs] == ["JOBS/x.2.log", "JOBS/x.3.log"]
    assert jobs[1].command == ["cmd", "/JOBS/MYJOB/JOB1", "3of3", "--job=3", "/JOB_47/x"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["JOB=1:2", "same.log", "true"], "same.log: every job needs a log of its own"),
        (["JOB=3:2", "a.JOB.log", "true"], "JOB=3:2: the first job comes after the last"),
        (["only.log"], "no command to run"),
        (["--gpu", "x", "a.log", "true"], "--gpu: must be a whole number, not 'x'"),
        (["--what", "1", "a.log", "true"], "unrecognized arguments: --what"),
        (["--num_nodes", "2", "a.log", "true"], "--num-nodes: this launcher has one machine"),
    ],
)
def test_wrong_use_is_refused(tmp_path, words, message):
    result = launch(tmp_path, *words)
    assert result.returncode != 0
    assert message in result.stderr.splitlines()[-1]
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_not_more_than_asked_at_a_time(tmp_path):
    script = "touch run.$0; ls run.* | wc -l; sleep 0.15; rm run.$0"
    assert launch(tmp_path, "--max-jobs-run", 2, "JOB=1:6", "JOB.log", "bash", "-c", script, "JOB").returncode == 0
    counts = [int((tmp_path / f"{index}.log").read_text().splitlines()[2]) for index in range(1, 7)]
    assert max(counts) == 2


def test_first_failure_ends_the_others_and_shows_its_own_error_alone(tmp_path):
    script = "if [ $0 = 2 ]; then echo noise; echo 'error: b.wav: is empty; remove it' >&2; exit 1; fi; sleep 60"
    start = time.monotonic()
    result = launch(tmp_path, "--max-jobs-run", 3, "JOB=1:3", "log/JOB.log", "bash", "-c", script, "JOB")
    assert time.monotonic() - start < 20
    assert result.returncode == 1
    assert result.stderr == "error: b.wav: is empty; remove it\n(log of job 2 of 3: log/2.log)\n"
    assert "exit code 1," in (tmp_path / "log/2.log").read_text()
    assert "exit code -15, 0 s (job 2 failed)" in (tmp_path / "log/1.log").read_text().splitlines()[-1]


def test_failure_without_an_error_line_shows_the_end_of_the_log(tmp_path):
    script = "for i in $(seq 50); do echo line $i; echo @progress $i 50; done; exit 3"
    result = launch(tmp_path, "a.log", "bash", "-c", script)
    lines = result.stderr.splitlines()
    assert lines[0] == "--- end of a.log"
    assert lines[1:-2] == [f"line {number}" for number in range(21, 51)]
    assert lines[-1] == "error: the job failed with exit code 3; its log: a.log"


def test_failure_by_a_signal_is_named(tmp_path):
    result = launch(tmp_path, "a.log", "bash", "-c", "echo error: earlier; kill -9 $$")
    assert result.returncode == 1
    last = result.stderr.splitlines()[-1]
    assert last == "error: the job was ended by signal 9 (SIGKILL; often: out of memory); its log: a.log"


def test_unknown_command(tmp_path):
    result = launch(tmp_path, "a.log", "no-such-program")
    assert result.returncode == 1
    assert result.stderr.splitlines()[0] == "error: no-such-program: cannot be run: No such file or directory"


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_all_processes_of_all_jobs(tmp_path, number, status):
    script = "sleep 100 & echo $! >child.$0.tmp; mv child.$0.tmp child.$0; wait"
    words = [*LAUNCHER, "--max-jobs-run", "2", "JOB=1:2", "JOB.log", "bash", "-c", script, "JOB"]
    process = subprocess.Popen(words, cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True)
    wait_for(tmp_path / "child.1")
    wait_for(tmp_path / "child.2")
    process.send_signal(number)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == status
    assert "run the same command again" in stderr
    assert gone(int((tmp_path / "child.1").read_text())) and gone(int((tmp_path / "child.2").read_text()))
    assert (tmp_path / "1.log").read_text().endswith("(the launcher was stopped)\n")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs prctl")
def test_jobs_do_not_outlive_a_killed_launcher(tmp_path):
    script = "echo $$ >pid.tmp; mv pid.tmp pid; while true; do sleep 0.1; done"
    process = subprocess.Popen([*LAUNCHER, "a.log", "bash", "-c", script], cwd=tmp_path, env=environment())
    wait_for(tmp_path / "pid")
    process.kill()
    process.wait()
    assert gone(int((tmp_path / "pid").read_text()))


def test_the_launcher_ends_with_the_script_it_works_for(tmp_path):
    inner = f'"{sys.executable}" -m m4ser.launch.local a.log bash -c "touch began; sleep 100"'
    script = f"export M4SER_MAIN_PID=$$; {inner} & wait"
    main = subprocess.Popen(["bash", "-c", script], cwd=tmp_path, env=environment(), stderr=subprocess.DEVNULL)
    wait_for(tmp_path / "began")
    main.kill()
    main.wait()
    limit = time.monotonic() + 10
    while "# ended" not in (tmp_path / "a.log").read_text() and time.monotonic() < limit:
        time.sleep(0.05)
    assert (tmp_path / "a.log").read_text().endswith("(the launcher was stopped)\n")


@pytest.fixture
def gpus(tmp_path):
    """A machine with three GPUs of which the second has least in use."""
    folder = tmp_path / "bin"
    folder.mkdir()
    fake = folder / "nvidia-smi"
    fake.write_text("#!/bin/sh\necho '0, GPU-aa, 900'; echo '1, GPU-bb, 5'; echo '2, GPU-cc, 70'\n")
    fake.chmod(0o755)
    return {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}


@pytest.mark.slow
def test_running_jobs_see_gpus_of_their_own(tmp_path, gpus):
    script = "echo $CUDA_VISIBLE_DEVICES; sleep 0.3"
    result = launch(tmp_path, "--gpu", 1, "JOB=1:4", "JOB.log", "bash", "-c", script, **gpus)
    assert result.returncode == 0
    seen = [(tmp_path / f"{index}.log").read_text().splitlines()[2] for index in (1, 2, 3, 4)]
    assert seen[:3] == ["1", "2", "0"]  # least used first
    assert seen[3] in ("0", "1", "2")


def test_several_gpus_per_job_and_a_restricted_set(tmp_path, gpus):
    words = ["--gpu", 2, "JOB=1:2", "JOB.log", "bash", "-c", "echo $CUDA_VISIBLE_DEVICES"]
    assert launch(tmp_path, *words, CUDA_VISIBLE_DEVICES="2,0", **gpus).returncode == 0
    assert "\n2,0\n" in (tmp_path / "1.log").read_text() and "\n2,0\n" in (tmp_path / "2.log").read_text()
    result = launch(tmp_path, *words, CUDA_VISIBLE_DEVICES="1", **gpus)
    assert result.stderr.startswith("error: --gpu 2: only 1 of them is visible here")
    result = launch(tmp_path, *words, CUDA_VISIBLE_DEVICES="", **gpus)
    assert result.stderr.startswith("error: --gpu 2: no GPU is visible here")


def test_without_nvidia_smi_the_variable_counts(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-1,MIG-2")
    assert local.visible_gpus() == ["MIG-1", "MIG-2"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert local.visible_gpus() == []


def test_progress_of_all_logs_is_summed(tmp_path, capsys):
    jobs = common.expand(["JOB=1:4", str(tmp_path / "JOB.log"), "x"])
    progress = common.Progress("feats", jobs, interval=1e-9)
    jobs[0].log.write_text("@progress 5 50\nwords\n@progress 20 50\n@progress 3")
    jobs[1].log.write_text("@progress 30 50\nsay @progress 1 1\n")
    progress.update(0)
    assert capsys.readouterr().err == "feats: 50/200 (25 %), 0/4 jobs, 0 s\n"  # two jobs have not begun: 4 x 50
    with open(jobs[0].log, "a") as log:
        log.write("0 50\n")  # the rest of a line that was half written
    progress.update(1)
    assert capsys.readouterr().err == "feats: 60/200 (30 %), 1/4 jobs, 0 s\n"


def test_short_runs_show_no_progress_lines(tmp_path, capsys):
    jobs = common.expand([str(tmp_path / "log"), "x"])
    progress = common.Progress("feats", jobs)
    progress.update(0)
    progress.close(1)
    assert capsys.readouterr().err == ""


@pytest.mark.slow
def test_bar_on_a_terminal(tmp_path):
    if not shutil.which("script"):
        pytest.skip("no script(1) to make a terminal")
    job = 'for i in 1 2 3; do echo "@progress $((i * 10)) 30"; sleep 0.3; done'
    inner = f"'{sys.executable}' -m m4ser.launch.local --name feats a.log bash -c '{job}'"
    result = subprocess.run(
        ["script", "-qec", inner, "/dev/null"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 0
    assert "feats" in result.stdout and "30/30" in result.stdout


def test_used_by_the_espnet_launcher(tmp_path):
    """``espnet2.bin.launch --cmd``: its first word is a program, it appends ``--gpu N LOG COMMAND...``."""
    program = tmp_path / "m4ser-local"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m m4ser.launch.local "$@"\n')
    program.chmod(0o755)
    words = [
        *("--cmd", f"{program} --name train", "--log", "train.log", "--ngpu", "0", "--"),
        *("echo", "--output_dir", "x"),
    ]
    result = subprocess.run(
        [sys.executable, "-m", "espnet2.bin.launch", *words],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    if "No module named" in result.stderr:
        pytest.skip("espnet cannot be imported")
    assert result.returncode == 0, result.stderr
    lines = (tmp_path / "train.log").read_text().splitlines()
    assert lines[2] == "--output_dir x --ngpu 0 --multiprocessing_distributed True"


def test_the_others_can_be_run_to_their_end_when_one_fails(tmp_path, capfd):
    script = "sleep 0.$1; [ $1 != 1 ] || { echo error: one is bad; exit 3; }; touch $2/$1"
    words = ["--keep-going", "--max-jobs-run", "2", "JOB=1:3", str(tmp_path / "JOB.log"), "sh", "-c", script, "sh"]
    with pytest.raises(SystemExit) as end:
        local.main([*words, "JOB", str(tmp_path)])
    assert end.value.code == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.log", "2", "2.log", "3", "3.log"]
    assert capfd.readouterr().err == f"error: one is bad\n(log of job 1 of 3: {tmp_path / '1.log'})\n"
