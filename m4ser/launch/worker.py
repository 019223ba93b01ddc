"""The part of a Slurm job that runs on the cluster: one job of a file of jobs, logged as the local launcher does."""

import argparse
import contextlib
import json
import os
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from m4ser.launch.common import Job, write_footer, write_header
from m4ser.launch.local import Runner
from m4ser.utils.errors import UserError

PATIENCE = 60.0  # seconds in which an earlier process may come to its end


def get_parser() -> argparse.ArgumentParser:
    """Command line: the file of jobs."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("jobs", type=Path, help="JSON list of [index, log, command]")
    return parser


def main(cmd: Sequence[str] | None = None) -> None:
    """Run the job whose index is SLURM_ARRAY_TASK_ID, or the only one (within an array of somebody else's)."""
    path = get_parser().parse_args(cmd).jobs
    jobs = [Job(index, Path(log), command) for index, log, command in json.loads(path.read_text())]
    index = int(os.environ["SLURM_ARRAY_TASK_ID"]) if len(jobs) > 1 else jobs[0].index
    chosen = [job for job in jobs if job.index == index]
    if not chosen:
        sys.exit(f"error: there is no job {index} among {len(jobs)}; the array was submitted with other numbers")
    os.environ.pop("M4SER_MAIN_PID", None)  # a process of the machine that submitted the job
    if "SLURM_CPUS_PER_TASK" in os.environ:  # a step takes its cores from a name of its own
        os.environ.setdefault("SRUN_CPUS_PER_TASK", os.environ["SLURM_CPUS_PER_TASK"])
    try:
        with alone(path.with_suffix(f".{index}.lock"), PATIENCE):
            code = Runner(chosen, at_a_time=1, count=len(jobs)).run()
    except UserError as error:
        with open(chosen[0].log, "w", encoding="utf-8") as log:
            write_header(log, chosen[0].command, index, len(jobs))
            log.write(f"error: {error}\n")
            write_footer(log, 1, PATIENCE)
        code = 1
    sys.exit(code)


@contextlib.contextmanager
def alone(path: Path, patience: float) -> Iterator[None]:
    """Hold a lock while a job runs.

    A machine whose daemon has failed, or that the controller cannot reach, is given up by Slurm with jobs that may live
    on; what is submitted in their place must not write the same files at the same time.

    Raises:
        UserError: the lock has not become free in ``patience`` seconds; says who holds it.
    """
    try:
        import fcntl
    except ImportError:  # no file locks on this system
        yield
        return
    end = time.monotonic() + patience
    with open(path, "a+", encoding="utf-8") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > end:
                    file.seek(0)
                    raise UserError(
                        f"process {file.read().strip()} is still at work on this, although Slurm has given it up; "
                        "end it, then run the same command again"
                    ) from None
                time.sleep(min(1.0, patience / 10))
            except OSError:  # a file system without locks
                break
            else:
                break
        file.truncate(0)
        file.write(f"{os.getpid()} on {socket.gethostname()}")
        file.flush()
        yield


if __name__ == "__main__":
    main()
