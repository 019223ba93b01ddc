"""A recipe on a real Slurm cluster of two nodes: killed where it hurts, it ends with what an undisturbed run gives."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).resolve().parents[2]
# On two nodes each process draws its own dropout. The speed of bfloat16 would cost the precision that is looked at.
REPEATABLE = "--text_encoder_conf dropout=0 --model_conf dropout=0 --matmul_precision highest"


def wait_for(condition, process=None, seconds=200.0):
    """Until it holds, which `process` has to live to see; what it returned."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert process is None or process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end, "has not happened"
        time.sleep(0.02)
    return value


def kill(*pids):
    """SIGKILL to processes, some of which may be gone by then."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def parent(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


class Cluster:
    """The cluster of tools/slurm_cluster.sh."""

    def __init__(self, folder):
        self.folder = folder

    def ask(self, *words):
        return subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()

    def jobs(self):
        """Numbers of the jobs that wait, run or are about to end."""
        return self.ask("squeue", "--noheader", "--format=%A")

    def kill_node(self, worker):
        """The machine that runs a job is dead: its daemon, and what it has started. Returns its name."""
        node = self.ask("squeue", "--noheader", "--states=RUNNING", "--format=%N")[0]
        kill(int((self.folder / f"{node}.pid").read_text()), parent(worker), worker)
        # As the controller does by itself, later.
        subprocess.run(["scontrol", "update", f"nodename={node}", "state=down", "reason=dead"], check=True)
        return node

    def mend_node(self, node):
        """Start its daemon again."""
        subprocess.run(["slurmd", "-N", node], check=True)
        wait_for(lambda: self.ask("sinfo", "--noheader", f"--nodes={node}", "--format=%T") == ["idle"])


@pytest.fixture(scope="module")
def cluster():
    path = os.environ["PATH"] + os.pathsep + "/usr/sbin"
    missing = [name for name in ("munged", "slurmctld", "slurmd") if not shutil.which(name, path=path)]
    if missing or os.getuid() != 0:
        pytest.skip(f"needs root and Debian's slurm-wlm and munge ({', '.join(missing) or 'not root'})")
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    # Ends with its standard input, however this process comes to its end.
    started = subprocess.Popen([ROOT / "tools/slurm_cluster.sh", "sh", "-c", 'echo "$SLURM_CONF"; exec cat'], **pipes)
    configuration = started.stdout.readline().strip()
    assert configuration
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", configuration)
        patch.setenv("PATH", path)
        yield Cluster(Path(configuration).parent)
    started.stdin.close()
    assert started.wait(30) == 0
    assert not Path(configuration).exists()
    entry = f"SLURM_CONF={configuration}".encode()
    assert not [file for file in Path("/proc").glob("[0-9]*/environ") if has(file, entry)]


def has(file, entry):
    try:
        return entry in file.read_bytes().split(b"\0")
    except OSError:
        return False


@pytest.fixture(scope="module")
def toy(cluster, toy_recipe):
    """A recipe that has run without a cluster and undisturbed: its result is `toy.expected`."""
    toy = toy_recipe()
    toy.options[-1] = f"--max_epoch 12 --keep_nbest_models 1 --batch_size 5 {REPEATABLE}"
    toy.options += ["--train-config", "conf/train_text.yaml", "--text-source", "ref", "--tag", "run"]
    toy.run()
    toy.expected = toy.result("run")
    shutil.copytree(toy.recipe / "exp/run", toy.root / "undisturbed")
    return toy


def begun(toy, log):
    """The process of the cluster that writes a log, once it does."""
    path = next(iter(toy.recipe.glob(log)), None)
    lock = path and path.parent / "slurm" / f"{path.name.removesuffix('.log')}.lock"
    if not lock or not path.exists() or not lock.exists() or not (text := lock.read_text()):
        return None
    worker = int(text.split()[0])
    return worker if Path("/proc", str(worker)).exists() else None


def children(pid):
    return [int(word) for file in Path(f"/proc/{pid}/task").glob("*/children") for word in file.read_text().split()]


def pause(worker):
    """Stop what it runs, which could come to its end too soon; who ends a job lets it go on for that."""
    for child in wait_for(lambda: children(worker)):
        os.kill(child, signal.SIGSTOP)


def test_killed_where_it_hurts_and_continued(toy, cluster):
    for folder in ("data", "dump", "exp"):
        shutil.rmtree(toy.recipe / folder)
    run, log = toy.recipe / "exp/run/fold1/seed1", "dump/audio/log/format_audio.1.log"

    def start():
        return toy.start("--cmd-backend", "slurm")

    # The submitting script and all that it has started on its machine: its jobs live on, until it comes back.
    process = start()
    first = wait_for(lambda: begun(toy, log), process)
    pause(first)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert cluster.jobs()

    # A task.
    process = start()
    worker = wait_for(lambda: (found := begun(toy, log)) != first and found, process)
    assert not Path("/proc", str(first)).exists()
    kill(*wait_for(lambda: children(worker)))
    output, _ = process.communicate(timeout=200)
    assert process.returncode == 1
    assert "dump/audio: ended what a killed run had left in the queue: " in output
    assert "error: job 1 of 2 was ended by signal 9 (SIGKILL; often: out of memory)" in output
    assert not cluster.jobs()

    # The submitting script alone, asked to end: whatever else is of it cancels its jobs.
    process = start()
    wait_for((run / "checkpoint.pth").exists, process)
    pause(begun(toy, "exp/run/log/train.1.log"))
    process.terminate()
    output, _ = process.communicate(timeout=200)
    assert process.returncode == -signal.SIGTERM
    assert "stopped, its jobs are cancelled" in output
    assert not cluster.jobs()
    assert "exit code -15" in (toy.recipe / "exp/run/log/train.1.log").read_text()

    # A node.
    process = start()
    worker = wait_for(lambda: begun(toy, "exp/run/log/train.1.log"), process)
    node = cluster.kill_node(worker)
    output, _ = process.communicate(timeout=200)
    assert process.returncode == 1
    assert "error: the job ended without an exit code (stopped by the cluster: time limit, memory, node?)" in output
    assert not cluster.jobs()

    process = start()  # on the other node
    output, _ = process.communicate(timeout=200)
    assert process.returncode == 0, output
    cluster.mend_node(node)
    assert toy.result("run") == toy.expected


def test_two_machines_train_as_one(toy):
    """The same batches, each shared by two processes: sums in another order, so the weights differ by rounding."""
    toy.run("--cmd-backend", "slurm", "--num-nodes", 2, "--stage", 4, "--stop-stage", 4, "--tag", "two")
    log = (toy.recipe / "exp/two/log/train.1.log").read_text()
    assert ":0/2]" in log and "INFO: The training was finished at 12 epochs" in log
    one, two = (toy.root / "undisturbed/fold1/seed1", toy.recipe / "exp/two/fold1/seed1")
    expected, found = (torch.load(folder / "model.pth") for folder in (one, two))
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)
    expected, found = (json.loads((folder / "history.json").read_text())["epochs"] for folder in (one, two))
    assert list(found) == list(expected)
    for epoch, phases in expected.items():
        for phase, key in (("train", "grad_norm"), ("valid", "loss"), ("valid", "ua")):
            assert found[epoch][phase][key] == pytest.approx(phases[phase][key], rel=1e-3), (epoch, phase, key)
    assert not list(toy.recipe.glob("exp/two/.dist_init*"))


def test_jobs_of_an_array_get_their_gpus(cluster, tmp_path):
    """With the options of our own configuration. There are two, one on each node, for three jobs."""
    words = ["--config", ROOT / "egs/TEMPLATE/conf/slurm.conf", "--gpu", 1, "JOB=1:3", "log/JOB.log"]
    command = [
        sys.executable,
        "-m",
        "m4ser.launch.slurm",
        *words,
        "sh",
        "-c",
        "echo sees $CUDA_VISIBLE_DEVICES; sleep 1",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(list(map(str, command)), cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")
    for index in (1, 2, 3):
        assert "\nsees 0\n" in (tmp_path / f"log/{index}.log").read_text()
