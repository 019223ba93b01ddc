"""ESPnet-style entry of the task, for :mod:`espnet2.bin.launch`: all options are those of SERTask."""

import argparse
from collections.abc import Sequence

from m4ser.cli import command
from m4ser.task import SERTask


def get_parser() -> argparse.ArgumentParser:
    """Options of ESPnet's trainer and of the task."""
    return SERTask.get_parser()


@command
def main(cmd: Sequence[str] | None = None) -> None:
    """Command line entry."""
    SERTask.main(cmd=cmd)


if __name__ == "__main__":
    main()
