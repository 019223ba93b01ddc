"""Print a training configuration as training reads it: merged with what it builds on, each value with its file.

Without CONFIG, the systems that the recipe has are listed. Call it from a recipe's folder, or name that by --recipe.
"""

import argparse
from pathlib import Path

from m4ser.training.configuration import find_config
from m4ser.training.merged import render, summaries
from m4ser.utils.cli import command


def get_parser() -> argparse.ArgumentParser:
    """Options."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("config", metavar="CONFIG", nargs="?", help="system (m4ser) or file (conf/train_m4ser.yaml)")
    parser.add_argument("--recipe", type=Path, default=Path(), help="folder of the recipe (default: the current one)")
    parser.add_argument("--train-args", default="", help="options that override the configuration, as one argument")
    return parser


@command
def main(cmd: list[str] | None = None) -> None:
    """Command line entry."""
    args = get_parser().parse_args(cmd)
    if args.config is None:
        for name, summary in summaries(args.recipe).items():
            print(f"{name:24}{summary}".rstrip())
    else:
        print(render(find_config(args.config, args.recipe), args.train_args), end="")


if __name__ == "__main__":
    main()
