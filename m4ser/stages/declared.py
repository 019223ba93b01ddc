"""Options of the scripts in egs/: declared in the script itself, parsed, checked and shown here.

A script declares its options as plain assignments between two comment lines::

    # --- options
    stop_stage=5      # [int] last stage to run
    # --- end of options

The line sets the default and is the documentation: ``--help`` lists all of them, and after them the comment that
follows the block. An option is typed ``--stop-stage 5``, ``--stop_stage 5`` or ``--stop-stage=5``; a later one
overrides an earlier one. The type is ``int`` or ``number`` (either may be empty where the default is), ``ints`` (a
list), ``bool`` (true or false), ``one|two|three``, ``path`` (see :class:`Parser`), ``recipes`` (folders of other
recipes) or ``text``.
"""

import os
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from m4ser.stages.names import dump_of
from m4ser.utils.errors import UserError

_BEGIN, _END = "# --- options", "# --- end of options"
_LINE = re.compile(r"([a-z_]+)=(.*)# \[([^]]+)\] (.+)")
_SHAPES = {
    "int": (re.compile(r"[0-9]+"), "a whole number"),
    "number": (re.compile(r"[0-9]+(\.[0-9]+)?"), "a number"),
    "ints": (re.compile(r"[0-9]+([\s,]+[0-9]+)*"), 'whole numbers, e.g. "1 2 3"'),
    "bool": (re.compile("true|false"), "true or false"),
}


@dataclass(frozen=True)
class Option:
    """One line of a block: ``name=default  # [kind] help``."""

    name: str
    kind: str
    help: str
    default: str

    @property
    def typed(self) -> str:
        """As users type it."""
        return f"--{self.name.replace('_', '-')}"

    def check(self, value: str) -> None:
        """Refuse a value of another type.

        Raises:
            UserError: naming the option and what it takes.
        """
        if "|" in self.kind:
            if value not in self.kind.split("|"):
                raise UserError(f"{self.typed} must be one of {self.kind.replace('|', ', ')}, not '{value}'")
        elif self.kind in _SHAPES:
            shape, what = _SHAPES[self.kind]
            if self.kind in ("int", "number") and not value and not self.default:
                return
            if not shape.fullmatch(value):
                raise UserError(f"{self.typed} must be {what}, not '{value}'")

    def usage(self) -> str:
        """Line of ``--help``."""
        choices = {"bool": "true or false"}.get(self.kind, self.kind.replace("|", ", ") if "|" in self.kind else "")
        default = f"; default: {shlex.quote(self.default)}" if self.default else ""
        if not default and "default:" not in self.help:
            default = "; default: none"
        return f"  {self.typed:<20} {self.help}{choices and f': {choices}'}{default}"


def read_block(script: Path) -> tuple[list[Option], str]:
    """The options that a script declares, and the text that ``--help`` ends with."""
    options, closing, inside, after = [], [], False, False
    for line in script.read_text(encoding="utf-8").splitlines():
        if line.startswith((_BEGIN, _END)):
            inside, after = line.startswith(_BEGIN), line.startswith(_END)
        elif inside and (match := _LINE.fullmatch(line)):
            name, default, kind, text = match.groups()
            options.append(Option(name, kind, text, "".join(shlex.split(default)[:1])))
        elif after:
            after = line.startswith("#")
            closing += [line.removeprefix("#").removeprefix(" ")] if after else []
    return options, "\n".join(closing)


@dataclass
class Parsed:
    """Options of one call.

    Attributes:
        values: value of every option, by the name of its variable.
        usual: the same without the user's words: what the recipe sets, or the default.
        own_words: options that the recipe's ``run.sh`` declares for its ``local/prepare.py``, as ``--name value``.
        own_files: files among them, and what tells that the data of other recipes among them have changed.
        typed: the user's words, all of them.
        chosen: names of the options among these.
    """

    values: dict[str, str]
    usual: dict[str, str]
    own_words: list[str] = field(default_factory=list)
    own_files: list[str] = field(default_factory=list)
    typed: list[str] = field(default_factory=list)
    chosen: set[str] = field(default_factory=set)


class HelpError(Exception):
    """``--help`` was typed; the text is the exception's."""


class Parser:
    """Parser of a script's options.

    A bare ``--`` among the words separates what a recipe's run.sh sets from what its user typed after it. Relative
    paths are those of the recipe's folder, the current one; a typed one that exists where the user is (``OLDPWD``)
    means that one.

    Args:
        script: the script's path as typed in the current folder; messages and ``--help`` name it so.
        recipe_script: a script that users type instead, ``run.sh``; messages name that one if it exists, and options in
            such a block of it are known, too.
    """

    def __init__(self, script: str, recipe_script: str = ""):
        self.name = Path(script).name if script.startswith("/") else script  # absolute: another script has called it
        options, self.closing = read_block(Path(script))
        self.own: list[Option] = []
        if recipe_script and Path(recipe_script).is_file():
            self.name = f"./{recipe_script}"
            self.own = [replace(option, default="") for option in read_block(Path(recipe_script))[0]]
        known = {option.name for option in options}
        for option in self.own:
            if option.name in known:
                raise UserError(f"{recipe_script}: {option.typed} is an option of {Path(script).name} already")
        self.options = {option.name: option for option in [*self.own, *options]}

    def parse(self, words: Sequence[str]) -> Parsed:
        """Values of all options.

        Raises:
            UserError: an unknown option, or a value that is missing or of another type.
            HelpError: ``--help`` is among the words.
        """
        defaults = {name: option.default for name, option in self.options.items()}
        split = words.index("--") + 1 if "--" in words else 0
        parsed = Parsed(dict(defaults), dict(defaults), typed=list(words[split:]))
        by_user, rest = False, iter(words)
        for word in rest:
            if word == "--":
                by_user = True
                continue
            option, value = self._next(word, rest)
            if option.kind == "path" and by_user:
                value = where_typed(value)
            parsed.values[option.name] = value
            if by_user:
                parsed.chosen.add(option.name)
            else:
                parsed.usual[option.name] = value
        for option in self.own:
            self._add_own(option, parsed.values.pop(option.name), parsed)
        return parsed

    def _next(self, word: str, rest: Iterator[str]) -> tuple[Option, str]:
        """The option of a word and its value, which may be the next word."""
        if word in ("--help", "-h"):
            raise HelpError(self.usage())
        if not word.startswith("--"):
            raise UserError(f"{word}: unexpected word; options begin with --, and a value with spaces needs quotes")
        typed, equals, value = word.partition("=")
        option = self._known(typed)
        if option is None:
            raise UserError(f"unknown option {typed}; {self.name} --help lists all options")
        if not equals:
            following = next(rest, None)
            if following is None or self._known(following):
                raise UserError(f"option {word} needs a value; {self.name} --help lists all options")
            value = following
        option.check(value)
        return option, str(int(value)) if option.kind == "int" and value else value  # 08 is eight

    def _known(self, word: str) -> Option | None:
        return self.options.get(word[2:].replace("-", "_")) if word.startswith("--") else None

    def _add_own(self, option: Option, value: str, parsed: Parsed) -> None:
        if not value:
            return
        parsed.own_words += [option.typed, value]
        if option.kind == "path" and Path(value).is_file():
            parsed.own_files.append(value)
        elif option.kind == "recipes":
            for word in value.split():
                parsed.own_files += recipe_files(word.partition("=")[2] or word)

    def usage(self) -> str:
        """Text of ``--help``."""
        lines = [f"usage: {self.name} [options]", "", *(option.usage() for option in self.options.values())]
        return "\n".join([*lines, "", self.closing] if self.closing else lines)


def where_typed(path: str) -> str:
    """A path as a user typed it, for the current folder: the recipe's, which ``run.sh`` has changed to."""
    there = os.environ.get("OLDPWD", str(here()))
    if path and not path.startswith("/") and there != str(here()) and _exists(there, path):
        return f"{there}/{path}".removeprefix(f"{here()}/")
    return path


def _exists(there: str, path: str) -> bool:
    """Whether a file is there, or any that a name with ``{set}`` stands for."""
    return Path(there, path).exists() or ("{set}" in path and any(Path(there).glob(path.replace("{set}", "*"))))


def here() -> Path:
    """The current folder as the shell has it: by the name of the link through which it was entered."""
    folder = Path(os.environ.get("PWD", "."))
    return folder if folder.is_absolute() and folder.is_dir() and folder.samefile(".") else Path.cwd()


def recipe_files(folder: str) -> list[str]:
    """What tells when the data of another recipe has changed.

    Args:
        folder: the recipe's, or one of its data folders, here or next to this recipe.
    """
    path = Path(folder) if Path(folder).is_dir() else Path("..", folder)
    data = path if (path / "folds.json").is_file() else path / "data"
    files = (data / "folds.json", dump_of(data) / "audio/.done")
    return [str(file) for file in files if file.is_file()]
