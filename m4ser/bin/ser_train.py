"""ESPnet-style entry of a task, for :mod:`espnet2.bin.launch`: all options are those of the task.

The task is the one that the file behind ``--config`` is for (see m4ser.models.systems.SYSTEMS).
"""

import argparse
import sys
from collections.abc import Sequence

from m4ser.models.systems import SER, system_class
from m4ser.training.run import run_task
from m4ser.utils.cli import command


def get_parser() -> argparse.ArgumentParser:
    """Options of ESPnet's trainer and of SERTask; other tasks have their own."""
    return system_class(SER).get_parser()


@command
def main(cmd: Sequence[str] | None = None) -> None:
    """Command line entry."""
    run_task(sys.argv[1:] if cmd is None else list(cmd))


if __name__ == "__main__":
    main()
