"""Jobs as copies of one process, which has imported what they all need: torch and ESPnet take seconds to import.

A copy starts from the state right after the imports and shares nothing with the others but memory that nobody changes:
seeds, loggers and settings of torch are those of a process of its own, and so are its log, its signals and its end.
"""

import contextlib
import gc
import importlib
import multiprocessing
import os
import runpy
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import IO, Protocol

from m4ser.launch.common import STOPPING


class Process(Protocol):
    """What the launcher asks of a job's process, as of :class:`subprocess.Popen`."""

    pid: int

    def poll(self) -> int | None:
        """Exit code, None while it runs."""

    def wait(self) -> int:
        """Wait for its end; the exit code."""


class Copy:
    """A running copy, as the launcher sees a process."""

    def __init__(self, process: ForkProcess):
        self._process = process
        self.pid = process.pid or 0

    def poll(self) -> int | None:
        """Exit code, negative for a signal; None while it runs."""
        return self._process.exitcode

    def wait(self) -> int:
        """Wait for its end; the exit code."""
        self._process.join()
        return self._process.exitcode or 0


class Original:
    """The process that is copied: this one.

    Attributes:
        said: what the imports have printed, for the logs of the jobs.
    """

    def __init__(self, said: str):
        self.said = said

    @staticmethod
    def runs(command: Sequence[str]) -> bool:
        """Whether a command is a Python module, which a copy can run."""
        return len(command) > 2 and Path(command[0]).name in ("python", "python3") and command[1] == "-m"

    def start(self, command: Sequence[str], log: IO[str], env: Mapping[str, str], bound: Callable[[], None]) -> Copy:
        """Run ``python -m MODULE WORD...`` in a copy that prints to ``log``.

        Args:
            command: for which :meth:`runs` holds.
            log: open file.
            env: environment.
            bound: is called in the copy first; unblocks signals.
        """
        log.write(self.said)
        log.flush()
        process = multiprocessing.get_context("fork").Process(target=_run, args=(command, log.fileno(), env, bound))
        process.start()
        copy = Copy(process)
        with contextlib.suppress(OSError):  # whoever of both comes first
            os.setpgid(copy.pid, copy.pid)
        return copy


def original(modules: Sequence[str]) -> Original | None:
    """Import modules in this process, to be copied from here on.

    None where that is not safe or does not work: other systems than Linux, jobs whose ``python`` is another one than
    this process', threads that imports have started (a copy would lack them), a failing import, of which the job says
    more itself.
    """
    if not sys.platform.startswith("linux") or not _is_this_python("python"):
        return None
    with tempfile.TemporaryFile() as said:
        try:
            with _printing_to(said.fileno()):
                for module in modules:
                    importlib.import_module(module)
        except Exception:
            return None
        if len(list(Path("/proc/self/task").iterdir())) > 1:
            return None
        said.seek(0)
        text = said.read().decode("utf-8", "replace")
    gc.freeze()  # or the first search for garbage in a copy would touch, and so copy, all memory
    return Original(text)


def _is_this_python(command: str) -> bool:
    """Whether a command on the search path starts the interpreter and the environment that run this process."""
    executable = shutil.which(command)
    if executable is None:
        return False
    ours = Path(sys.executable)
    return Path(executable).parent.resolve() == ours.parent.resolve() and Path(executable).resolve() == ours.resolve()


@contextlib.contextmanager
def _printing_to(descriptor: int) -> Iterator[None]:
    """While this lasts, standard output and error go to a file, also for who keeps ``sys.stderr``."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(number) for number in (1, 2)]
    try:
        for number in (1, 2):
            os.dup2(descriptor, number)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, before in zip((1, 2), kept, strict=True):
            os.dup2(before, number)
            os.close(before)


def _run(command: Sequence[str], log: int, env: Mapping[str, str], bound: Callable[[], None]) -> None:
    """In the copy: what the system does for a new process, then the module."""
    with contextlib.suppress(OSError):
        os.setpgid(0, 0)  # a process group of its own: ended as a whole, not by Ctrl-C
    for number in STOPPING:  # the launcher's are not the job's
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number is signal.SIGINT else signal.SIG_DFL)
    bound()
    for stream, descriptor in enumerate((os.open(os.devnull, os.O_RDONLY), log, log)):
        os.dup2(descriptor, stream)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = list(command[2:])
    runpy.run_module(command[2], run_name="__main__", alter_sys=True)
