"""The part of a Slurm job that runs on the cluster: one job of a file of jobs, logged as the local launcher does."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from m4ser.launch.common import Job
from m4ser.launch.local import Runner


def get_parser() -> argparse.ArgumentParser:
    """Command line: the file of jobs."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("jobs", type=Path, help="JSON list of [index, log, command]")
    return parser


def main(cmd: Sequence[str] | None = None) -> None:
    """Run the job whose index is SLURM_ARRAY_TASK_ID, or the only one (within an array of somebody else's)."""
    jobs = [
        Job(index, Path(log), command)
        for index, log, command in json.loads(get_parser().parse_args(cmd).jobs.read_text())
    ]
    index = int(os.environ["SLURM_ARRAY_TASK_ID"]) if len(jobs) > 1 else jobs[0].index
    if index not in [job.index for job in jobs]:
        sys.exit(f"error: there is no job {index} among {len(jobs)}; the array was submitted with other numbers")
    os.environ.pop("M4SER_MAIN_PID", None)  # a process of the machine that submitted the job
    sys.exit(Runner([job for job in jobs if job.index == index], at_a_time=1, count=len(jobs)).run())


if __name__ == "__main__":
    main()
