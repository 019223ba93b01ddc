"""What pages print can be typed: files and modules are there, commands and scripts have the options."""

import importlib
import re
import shlex
from pathlib import Path

import pytest

from m4ser.bin.m4ser import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("m4ser/*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("egs/**/README.md")])
PAGES = [page for page in PAGES if page.name != "CHANGELOG.md" and "corpus" not in page.parts]
SPAN, BLOCK = re.compile(r"`([^`\n]+)`"), re.compile(r"```(?:bash)?\n(.*?)```", re.DOTALL)
FILE = re.compile(r"(?<![\w./-])(?:m4ser|egs|tools|tests|docs)/[\w./-]+\.(?:py|sh|yaml|md|txt|conf|css|html)\b")
MODULE = re.compile(r"(?<![\w./-])m4ser(?:\.[a-z_0-9]+)+\b(?!\.zip)(?<!\.json)(?<!\.py)")
MADE = re.compile(
    r"mycorpus|SYSTEM|/exp/|/data/|/dump/|db\.local\.sh|fusion/low_rank|objectives/speech_head|m4ser\.m4ser$"
)
SCRIPTS = {"run.sh", "compare.sh", "run_ablation.sh", "tune.sh", "run_study.sh"}


def name(path):
    return str(path.relative_to(ROOT))


def code(page):
    """Code spans and blocks of a page as lines, with continued lines joined."""
    text = page.read_text(encoding="utf-8")
    blocks = BLOCK.findall(text)
    rest = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    return [line for part in [*blocks, *SPAN.findall(rest)] for line in part.replace("\\\n", " ").splitlines()]


def words(line):
    """The words of a shell line without its comment; nothing of a line that is no shell."""
    try:
        return shlex.split(line.split("  #")[0], comments=True)
    except ValueError:
        return []


def options(words):
    return [word.split("=")[0] for word in words if re.fullmatch(r"--[a-z][a-z-]*(=.*)?", word)]


def declared(script):
    """The options of a script, as its block of options has them; those of ser.sh for a recipe."""
    text = script.read_text(encoding="utf-8")
    block = text.partition("# --- options")[2].partition("# --- end of options")[0]
    return {"--" + name.replace("_", "-") for name in re.findall(r"^(\w+)=", block, re.MULTILINE)}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_files_and_modules_are_there(page):
    for line in code(page):
        for file in FILE.findall(line):
            shared = ROOT / "egs/TEMPLATE/conf" / Path(file).name  # what a recipe has of TEMPLATE is named as its own
            assert MADE.search(file) or (ROOT / file).exists() or shared.exists(), file
        for module in MODULE.findall(line):
            path = ROOT / module.replace(".", "/")
            found = path.with_suffix(".py").is_file() or path.is_dir() or path.parent.with_suffix(".py").is_file()
            assert MADE.search(module) or found, module


def test_modules_of_the_models_page_are_there():
    files = re.findall(r"`((?:models|training)/[\w/]+\.py)`", (ROOT / "docs/model.md").read_text(encoding="utf-8"))
    assert len(files) > 8
    assert [file for file in files if not (ROOT / "m4ser" / file).is_file()] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_of_m4ser(page):
    for line in code(page):
        typed = words(line)
        if typed[:1] != ["m4ser"] or len(typed) < 2 or not re.fullmatch(r"[a-z-]+", typed[1]):
            continue
        assert typed[1] in COMMANDS, line
        parser = importlib.import_module(COMMANDS[typed[1]][0]).get_parser()
        help_text = parser.format_help()
        if typed[1] == "table" and len(typed) > 2 and typed[2].islower():
            kinds = next(action for action in parser._actions if hasattr(action, "choices") and action.choices)
            assert typed[2] in kinds.choices, line
            help_text = kinds.choices[typed[2]].format_help()
        for option in options(typed):
            assert re.search(rf"{option}\b", help_text), f"{line}: {option}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_options_of_scripts(page):
    for line in code(page):
        typed = words(line)
        script = next((Path(word) for word in typed if Path(word).name in SCRIPTS), None)
        if script is None:
            continue
        template = ROOT / "egs/TEMPLATE"
        if script.name == "run.sh":
            recipe = page.parent if (page.parent / "run.sh").is_file() else ROOT / "egs/mini"
            known = declared(template / "ser.sh") | declared(recipe / "run.sh")
            known |= {"--audio-dir"} if recipe.name == "csv" else set()  # its name for --corpus-dir
        elif script.name == "run_study.sh":
            own = page.parent / script
            known = declared(own if own.is_file() else ROOT / "egs/meld_tts/run_study.sh")
        else:
            known = declared(template / ("compare.sh" if script.name == "run_ablation.sh" else script.name))
        for option in options(typed):
            assert option in known | {"--help"}, f"{line}: {option}"
