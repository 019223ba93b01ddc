"""Run jobs on this machine, several at a time; the first failure ends them all and its own error is shown.

GPUs are handed out through CUDA_VISIBLE_DEVICES: every running job sees only its own.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO

from m4ser.launch import common
from m4ser.launch.copies import Original, Process, original
from m4ser.utils import cli
from m4ser.utils.errors import UserError
from m4ser.utils.progress import LAUNCHED

GRACE = 10.0  # seconds between SIGTERM and SIGKILL


@cli.command
def main(cmd: Sequence[str] | None = None) -> None:
    """Run the jobs of the command line; exit status 1 if one fails, 128 + signal if stopped."""
    parser = common.get_parser(__doc__)
    parser.add_argument("--keep-going", action="store_true", help="run the other jobs to their end when one fails")
    parser.add_argument(
        "--preload",
        action="append",
        default=[],
        metavar="MODULE",
        help="import this Python module once, and start jobs `python -m ...` without GPU as copies; repeatable",
    )
    args = parser.parse_args(cmd)
    jobs = common.expand(args.rest)
    if args.num_nodes > 1:
        raise UserError("--num-nodes: this launcher has one machine; use --cmd-backend slurm for more")
    gpus = visible_gpus() if args.gpu else []
    if len(gpus) < args.gpu:
        seen = "no GPU is" if not gpus else f"only {len(gpus)} of them {'is' if len(gpus) == 1 else 'are'}"
        raise UserError(
            f"--gpu {args.gpu}: {seen} visible here (nvidia-smi, CUDA_VISIBLE_DEVICES); use --ngpu 0 on CPU"
        )
    fit = len(gpus) // args.gpu if args.gpu else max(1, cores() // args.num_threads)
    at_a_time = args.max_jobs_run or fit
    if args.gpu:
        at_a_time = min(at_a_time, fit)
    name = args.name or jobs[0].log.stem
    # What an import has done on a GPU cannot be copied.
    source = original(args.preload) if args.preload and not args.gpu else None
    sys.exit(Runner(jobs, at_a_time, gpus, args.gpu, name, keep_going=args.keep_going, source=source).run())


def cores() -> int:
    """CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def visible_gpus() -> list[str]:
    """Names for CUDA_VISIBLE_DEVICES of the GPUs of this machine, the one with the least memory in use first."""
    allowed = None
    if (devices := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        allowed = [name.strip() for name in devices.split(",") if name.strip() not in ("", "-1")]
    query = ["nvidia-smi", "--query-gpu=index,uuid,memory.used", "--format=csv,noheader,nounits"]
    try:
        output = subprocess.run(query, capture_output=True, text=True, check=True, timeout=60).stdout
    except (OSError, subprocess.SubprocessError):
        return allowed or []
    used = {}
    for line in output.splitlines():
        index, uuid, memory = [part.strip() for part in line.split(",")]
        used[index] = used[uuid] = int(memory) if memory.isdigit() else 0
    # A name nvidia-smi does not list (a part of a GPU, an abbreviated id) is left to CUDA.
    names = [name for name in used if name.isdigit()] if allowed is None else allowed
    return sorted(names, key=lambda name: used.get(name, 0))


@dataclass
class Running:
    """A job that has begun, with its log, which stays open: a file of that name may be another one by the end."""

    job: common.Job
    process: Process | None  # None: its command could not be run
    since: float
    gpus: list[str]
    log: IO[str]

    def close(self, code: int, why: str = "") -> None:
        """Write the end of the log."""
        with self.log:
            common.write_footer(self.log, code, time.monotonic() - self.since, why)


class Runner:
    """Runs jobs in order, at most ``at_a_time`` at once.

    Args:
        jobs: what to run.
        at_a_time: jobs at once, at least 1.
        gpus: names of the GPUs to hand out.
        gpus_per_job: how many of them each job takes.
        name: name of the progress display; empty for none.
        count: number of jobs to state in the logs, where these jobs are part of more.
        keep_going: a job that fails is reported and does not end the others.
        source: process that has imported what jobs need; those that are Python modules start as copies of it.
    """

    def __init__(
        self,
        jobs: Sequence[common.Job],
        at_a_time: int,
        gpus: Sequence[str] = (),
        gpus_per_job: int = 0,
        name: str = "",
        count: int | None = None,
        keep_going: bool = False,
        source: Original | None = None,
    ):
        self.waiting = list(jobs)
        self.count = count or len(self.waiting)
        self.at_a_time = at_a_time
        self.free = list(gpus)
        self.gpus_per_job = gpus_per_job
        self.running: dict[int, Running] = {}
        self.finished = 0
        self.failed = 0
        self.keep_going = keep_going
        self.source = source
        self.progress = common.Progress(name, jobs if name else [])
        self.bound = _death_signal()

    def run(self) -> int:
        """Run all jobs; return the exit status."""
        common.stop_on_signals()
        try:
            failed = self._loop()
        except common.StoppedError as stop:
            common.ignore_signals()
            self._end_all("the launcher was stopped")
            print("stopped; run the same command again to continue", file=sys.stderr)
            return stop.code
        except BaseException:
            common.ignore_signals()
            self._end_all("the launcher failed")
            raise
        if failed is None:
            return 1 if self.failed else 0
        job, code = failed
        common.ignore_signals()
        self._end_all(f"job {job.index} failed")
        print(common.failure_report(job, self.count, code), file=sys.stderr)
        return 1

    def _loop(self) -> tuple[common.Job, int] | None:
        pause = 0.01
        while self.waiting or self.running:
            while self.waiting and len(self.running) < self.at_a_time:
                self._start(self.waiting.pop(0))
            for index in list(self.running):
                code = self._poll(index)
                if code and self.keep_going:
                    self.failed += 1
                    print(common.failure_report(self._forget(index), self.count, code), file=sys.stderr)
                elif code:
                    return self._forget(index), code
                if code == 0:
                    self._forget(index)
            if self.running:
                common.check_main_process()
                self.progress.update(self.finished)
                time.sleep(pause)
                pause = min(
                    pause * 1.5, 0.2
                )  # quick jobs end quickly, long ones are not asked a hundred times a second
        self.progress.close(self.finished)
        return None

    def _start(self, job: common.Job) -> None:
        # A signal between the start of a process and its entry in `running` would leave it behind: it has to wait.
        signal.pthread_sigmask(signal.SIG_BLOCK, common.STOPPING)
        try:
            self._start_process(job)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, common.STOPPING)

    def _start_process(self, job: common.Job) -> None:
        gpus, self.free = self.free[: self.gpus_per_job], self.free[self.gpus_per_job :]
        env = {**os.environ, LAUNCHED: "1"}
        if self.gpus_per_job:
            env["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
        try:
            job.log.parent.mkdir(parents=True, exist_ok=True)
            log = open(job.log, "w", encoding="utf-8")  # noqa: SIM115  (closed with the job's last line)
            common.write_header(log, job.command, job.index, self.count)
            process = self._process(job.command, log, env)
        except OSError as error:
            raise UserError(f"{job.log}: the log cannot be written: {error.strerror}") from error
        self.running[job.index] = Running(job, process, time.monotonic(), gpus, log)

    def _process(self, command: Sequence[str], log: IO[str], env: Mapping[str, str]) -> Process | None:
        """A running process that writes to a log; None if it cannot be started, as the log then says."""
        try:
            if self.source and self.source.runs(command):
                return self.source.start(command, log, env, self.bound)
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=env,
                start_new_session=True,  # a process group of its own: ended as a whole, not by Ctrl-C
                preexec_fn=self.bound,
            )
        except OSError as error:
            log.write(f"error: {command[0]}: cannot be run: {error.strerror}\n")
            log.flush()  # a copy of this process must not write it again
            return None

    def _poll(self, index: int) -> int | None:
        running = self.running[index]
        code = 127 if running.process is None else running.process.poll()
        if code is not None:
            running.close(code)
        return code

    def _forget(self, index: int) -> common.Job:
        running = self.running.pop(index)
        self.free += running.gpus
        self.finished += 1
        return running.job

    def _end_all(self, why: str) -> None:
        """SIGTERM, then SIGKILL, to the process groups of all running jobs."""
        self.progress.close(self.finished)
        alive = [(running, running.process) for running in self.running.values() if running.process is not None]
        for _, process in alive:
            _signal_group(process, signal.SIGTERM)
            _signal_group(process, signal.SIGCONT)  # one that is stopped has to go on to hear it
        limit = time.monotonic() + GRACE
        while any(process.poll() is None for _, process in alive) and time.monotonic() < limit:
            time.sleep(0.02)
        for running, process in alive:
            _signal_group(process, signal.SIGKILL)  # also what the job left behind in its group
            running.close(process.wait(), why)
        self.running.clear()


def _signal_group(process: Process, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _unblock() -> None:
    """In the child: the launcher's blocked signals are not the job's."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, common.STOPPING)


def _death_signal() -> Callable[[], None]:
    """Function for the child that makes Linux end it when this launcher dies, even by SIGKILL; it also unblocks."""
    if not sys.platform.startswith("linux"):
        return _unblock
    try:
        prctl = ctypes.CDLL(None).prctl
    except (OSError, AttributeError):
        return _unblock
    parent = os.getpid()

    def bind() -> None:
        _unblock()
        prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:
            os._exit(1)

    return bind


if __name__ == "__main__":
    main()
