"""What all commands share: how they end."""

import os
import subprocess
import sys

import pytest

from m4ser.utils.cli import command
from m4ser.utils.errors import UserError

PROGRAM = """
import sys
from m4ser.utils.cli import command

@command
def main(cmd=None):
    for number in range(int(sys.argv[1])):
        print(number)
    print("all printed", file=sys.stderr)
    if len(sys.argv) > 2:
        raise BrokenPipeError("of a worker")

main()
"""


def call(*arguments, read):
    """Exit status and messages of a command whose output is read by a process that has ended, or by this one."""
    env = {name: value for name, value in os.environ.items() if name not in ("M4SER_DEBUG", "PYTHONUNBUFFERED")}
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env
    )
    if not read:
        process.stdout.close()
        process.stdout = None
    _, messages = process.communicate(timeout=60)
    return process.returncode, messages.decode()


@pytest.mark.parametrize(("lines", "all_printed"), [("3", True), ("100000", False)])
def test_output_that_nobody_reads(lines, all_printed):
    assert call(lines, read=False) == (141, "all printed\n" if all_printed else "")


def test_another_broken_pipe_is_a_defect():
    status, messages = call("3", "fail", read=True)
    assert status == 1
    assert messages.endswith("BrokenPipeError: of a worker\n")


def test_the_garbage_collector_changes_when_a_command_starts():
    code = """
import gc
from m4ser.utils.cli import command
import m4ser.bin

@command
def main(cmd=None):
    print(gc.get_threshold()[2])

print(gc.get_threshold()[2])
main()
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, after = map(int, result.stdout.split())
    assert before < 1000 == after


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        (PermissionError(13, "Permission denied", "/"), "/: permission denied; change its permissions, or choose"),
        (OSError(30, "Read-only file system", "/no\n/x"), "/no\\n: read-only file system; change its"),
        (OSError(28, "No space left on device", "a\x1b"), "no space left on the disk while writing a\\x1b; free"),
        (UserError("caf\udce9\x1b[2J: fault\nsecond line"), "caf\\udce9\\x1b[2J: fault\nsecond line"),
    ],
)
def test_faults_of_the_machine_are_one_line_without_terminal_commands(fault, line):
    @command
    def main(cmd=None):
        raise fault

    with pytest.raises(SystemExit) as ended:
        main()
    assert str(ended.value).startswith(f"error: {line}")


def test_output_in_an_encoding_that_lacks_characters():
    code = "from m4ser.utils.cli import command\n@command\ndef main(cmd=None):\n    print('Stra\\xdfe')\nmain()"
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, env=env, timeout=60)
    assert (result.returncode, result.stdout) == (0, b"Stra\\xdfe\n")
