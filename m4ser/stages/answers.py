"""What the scripts of egs/ ask, answered as variables of the shell: ``{name: value}``.

A name can be an element, ``speeds[0]`` or ``finished[audio]``.
"""

import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from m4ser.stages.declared import HelpError, Parsed, Parser
from m4ser.utils.cli import shell_words
from m4ser.utils.errors import UserError

Variables = dict[str, str]
HELP = "help_text"  # the only variable where --help was typed


def for_options(script: str, words: Sequence[str]) -> Variables:
    """Options of a script, under their own names, the command as typed and ``more[I]``, the words of ``--run-args``.

    Args:
        script: its path as typed in the current folder; it declares the options.
        words: what it was called with.

    Raises:
        UserError: a mistake in the words.
    """
    try:
        parsed = Parser(script).parse(words)
    except HelpError as help_text:
        return {HELP: str(help_text)}
    more = elements("more", shell_words(parsed.values.get("run_args", ""), "--run-args"))
    return parsed.values | more | _command(script, parsed)


def for_run(script: str, recipe_script: str, template: str, words: Sequence[str]) -> Variables:
    """Options of ``ser.sh``, the folders of the recipe, the plan that its steps need, and which of them are done.

    ``finished[STEP]`` is true for the steps that have nothing to do, unless one before them runs.

    Args:
        script: path of ``ser.sh``.
        recipe_script: what the user has typed instead, ``run.sh``, with options of its own for ``local/prepare.py``.
        template: folder of ``db.local.sh``, for messages.
        words: what the recipe sets, ``--``, what its user typed.

    Raises:
        UserError: a mistake in the words, or something that they name and that is not there.
    """
    try:
        parsed = Parser(script, recipe_script).parse(words)
    except HelpError as help_text:
        return {HELP: str(help_text)}
    # Not needed for --help, which is shown without an installation, too.
    from m4ser.models.description import PLAN, read_plan
    from m4ser.stages import markers
    from m4ser.stages.plan import make_plan
    from m4ser.stages.steps import steps_of
    from m4ser.training.configuration import check_config

    plan = make_plan(parsed, template)
    check_config(plan.options.train_config, plan.options.train_args)
    if Path(plan.exp_dir, PLAN).is_file():
        read_plan(Path(plan.exp_dir, PLAN))
    answer = plan.variables() | {"plan": plan.to_json()} | _command(f"./{recipe_script}", parsed)
    for name, step in steps_of(plan).items():
        try:
            answer[f"finished[{name}]"] = str(markers.is_done(step())).lower()
        except UserError:
            continue  # said when it is its turn: a step before it may mend it
    return answer


def for_begin(plan: str, name: str, folder: str, lock: int) -> Variables:
    """Whether a step has work to do (``todo``), what it makes, how many runs it has, the name of its marker.

    Args:
        plan: from :func:`for_run`.
        name: of the step.
        folder: that it writes.
        lock: open file to lock until the caller closes it.

    Raises:
        UserError: something is missing or out of date that an earlier stage makes.
    """
    from m4ser.stages import markers
    from m4ser.stages.plan import Plan
    from m4ser.stages.steps import steps_of

    markers.lock(lock, folder)
    end_left_jobs(Path(folder))
    step = steps_of(Plan.from_json(plan))[name]()
    todo = markers.begin(step)
    return {"todo": str(todo).lower(), "what": step.what, "count": str(len(step.cells())), "marker": step.name}


def end_left_jobs(folder: Path) -> None:
    """Cancel the jobs on a cluster that a killed run has left at work on a folder, before it is given to another run.

    Raises:
        UserError: Slurm does not answer, or they do not end.
    """
    from m4ser.launch import slurm

    submitted = slurm.scripts(folder / "log")
    if not submitted.is_dir() or not shutil.which("squeue"):  # a machine that only shares its files with a cluster
        return
    if ended := slurm.end(submitted):
        print(f"{folder}: ended what a killed run had left in the queue: {', '.join(ended)}", file=sys.stderr)


def for_finish(folder: str, marker: str) -> Variables:
    """The step that began is complete; there is nothing to answer.

    Raises:
        UserError: its marker has disappeared.
    """
    from m4ser.stages import markers

    markers.finish(folder, marker)
    return {}


def for_comparison(script: str, words: Sequence[str]) -> Variables:
    """Options of ``compare.sh`` and its rows: ``names[I]``, ``tags[I]``, ``configurations[I]``, ``sources[I]`` of text.

    Raises:
        UserError: a mistake in the words, a system that is not there, or a folder that is no recipe's.
    """
    answer = for_options(script, words)
    if HELP in answer:
        return answer
    from m4ser.stages.comparing import check_recipe, rows

    check_recipe()
    if int(answer["at_once"]) < 1:
        raise UserError("--at-once must be 1 or more")
    table_rows = rows(answer["configs"], answer["text_ref"], answer["reference"])
    answer |= elements("names", [row.name for row in table_rows]) | elements("tags", [row.tag for row in table_rows])
    answer |= elements("configurations", [row.config for row in table_rows])
    return answer | elements("sources", [row.text_source for row in table_rows])


def for_tuning(script: str, words: Sequence[str]) -> Variables:
    """Options of ``tune.sh`` and its points: ``systems[I]``, ``configurations[I]``, ``tags[I]`` and ``settings[I]``.

    The settings are training options: those of ``--run-args``, which ``more`` has no longer, then the point's, which
    override them.

    Raises:
        UserError: a mistake in the words, a system or points that are not there, or a folder that is no recipe's.
    """
    answer = for_options(script, words)
    if HELP in answer:
        return answer
    from m4ser.stages.comparing import check_recipe, config_of
    from m4ser.stages.tuning import trials
    from m4ser.training.configuration import as_options

    check_recipe()
    train_args, more, rest = "", [], iter(shell_words(answer["run_args"], "--run-args"))
    for word in rest:
        if word == "--train-args":
            train_args = next(rest, "")
        else:
            more.append(word)
    answer = {name: value for name, value in answer.items() if not name.startswith("more[")} | elements("more", more)
    count = 0
    for system in answer["configs"].split():
        for tag, point in trials(system, Path(answer["grid"]), int(answer["budget"])).points.items():
            settings = " ".join(filter(None, (train_args, as_options(point))))
            values = {"systems": system, "configurations": config_of(system, "."), "tags": tag, "settings": settings}
            answer |= {f"{name}[{count}]": value for name, value in values.items()}
            count += 1
    return answer


def for_count(data: str, folds: Sequence[str], seeds: Sequence[str]) -> Variables:
    """``count``, the number of runs of folds and seeds.

    Raises:
        UserError: there are no data, or not these folds.
    """
    from m4ser.stages.markers import Runs, cells

    return {"count": str(len(cells(data, Runs(tuple(folds), tuple(seeds)))))}


def elements(array: str, values: Sequence[str]) -> Variables:
    """The elements of an array of the shell."""
    return {f"{array}[{index}]": value for index, value in enumerate(values)}


def _command(script: str, parsed: Parsed) -> Variables:
    """The command as typed, which the headers of files name; that of a script further out if there is one."""
    return {"M4SER_COMMAND": os.environ.get("M4SER_COMMAND") or shlex.join([script, *parsed.typed])}
