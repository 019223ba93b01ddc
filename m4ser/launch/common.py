"""What the launchers share: the command line, one job's log, the summed progress, the report of a failure."""

import argparse
import collections
import datetime
import os
import re
import shlex
import shutil
import signal
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO, Any

from m4ser.utils.errors import UserError
from m4ser.utils.progress import MARK

TAIL_LINES = 30
_PARENT = os.getppid()
_PROGRESS = re.compile(rb"^" + MARK.encode() + rb" (\d+) (\d+)[ \t\r]*$", re.MULTILINE)
_ERROR = re.compile(r"^(?!srun: |slurmstepd\S*: )(?:\S+: )?error: ")  # Slurm's say that a task has ended, not why
_ENDED = re.compile(r"^# ended: .*exit code (-?\d+),", re.MULTILINE)


# ---------------------------------------------------------------------------------------------- command line
@dataclass
class Job:
    """One command and the file that takes its output."""

    index: int
    log: Path
    command: list[str]


def get_parser(doc: str) -> argparse.ArgumentParser:
    """Options of both launchers; each is accepted with ``-`` and with ``_`` (ESPnet's launcher writes ``_``)."""
    parser = argparse.ArgumentParser(
        description=doc, allow_abbrev=False, usage="%(prog)s [options] [JOB=1:NJ] LOGFILE COMMAND..."
    )

    def add(name: str, **kwargs: Any) -> None:
        spellings = dict.fromkeys([f"--{name}", f"--{name.replace('-', '_')}"])
        parser.add_argument(*spellings, **kwargs)

    add("gpu", type=natural, default=0, help="GPUs of each job (default: 0)")
    add("num-threads", type=positive, default=1, help="CPU cores of each job (default: 1)")
    add("num-nodes", type=positive, default=1, help="machines of each job, Slurm only (default: 1)")
    add("max-jobs-run", type=positive, default=None, help="jobs at a time (default: as many as fit)")
    add("mem", default=None, help="memory of each job, e.g. 8G (Slurm only)")
    add("time", default=None, help="time limit of each job, e.g. 4:00:00 (Slurm only)")
    add("name", default=None, help="name of the progress bar and of the Slurm job")
    add("config", default=None, help="file of Slurm options, one `key value` a line (Slurm only)")
    parser.add_argument("rest", nargs=argparse.REMAINDER, metavar="[JOB=1:NJ] LOGFILE COMMAND...")
    return parser


def natural(text: str) -> int:
    """Argparse type: a whole number >= 0."""
    if not re.fullmatch(r"\d+", text):
        raise argparse.ArgumentTypeError(f"must be a whole number, not {text!r}")
    return int(text)


def positive(text: str) -> int:
    """Argparse type: a whole number >= 1."""
    if natural(text) < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return int(text)


def expand(rest: Sequence[str]) -> list[Job]:
    """Jobs of ``[JOB=1:NJ] LOGFILE COMMAND...``.

    ``JOB`` is replaced where it is not part of a longer word in capitals, so that ``jobs.JOBof4`` changes and a folder
    named ``JOBS`` does not.

    Raises:
        UserError: no command, an empty range, or a LOGFILE that several jobs would share.
    """
    rest = list(rest)
    name, first, last = None, 1, 1
    if rest and (match := re.fullmatch(r"([A-Za-z_]\w*)=(\d+):(\d+)", rest[0])):
        name, first, last = match[1], int(match[2]), int(match[3])
        rest = rest[1:]
        if first > last:
            raise UserError(f"{match[0]}: the first job comes after the last one; write {name}=1:N")
    if len(rest) < 2:
        raise UserError("no command to run; usage: m4ser-local [options] [JOB=1:NJ] LOGFILE COMMAND...")
    if name is None:
        return [Job(1, Path(rest[0]), rest[1:])]
    place = re.compile(rf"(?<![A-Za-z0-9_]){re.escape(name)}(?![A-Z0-9_])")
    if first < last and not place.search(rest[0]):
        raise UserError(f"{rest[0]}: every job needs a log of its own; put {name} into the name of the log file")
    jobs = []
    for index in range(first, last + 1):
        log, *command = [place.sub(str(index), word) for word in rest]
        jobs.append(Job(index, Path(log), command))
    return jobs


# ---------------------------------------------------------------------------------------------- one job's log
def write_header(log: IO[str], command: Sequence[str], index: int, count: int) -> None:
    """Open a job's log: what runs, since when, where."""
    now = datetime.datetime.now().strftime("%Y-%m-%d %H:%M:%S")
    log.write(f"# command: {shlex.join(command)}\n# started: {now} on {socket.gethostname()}, job {index} of {count}\n")
    log.flush()


def write_footer(log: IO[str], code: int, seconds: float, why: str = "") -> None:
    """Last line of a job's log: exit code (negative: the signal that ended it) and elapsed seconds."""
    now = datetime.datetime.now().strftime("%Y-%m-%d %H:%M:%S")
    log.write(f"# ended: {now}, exit code {code}, {seconds:.0f} s{why and f' ({why})'}\n")
    log.flush()


def exit_code(log: Path) -> int | None:
    """Exit code that a job wrote at the end of its log; None as long as it has not."""
    try:
        with open(log, "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
            codes = _ENDED.findall(file.read().decode("utf-8", "replace"))
    except FileNotFoundError:
        return None
    return int(codes[-1]) if codes else None


def failure_report(job: Job, count: int, code: int | None) -> str:
    """What to show of a failed job: its own ``error:`` line alone, else the end of its log; then where the log is."""
    try:
        text = job.log.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        text = f"(its log cannot be read: {error.strerror})"
    lines = [line for line in text.splitlines() if not line.startswith((MARK, "# ended:"))]
    lines = lines[-TAIL_LINES:]
    error_lines = [line for line in lines if _ERROR.match(line)]
    number = f"job {job.index} of {count}" if count > 1 else "the job"
    if code is not None and code > 0 and error_lines:
        return f"{error_lines[-1]}\n(log of {number}: {job.log})"
    if code is None:
        what = "ended without an exit code (stopped by the cluster: time limit, memory, node?)"
    elif code < 0:
        hint = "; often: out of memory" if code == -signal.SIGKILL else ""
        what = f"was ended by signal {-code} ({signal.Signals(-code).name}{hint})"
    else:
        what = f"failed with exit code {code}"
    return "\n".join([f"--- end of {job.log}", *lines, "---", f"error: {number} {what}; its log: {job.log}"])


# ---------------------------------------------------------------------------------------------- progress
class Progress:
    """Sum of the ``@progress DONE TOTAL`` lines of all logs: a bar on a terminal, else a line every ten seconds.

    A job that has not begun counts with the mean total of the others, so the bar knows its length from the start.
    """

    def __init__(self, name: str, jobs: Sequence[Job], interval: float | None = None):
        self.name = name
        self.jobs = jobs
        self.offsets = collections.Counter[int]()
        self.counts: dict[int, tuple[int, int]] = {}
        self.terminal = sys.stderr.isatty()
        self.interval = interval or (0.2 if self.terminal else 10.0)
        self.start = self.shown = time.monotonic()
        self.printed = False
        self.bar: Any = None  # a tqdm, once there is something to show

    def _read(self) -> None:
        for job in self.jobs:
            try:
                with open(job.log, "rb") as file:
                    file.seek(self.offsets[job.index])
                    new = file.read()
            except OSError:
                continue
            new = new[: new.rfind(b"\n") + 1]
            self.offsets[job.index] += len(new)
            if marks := _PROGRESS.findall(new):
                self.counts[job.index] = (int(marks[-1][0]), int(marks[-1][1]))

    def _sums(self) -> tuple[int, int]:
        done = sum(done for done, _ in self.counts.values())
        total = sum(total for _, total in self.counts.values())
        return done, round(total * len(self.jobs) / len(self.counts)) if self.counts else 0

    def update(self, finished: int, last: bool = False) -> None:
        """Show the present state if it is time to; ``finished`` jobs have ended."""
        now = time.monotonic()
        if not self.jobs:
            return
        if now - self.shown < self.interval and not (last and (self.bar or self.printed)):
            return
        self.shown = now
        self._read()
        done, total = self._sums()
        if self.terminal:
            if self.bar is None:
                from tqdm import tqdm  # as long to import as all the rest

                columns, rows = shutil.get_terminal_size()  # 80 x 24 where the terminal does not say
                tqdm.monitor_interval = 0  # no thread: the launcher forks
                self.bar = tqdm(desc=self.name, total=total or None, ncols=columns, nrows=rows, file=sys.stderr)
            self.bar.total, self.bar.n = total or None, done
            self.bar.set_postfix_str(f"{finished}/{len(self.jobs)} jobs" if len(self.jobs) > 1 else "", refresh=False)
            self.bar.refresh()
        else:
            self.printed = True
            share = f"{done}/{total} ({100 * done // max(total, 1)} %), " if total else ""
            jobs = f"{finished}/{len(self.jobs)} jobs, " if len(self.jobs) > 1 else ""
            print(f"{self.name}: {share}{jobs}{now - self.start:.0f} s", file=sys.stderr, flush=True)

    def close(self, finished: int) -> None:
        """Show the final state; a run too short for any line stays silent."""
        self.update(finished, last=True)
        if self.bar is not None:
            self.bar.close()


# ---------------------------------------------------------------------------------------------- being stopped
class StoppedError(Exception):
    """The launcher has to stop: by a signal, or because the script it works for is gone."""

    def __init__(self, code: int):
        super().__init__(code)
        self.code = code


STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def stop_on_signals() -> None:
    """Turn SIGINT, SIGTERM and SIGHUP into :class:`StoppedError`."""

    def handler(number: int, _frame: FrameType | None) -> None:
        raise StoppedError(128 + number)

    for number in STOPPING:
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup asks for SIGHUP to be ignored
            signal.signal(number, handler)


def ignore_signals() -> None:
    """While jobs are being ended, a second Ctrl-C must not leave some of them behind."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)


def check_main_process() -> None:
    """End with the script that uses this launcher (``M4SER_MAIN_PID``, set by ``ser.sh``), however it was ended.

    Otherwise a run that is killed and started again would meet its own earlier jobs.
    """
    main = os.environ.get("M4SER_MAIN_PID", "")
    if not main.isdigit():
        return
    gone = int(main) == _PARENT != os.getppid()
    if not gone:
        try:
            os.kill(int(main), 0)
        except ProcessLookupError:
            gone = True
        except PermissionError:
            pass
    if gone:
        raise StoppedError(1)
