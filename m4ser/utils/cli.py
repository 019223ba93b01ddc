"""Shared behaviour of the commands in :mod:`m4ser.bin`: parsing of common types and error reporting."""

import argparse
import atexit
import contextlib
import errno
import functools
import gc
import io
import os
import select
import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from m4ser.utils.errors import UserError
from m4ser.utils.extras import missing
from m4ser.utils.printing import printable


class Main(Protocol):
    """The function of a command; without ``cmd`` it reads the words of the command line."""

    def __call__(self, cmd: list[str] | None = None) -> None: ...


def command(main: Main) -> Main:
    """Decorate ``main(cmd=None)`` so that expected failures end as one line and exit status 1.

    A :class:`~m4ser.utils.errors.UserError`, a package that is not installed, a full disk and a place where one may not
    read or write are reported without a traceback, an output that nobody reads any more ends the command silently, as
    in other tools; every other exception is a defect of ours and keeps its traceback. With ``M4SER_DEBUG=1`` nothing is
    caught.
    """

    @functools.wraps(main)
    def wrapper(cmd: list[str] | None = None) -> None:
        _collect_less_garbage()
        _print_anything()
        if os.environ.get("M4SER_DEBUG") == "1":
            main(cmd)
            return
        try:
            main(cmd)
            sys.stdout.flush()
        except UserError as error:
            sys.exit("error: " + printable(str(error), keep="\n"))
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] == __package__.partition(".")[0]:
                raise
            sys.exit(f"error: {missing(error)}")
        except OSError as error:
            if isinstance(error, BrokenPipeError) and _unread():
                sys.exit(128 + signal.SIGPIPE)
            if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS) and error.filename:
                path = Path(os.fsdecode(error.filename))
                place = path if os.path.lexists(path) else path.parent  # of what could not be made, its folder
                fault = f"{printable(str(place))}: {(error.strerror or '').lower()}"
                sys.exit(f"error: {fault}; change its permissions, or choose another place")
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            where = f" while writing {printable(str(error.filename))}" if error.filename else ""
            sys.exit(f"error: no space left on the disk{where}; free some space and run the same command again")
        except KeyboardInterrupt:
            sys.exit("interrupted; run the same command again to continue")

    return wrapper


@functools.cache
def _collect_less_garbage() -> None:
    """Look seldom through objects that have lived long.

    Commands import large libraries, whose millions of objects stay to the end. Looking through all of them for garbage
    at Python's usual rate, and once more at the end, took four tenths of the time of ``import m4ser.training.task``.
    The young objects are looked through as ever.
    """
    gc.set_threshold(*gc.get_threshold()[:2], 1000)
    atexit.register(gc.freeze)


def _print_anything() -> None:
    """What the output's encoding does not have is printed as an escape, as it is on the standard error anyway."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")


def _unread() -> bool:
    """Whether what reads the output has ended, as ``head`` does; nothing more is written there then."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    if not any(event & select.POLLERR for _, event in poll.poll(0)):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains once more at its end
    return True


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """Hide what C libraries write to the standard error: decoders tell a story about every damaged file.

    Python's own messages go where they went before.
    """
    try:
        shares_stderr = sys.stderr.fileno() == 2
    except (OSError, ValueError):  # not a file, as in tests
        shares_stderr = False
    kept, before = os.dup(2), sys.stderr
    if shares_stderr:
        sys.stderr = open(kept, "w", encoding=before.encoding, errors=before.errors, closefd=False, buffering=1)  # noqa: SIM115
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    os.close(nothing)
    try:
        yield
    finally:
        sys.stderr.flush()
        sys.stderr = before
        os.dup2(kept, 2)
        os.close(kept)


def note(line: str) -> None:
    """Tell the user of something that is no error, beside the output of the command."""
    print(f"note: {line}", file=sys.stderr)


def boolean(text: str) -> bool:
    """Argparse type for Kaldi-style booleans: exactly ``true`` or ``false``."""
    if text not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"must be true or false, not {text!r}")
    return text == "true"


def words(text: str) -> list[str]:
    """Argparse type for a list given as one argument: split at blanks or commas."""
    return text.replace(",", " ").split()


def shell_words(text: str, option: str) -> list[str]:
    """Words of an option's text that is quoted as for a shell.

    Raises:
        UserError: a quotation that does not end.
    """
    try:
        return shlex.split(text)
    except ValueError as error:
        raise UserError(f"{option} {text!r}: {error}; quote it as for a shell") from None


def row_names(names: Sequence[str], folders: Sequence[Path], what: str = "folders") -> list[str]:
    """Names of the rows of a table: those given, one for each of ``folders``, or the folders' own.

    Raises:
        UserError: there are more or fewer names than ``folders``, which the message calls ``what``.
    """
    if names and len(names) != len(folders):
        raise UserError(f"--names: {len(names)} names for {len(folders)} {what}; give one for each")
    return list(names) or [folder.name for folder in folders]
