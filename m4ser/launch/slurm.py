"""Run jobs on a Slurm cluster as one array; command line, logs and report of a failure as of the local launcher.

Options for sbatch come from --config (conf/slurm.conf), one ``key value`` a line: ``partition batch`` becomes
``--partition=batch``, a key alone becomes a flag. A key that begins with ``gpu.`` counts only for jobs with GPUs, where
``{gpu}`` in a value is their number, and goes before the plain key. ``#`` begins a comment.

Whether a job has ended, and how, is what its log says: ``sbatch --wait`` learns it up to half a minute later, and of an
array only when all of it has ended. Slurm is asked now and then which jobs it still has, so that one which it has given
up (time limit, memory, a failed node) is noticed. Jobs are known by the script that they were submitted as.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from m4ser.launch import common
from m4ser.utils import cli
from m4ser.utils.errors import UserError
from m4ser.utils.files import atomic_write

POLL = 2.0  # seconds between looks at the logs, after the first few
ASK = 30.0  # seconds between questions to Slurm, after the first few
LATE = 10.0  # seconds that a log may come later than the end of its job
ENDING = 120.0  # seconds that jobs may take to end; Slurm kills them after half a minute
PROGRAMS = ("sbatch", "squeue", "scancel")
OURS = ("wait", "parsable", "array", "job-name", "output", "error", "chdir", "cpus-per-task", "nodes", "requeue")


@cli.command
def main(cmd: Sequence[str] | None = None) -> None:
    """Submit the jobs of the command line and wait; exit status 1 if one fails, 128 + signal if stopped."""
    args = common.get_parser(__doc__).parse_args(cmd)
    jobs = common.expand(args.rest)
    for program in PROGRAMS:
        if shutil.which(program) is None:
            raise UserError(f"{program}: not found; log in to a Slurm submit node, or use --cmd-backend local")
    options = read_config(args.config, args.gpu) if args.config else {}
    if args.gpu and not any(key in options for key in ("gres", "gpus", "gpus-per-node", "gpus-per-task")):
        options["gres"] = f"gpu:{args.gpu}"
    options |= {key: value for key, value in (("mem", args.mem), ("time", args.time)) if value}
    options["cpus-per-task"] = str(args.num_threads)
    if args.num_nodes > 1:
        options |= {"nodes": str(args.num_nodes), "ntasks-per-node": "1"}
    sys.exit(run(jobs, options, args.name or jobs[0].log.stem, args.max_jobs_run))


def read_config(path: str | Path, gpus: int) -> dict[str, str]:
    """Sbatch options of a configuration file for a job with ``gpus`` GPUs.

    Raises:
        UserError: a missing file, a key that is not an option name, an option that the launcher sets itself.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; copy egs/TEMPLATE/conf/slurm.conf and adapt it") from None
    plain: dict[str, str] = {}
    special: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        line = line.split("#")[0].strip()
        if not line:
            continue
        key, _, value = line.partition(" ")
        name = key.removeprefix("gpu.")
        if not re.fullmatch(r"[a-z][a-z0-9-]*", name):
            raise UserError(f"{path}:{number}: {key!r} is not an option of sbatch; write `key value`, without dashes")
        if name in OURS:
            raise UserError(f"{path}:{number}: --{name} is set by the launcher; remove the line")
        (special if name != key else plain)[name] = value.strip().replace("{gpu}", str(gpus))
    return plain | special if gpus else plain


def run(jobs: Sequence[common.Job], options: Mapping[str, str], name: str, max_jobs_run: int | None = None) -> int:
    """Submit ``jobs`` as one array, wait for its end, return the exit status."""
    folder = scripts(jobs[0].log.parent)
    script, array = folder / f"{name}.sh", len(jobs) > 1
    end(script)
    outputs = {job.index: folder / (f"{name}.{job.index}.out" if array else f"{name}.out") for job in jobs}
    for path in (*outputs.values(), *(job.log for job in jobs)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # the end of an earlier run must not be taken for the end of this one
    with atomic_write(folder / f"{name}.json") as file:
        json.dump([[job.index, str(job.log.absolute()), job.command] for job in jobs], file)
    with atomic_write(script) as file:
        worker = shlex.join([sys.executable, "-m", "m4ser.launch.worker", str(folder / f"{name}.json")])
        file.write(f"#!/bin/bash\nexec {worker}\n")
    # No --requeue: a job that begins again by itself may meet its first self, on a node that only its daemon has left.
    command = ["sbatch", "--parsable", "--no-requeue", f"--job-name={name}", f"--chdir={Path.cwd()}"]
    command += [f"--{key}={value}" if value else f"--{key}" for key, value in options.items()]
    if array:
        limit = f"%{max_jobs_run}" if max_jobs_run else ""
        command.append(f"--array={jobs[0].index}-{jobs[-1].index}{limit}")
    output = str(folder / name).replace("%", "%%")
    command += [f"--output={output}.{'%a.' if array else ''}out", str(script)]
    common.stop_on_signals()
    try:
        submitted = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if submitted.returncode:
            said = (submitted.stderr + submitted.stdout).strip()
            print(f"error: sbatch refused the jobs: {said or f'exit status {submitted.returncode}'}", file=sys.stderr)
            return 1
        failed, code = _Watch(jobs, name, script).wait()
    except common.StoppedError as stop:
        common.ignore_signals()
        end(script)
        print("stopped, its jobs are cancelled; run the same command again to continue", file=sys.stderr)
        return stop.code
    if failed is None:
        return 0
    common.ignore_signals()
    print(common.failure_report(failed, len(jobs), code), file=sys.stderr)
    if (code is None or code < 0) and (said := _said(outputs[failed.index])):
        print(f"Slurm says: {said}", file=sys.stderr)
    end(script)
    return 1


class _Watch:
    """Waits for jobs that were submitted."""

    def __init__(self, jobs: Sequence[common.Job], name: str, script: Path):
        self.jobs, self.script = jobs, script
        self.codes: dict[int, int] = {}
        self.gone: dict[int, float] = {}  # jobs that Slurm has no longer and that have not said how they ended: since
        self.progress = common.Progress(name, jobs)

    def wait(self) -> tuple[common.Job | None, int | None]:
        """The first job that fails and its exit code, None if it left none; no job if all end well."""
        pause, ask, asked_at = 0.1, 1.0, time.monotonic()
        failed = None
        while failed is None and len(self.codes) < len(self.jobs):
            common.check_main_process()
            time.sleep(pause)
            pause = min(pause * 1.3, POLL)
            if time.monotonic() - asked_at > ask:
                self._look_at_queue()
                ask, asked_at = min(ask * 2, ASK), time.monotonic()
            failed = self._look_at_logs()
            self.progress.update(len(self.codes))
        self.progress.close(len(self.codes))
        return failed, self.codes.get(failed.index) if failed else None

    def _look_at_logs(self) -> common.Job | None:
        """Note what has ended since; the first that failed, or that has been gone without a word for too long."""
        for job in self.jobs:
            if job.index not in self.codes and (code := common.exit_code(job.log)) is not None:
                self.codes[job.index] = code
                if code:
                    return job
        lost = [index for index, since in self.gone.items() if time.monotonic() - since > LATE]
        return next((job for job in self.jobs if job.index in lost and job.index not in self.codes), None)

    def _look_at_queue(self) -> None:
        try:
            queued = [entry.index for entry in queue() if entry.script == self.script]
        except UserError:
            return  # a controller that does not answer will, some time
        here = {self.jobs[0].index if index is None else index for index in queued}
        now = time.monotonic()
        self.gone = {job.index: self.gone.get(job.index, now) for job in self.jobs if job.index not in here}


@dataclass(frozen=True)
class Entry:
    """A job in Slurm's queue: waiting, running or about to end."""

    number: str
    index: int | None  # in its array
    script: Path


def queue() -> list[Entry]:
    """All jobs of this user.

    Raises:
        UserError: Slurm does not answer.
    """
    command = ["squeue", "--noheader", "--array", f"--user={os.getuid()}", "--format=%F|%K|%o"]
    try:
        answer = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    except OSError as error:
        raise UserError(f"squeue: cannot be run: {error.strerror}") from error
    if answer.returncode:
        raise UserError(f"squeue: {answer.stderr.strip() or f'exit status {answer.returncode}'}")
    fields = [line.strip().split("|", 2) for line in answer.stdout.splitlines() if line.count("|") >= 2]
    return [Entry(number, int(index) if index.isdigit() else None, Path(path)) for number, index, path in fields]


def scripts(logs: Path) -> Path:
    """Folder of what is submitted for jobs with these logs."""
    return logs.resolve() / "slurm"


def end(place: Path) -> set[str]:
    """Cancel the jobs that were submitted as a script, or as any script of a folder, and wait until they are gone.

    Returns their numbers.

    A launcher that is killed leaves its jobs behind: they must not meet those that take their place.

    Raises:
        UserError: Slurm does not answer, or they do not end.
    """
    limit, cancelled = time.monotonic() + ENDING, set[str]()
    pause = 0.1
    while left := {entry.number for entry in queue() if place in (entry.script, *entry.script.parents)}:
        if new := left - cancelled:
            subprocess.run(["scancel", *sorted(new)], check=False, capture_output=True)
            cancelled |= new
        if time.monotonic() > limit:
            raise UserError(
                f"{place}: its job {min(left)} does not end; see what is wrong with it: squeue -j {min(left)}"
            )
        time.sleep(pause)
        pause = min(pause * 1.3, POLL)
    return cancelled


def _said(output: Path) -> str:
    """The last line of Slurm itself in the output of a job: it was too long, took too much memory."""
    try:
        lines = output.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line for line in reversed(lines) if line.startswith(("slurmstepd:", "srun:"))), "")


if __name__ == "__main__":
    main()
