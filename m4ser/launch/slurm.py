"""Run jobs on a Slurm cluster as one array; command line, logs and report of a failure as of the local launcher.

Options for sbatch come from --config (conf/slurm.conf), one ``key value`` a line: ``partition batch`` becomes
``--partition=batch``, a key alone becomes a flag. A key that begins with ``gpu.`` counts only for jobs with GPUs, where
``{gpu}`` in a value is their number, and goes before the plain key. ``#`` begins a comment.
"""

import json
import os
import re
import secrets
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from m4ser.launch import common
from m4ser.utils import cli
from m4ser.utils.errors import UserError
from m4ser.utils.files import atomic_write

POLL = 2.0  # seconds between looks at the logs
LATE = 20.0  # seconds that logs may come later than the news of the end
OURS = ("wait", "parsable", "array", "job-name", "output", "error", "chdir", "cpus-per-task", "nodes")


@cli.command
def main(cmd: Sequence[str] | None = None) -> None:
    """Submit the jobs of the command line and wait; exit status 1 if one fails, 128 + signal if stopped."""
    args = common.get_parser(__doc__).parse_args(cmd)
    jobs = common.expand(args.rest)
    for program in ("sbatch", "scancel"):
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
    for job in jobs:
        job.log.parent.mkdir(parents=True, exist_ok=True)
        job.log.unlink(missing_ok=True)  # the end of an earlier run must not be taken for the end of this one
    unique = f"{name}-{secrets.token_hex(4)}"  # the jobs are cancelled by this name
    folder = jobs[0].log.parent.resolve() / "slurm"
    with atomic_write(folder / f"{name}.json") as file:
        json.dump([[job.index, str(job.log.absolute()), job.command] for job in jobs], file)
    script = folder / f"{name}.sh"
    with atomic_write(script) as file:
        worker = shlex.join([sys.executable, "-m", "m4ser.launch.worker", str(folder / f"{name}.json")])
        file.write(f"#!/bin/bash\nexec {worker}\n")
    command = ["sbatch", "--wait", f"--job-name={unique}", f"--chdir={Path.cwd()}"]
    command += [f"--{key}={value}" if value else f"--{key}" for key, value in options.items()]
    if len(jobs) > 1:
        limit = f"%{max_jobs_run}" if max_jobs_run else ""
        command.append(f"--array={jobs[0].index}-{jobs[-1].index}{limit}")
    command += [f"--output={folder / name}-%j.out", str(script)]
    progress = common.Progress(name, jobs)
    codes: dict[int, int] = {}
    common.stop_on_signals()
    sbatch = None
    try:
        # A session of its own: Ctrl-C reaches this launcher, which then cancels the jobs.
        sbatch = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True,
        )  # fmt: skip
        status, failed = None, None
        while status is None and failed is None:
            try:
                status = sbatch.wait(POLL)
            except subprocess.TimeoutExpired:
                common.check_main_process()
            failed = _collect(jobs, codes)
            progress.update(len(codes))
    except common.StoppedError as stop:
        common.ignore_signals()
        _cancel(unique, sbatch)
        print("stopped, its jobs are cancelled; run the same command again to continue", file=sys.stderr)
        return stop.code
    begun = status == 0 or any(job.log.exists() for job in jobs)
    end = time.monotonic() + LATE
    while begun and failed is None and len(codes) < len(jobs) and time.monotonic() < end:
        time.sleep(min(POLL, 1.0))
        failed = _collect(jobs, codes)
    progress.close(len(codes))
    if failed is None and len(codes) == len(jobs):  # the logs say it, whatever sbatch makes of it
        return 0
    common.ignore_signals()
    _cancel(unique, sbatch)
    said = sbatch.stdout.read().strip() if sbatch.stdout else ""
    if failed is None and not any(job.log.exists() for job in jobs):
        print(f"error: sbatch refused the jobs: {said or f'exit status {status}'}", file=sys.stderr)
        return 1
    if failed is None:
        failed = next(job for job in jobs if job.index not in codes)
    print(common.failure_report(failed, len(jobs), codes.get(failed.index)), file=sys.stderr)
    if failed.index not in codes:
        print(f"what Slurm said is in {folder}/{name}-*.out", file=sys.stderr)
    return 1


def _collect(jobs: Sequence[common.Job], codes: dict[int, int]) -> common.Job | None:
    """Look for jobs that have ended since; return the first of those that failed."""
    ended = {
        job.index: code for job in jobs if job.index not in codes and (code := common.exit_code(job.log)) is not None
    }
    codes |= ended
    return next((job for job in jobs if ended.get(job.index)), None)


def _cancel(name: str, sbatch: subprocess.Popen[str] | None) -> None:
    if sbatch is None or sbatch.poll() is not None:
        return
    subprocess.run(["scancel", f"--name={name}"], check=False, capture_output=True)
    try:
        sbatch.wait(30)
    except subprocess.TimeoutExpired:
        os.kill(sbatch.pid, 9)
        sbatch.wait()


if __name__ == "__main__":
    main()
