"""What made a file: the command as typed, the code version, the date."""

import contextlib
import datetime
import functools
import os
import platform
import shlex
import subprocess
import sys
from pathlib import Path

import m4ser


def command_line() -> str:
    """The command that the user typed: ``M4SER_COMMAND`` (set by ``ser.sh``), else this process' own."""
    return os.environ.get("M4SER_COMMAND") or shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])


@functools.cache
def git_hash() -> str:
    """Short commit hash of the checkout m4ser is run from, with ``+`` if files changed; ``none`` outside git."""
    root = Path(m4ser.__file__).resolve().parents[1]
    try:
        run = functools.partial(subprocess.run, cwd=root, capture_output=True, text=True, check=True)
        inside = run(["git", "ls-files", "--error-unmatch", "m4ser/__init__.py"])
        head = run(["git", "rev-parse", "--short=12", "HEAD"]).stdout.strip()
        changed = run(["git", "status", "--porcelain", "--untracked-files=no"]).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "none"
    return head + ("+" if changed else "") if inside else "none"


def processor() -> str:
    """Name of the processor, as the system has it."""
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def made_by() -> dict[str, str]:
    """Header of every generated file: command, m4ser version, git hash, UTC date."""
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    return {"command": command_line(), "m4ser": m4ser.__version__, "git": git_hash(), "date": now}
