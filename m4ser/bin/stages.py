"""What the scripts of egs/ ask at their start and for each step: prints NAME=VALUE, each ended by a NUL byte.

Everything after ``--words`` is what the script was called with.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from m4ser.stages import answers
from m4ser.utils import cli


def get_parser() -> argparse.ArgumentParser:
    """Command line: one action."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    actions = parser.add_subparsers(dest="action", required=True)
    options = actions.add_parser("options", allow_abbrev=False, help="the options of a script")
    run = actions.add_parser("run", allow_abbrev=False, help="options of ser.sh, folders, which steps are done")
    run.add_argument("--recipe-script", default="run.sh", help="what users type, with options of its own")
    run.add_argument("--template", required=True, help="folder of db.local.sh, for messages")
    compare = actions.add_parser("compare", allow_abbrev=False, help="options of compare.sh and its systems")
    tune = actions.add_parser("tune", allow_abbrev=False, help="options of tune.sh")
    for action in (options, run, compare, tune):
        action.add_argument("--script", required=True, help="path of the script, which declares its options")
    begin = actions.add_parser("begin", allow_abbrev=False, help="whether a step has work to do; marks its folder")
    begin.add_argument("step", help="its name")
    begin.add_argument("--plan", required=True, help="the plan of the run")
    begin.add_argument("--folder", required=True, help="folder that the step writes")
    begin.add_argument("--lock-fd", type=int, required=True, help="open file to lock until the caller closes it")
    finish = actions.add_parser("finish", allow_abbrev=False, help="the step that began is complete")
    finish.add_argument("--folder", required=True, help="folder that the step has written")
    finish.add_argument("--marker", required=True, help="name of its marker")
    count = actions.add_parser("count", allow_abbrev=False, help="the number of runs of folds and seeds")
    count.add_argument("--data", default="data", help="folder with folds.json (default: data)")
    count.add_argument("--folds", type=cli.words, default=[], help="folds (default: all)")
    count.add_argument("--seeds", type=cli.words, default=["1"], help="seeds (default: 1)")
    return parser


@cli.command
def main(cmd: Sequence[str] | None = None) -> None:
    """Answer."""
    arguments = list(sys.argv[1:] if cmd is None else cmd)
    split = arguments.index("--words") if "--words" in arguments else len(arguments)
    args, words = get_parser().parse_args(arguments[:split]), arguments[split + 1 :]
    if args.action == "options":
        answer = answers.for_options(args.script, words)
    elif args.action == "run":
        answer = answers.for_run(args.script, args.recipe_script, args.template, words)
    elif args.action == "compare":
        answer = answers.for_comparison(args.script, words)
    elif args.action == "tune":
        answer = answers.for_tuning(args.script, words)
    elif args.action == "count":
        answer = answers.for_count(args.data, args.folds, args.seeds)
    elif args.action == "begin":
        answer = answers.for_begin(args.plan, args.step, args.folder, args.lock_fd)
    else:
        answer = answers.for_finish(args.folder, args.marker)
    for name, value in answer.items():
        sys.stdout.buffer.write(os.fsencode(f"{name}={value}") + b"\0")


if __name__ == "__main__":
    main()
