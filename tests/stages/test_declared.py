"""Options that a script declares: parsed, checked and shown."""

import pytest

from m4ser.stages.declared import HelpError, Parser, recipe_files
from m4ser.utils.errors import UserError

BLOCK = """#!/usr/bin/env bash
# --- options
stop_stage=5  # [int] last stage
jobs=         # [int] jobs; default: one per core
limit=        # [number] seconds; default: no limit
careful=false # [bool] be careful
source=asr    # [asr|ref] text
seeds="1"     # [ints] random seeds, e.g. "1 2 3"
words="a b"   # [text] some words # with a mark
folder=conf   # [path] a folder
# --- end of options
# stages: none
#
# That is all.

# another comment
other=1       # [int] not in the block
"""
OWN = """#!/usr/bin/env bash
# --- options
table=        # [path] a table
language=     # [en|zh] language; default: en
corpora=      # [recipes] other recipes
# --- end of options
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The folder of script.sh, where the user is, too."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PWD", str(tmp_path))
    monkeypatch.setenv("OLDPWD", str(tmp_path))
    (tmp_path / "script.sh").write_text(BLOCK)
    return tmp_path


def parse(*words):
    return Parser("script.sh", "run.sh").parse(words)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--unknown", "1"], "unknown option --unknown; script.sh --help lists all options"),
        (["--stop-stages=1"], "unknown option --stop-stages; script.sh --help lists all options"),
        (["--other", "1"], "unknown option --other; script.sh --help lists all options"),
        (["---"], "unknown option ---; script.sh --help lists all options"),
        (["--jobs"], "option --jobs needs a value; script.sh --help lists all options"),
        (["--jobs", "--limit", "1"], "option --jobs needs a value; script.sh --help lists all options"),
        (["--stop-stage", "one"], "--stop-stage must be a whole number, not 'one'"),
        (["--stop-stage", ""], "--stop-stage must be a whole number, not ''"),
        (["--stop-stage=-1"], "--stop-stage must be a whole number, not '-1'"),
        (["--stop-stage=1\n"], "--stop-stage must be a whole number, not '1\n'"),
        (["--careful", "True"], "--careful must be true or false, not 'True'"),
        (["--source", "asr|ref"], "--source must be one of asr, ref, not 'asr|ref'"),
        (["--source", ""], "--source must be one of asr, ref, not ''"),
        (["--limit", "3s"], "--limit must be a number, not '3s'"),
        (["--seeds", "1;2"], "--seeds must be whole numbers, e.g. \"1 2 3\", not '1;2'"),
        (["--seeds", ""], "--seeds must be whole numbers, e.g. \"1 2 3\", not ''"),
        (["words", "1"], "words: unexpected word; options begin with --, and a value with spaces needs quotes"),
    ],
)
def test_mistakes(here, words, message):
    with pytest.raises(UserError) as error:
        parse(*words)
    assert str(error.value) == message


@pytest.mark.parametrize(
    "words", [["--stop-stage", "3"], ["--stop_stage", "3"], ["--stop-stage=3"], ["--stop_stage=3"]]
)
def test_both_spellings(here, words):
    assert parse(*words).values["stop_stage"] == "3"


def test_defaults_and_later_options_override(here):
    parsed = parse("--words", "x", "--stop-stage", "08", "--", "--words=  y  'z' $HOME", "--limit", "0.5", "--jobs", "")
    expected = {"stop_stage": "8", "jobs": "", "limit": "0.5", "careful": "false", "source": "asr", "seeds": "1"}
    assert parsed.values == expected | {"words": "  y  'z' $HOME", "folder": "conf"}
    assert parsed.usual == expected | {"words": "x", "folder": "conf", "limit": ""}  # without the user's words
    assert parsed.typed == ["--words=  y  'z' $HOME", "--limit", "0.5", "--jobs", ""]
    assert parse("--jobs", "2").typed == ["--jobs", "2"]


def test_a_value_may_begin_with_dashes(here):
    assert parse("--words", "--max_epoch 2 --stop-stage").values["words"] == "--max_epoch 2 --stop-stage"


def test_help_shows_defaults_as_one_would_type_them(here):
    with pytest.raises(HelpError) as shown:
        parse("--jobs", "2", "-h")
    lines = str(shown.value).splitlines()
    assert lines[0] == "usage: script.sh [options]"
    assert "  --words              some words # with a mark; default: 'a b'" in lines
    assert "  --limit              seconds; default: no limit" in lines
    assert "  --careful            be careful: true or false; default: false" in lines
    assert "  --source             text: asr, ref; default: asr" in lines
    assert lines[-4:] == ["", "stages: none", "", "That is all."]
    with pytest.raises(HelpError) as shown:
        Parser(str(here / "script.sh")).parse(["--help"])
    assert str(shown.value).startswith("usage: script.sh [options]\n")


def test_typed_paths_are_those_of_where_the_user_is(here, monkeypatch):
    user = here / "user"
    (user / "models").mkdir(parents=True)
    monkeypatch.setenv("OLDPWD", str(user))
    assert parse("--", "--folder", "models").values["folder"] == "user/models"
    assert parse("--folder", "models", "--").values["folder"] == "models"  # the recipe's
    assert parse("--", "--folder", "offline:x").values["folder"] == "offline:x"
    assert parse("--", "--folder", "").values["folder"] == ""
    elsewhere = here.parent / f"{here.name} elsewhere"
    (elsewhere / "models").mkdir(parents=True)
    monkeypatch.setenv("OLDPWD", str(elsewhere))
    assert parse("--", "--folder", "models").values["folder"] == f"{elsewhere}/models"


def test_a_recipe_has_options_of_its_own(here):
    (here / "run.sh").write_text(OWN)
    (here / "my table").write_text("x")
    parsed = parse("--", "--table", "my table", "--words", "w", "--language=zh")
    assert parsed.own_words == ["--table", "my table", "--language", "zh"]
    assert parsed.own_files == ["my table"]
    assert parsed.values["words"] == "w" and "table" not in parsed.values
    assert parse("--words", "w").own_words == []
    with pytest.raises(UserError, match="--language must be one of en, zh, not 'de'"):
        parse("--language", "de")
    with pytest.raises(HelpError) as shown:
        parse("--help")
    assert str(shown.value).startswith("usage: ./run.sh [options]\n\n  --table              a table; default: none\n")
    (here / "run.sh").write_text(OWN.replace("language", "words"))
    with pytest.raises(UserError) as error:
        parse()
    assert str(error.value) == "run.sh: --words is an option of script.sh already"


def test_what_tells_that_the_data_of_another_recipe_have_changed(tmp_path, monkeypatch):
    recipe, other = tmp_path / "cross", tmp_path / "esd"
    for folder in (recipe, other / "data", other / "data_zh", other / "dump_zh/audio"):
        folder.mkdir(parents=True)
    monkeypatch.chdir(recipe)
    (other / "data/babble0").mkdir()
    for file in ("data/folds.json", "data_zh/folds.json", "dump_zh/audio/.done", "data/babble0/folds.json"):
        (other / file).touch()
    assert recipe_files("esd") == ["../esd/data/folds.json"]
    assert recipe_files("../esd/data_zh") == ["../esd/data_zh/folds.json", "../esd/dump_zh/audio/.done"]
    (other / "dump/babble0/audio").mkdir(parents=True)
    (other / "dump/babble0/audio/.done").touch()
    assert recipe_files("esd/data/babble0") == ["../esd/data/babble0/folds.json", "../esd/dump/babble0/audio/.done"]
    assert recipe_files("none") == []
