"""Options of ser.sh: one block declares, documents and checks them."""

import os
import re
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
SER = ROOT / "egs" / "TEMPLATE" / "ser.sh"
DECLARED = re.findall(r"^([a-z_]+)=.*# \[[^]]+\] .+$", SER.read_text(encoding="utf-8"), re.MULTILINE)


def ser(*words, cwd=ROOT / "egs" / "TEMPLATE"):
    return subprocess.run(["bash", SER, *words], cwd=cwd, capture_output=True, text=True, timeout=60)


def parse(tmp_path, block, *words, show="", oldpwd=None):
    """Run a script with the options of ``block`` and print the variables of ``show``."""
    body = "\n".join(f'printf "%s\\n" "{name}=${name}"' for name in show.split())
    script = tmp_path / "script.sh"
    script.write_text(
        f"set -euo pipefail\n. '{ROOT}/egs/TEMPLATE/options.sh'\n# --- options\n{block}\n# --- end of options\n"
        f'parse_options "$0" "$@"\n{body}\n'
    )
    env = {**os.environ, "OLDPWD": str(oldpwd or tmp_path)}
    return subprocess.run(["bash", script, *words], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60)


def test_help_lists_every_option_with_its_default_and_needs_no_installation():
    result = ser("--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert len(DECLARED) > 30
    for name in DECLARED:
        lines = [line for line in result.stdout.splitlines() if line.startswith(f"  --{name.replace('_', '-')} ")]
        assert len(lines) == 1 and "default: " in lines[0], name
    assert "  --stop-stage         last stage to run; default: 5\n" in result.stdout


def test_every_line_of_the_block_is_an_option():
    block = SER.read_text(encoding="utf-8").split("# --- options\n")[1].split("# --- end of options")[0]
    assert len(block.splitlines()) == len(DECLARED)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--unknown", "1"], "unknown option --unknown; ser.sh --help lists all options"),
        (["--stop-stages=1"], "unknown option --stop-stages; ser.sh --help lists all options"),
        (["--"], None),
        (["---"], "unknown option ---"),
        (["--stage"], "option --stage needs a value"),
        (["--nj", "--stage", "1"], "option --nj needs a value"),
        (["--stage", "one"], "--stage must be a whole number, not 'one'"),
        (["--stage", ""], "--stage must be a whole number, not ''"),
        (["--stage=-1"], "--stage must be a whole number, not '-1'"),
        (["--force", "True"], "--force must be true or false, not 'True'"),
        (["--text-source", "asr|ref"], "--text-source must be one of asr, ref, none, not 'asr|ref'"),
        (["--max-duration", "3s"], "--max-duration must be a number, not '3s'"),
        (["--seeds", "1;2"], "--seeds must be whole numbers"),
        (["--seeds", ""], "--seeds must be whole numbers"),
        (["stage", "1"], "stage: unexpected word"),
        (["--stop-stage", "8"], "--stop-stage 8: the stages are 0 to 7"),
        (["--stop-stage", "7"], "stage 7 needs --hub-repo org/name"),
        (["--pack-run", "1"], "--pack-run '1': must be like fold1/seed1"),
        (["--stage", "3", "--stop-stage", "2"], "--stage 3 comes after --stop-stage 2"),
        (["--num-nodes", "2"], "--num-nodes 2 needs --cmd-backend slurm"),
        (["--tag", "a/../b"], "--tag 'a/../b': only letters"),
        (["--feats-pool", "0"], "--feats-pool must be 1 or more"),
        (["--nj", "0"], "--nj must be 1 or more"),
    ],
)
def test_wrong_options_end_in_one_line(words, message):
    result = ser(*words, "--help") if message is None else ser(*words)
    if message is None:
        assert result.returncode == 0
        return
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.startswith(f"error: {message}") and result.stderr.count("\n") == 1


BLOCK = """
stop_stage=5  # [int] last stage
limit=        # [number] seconds; default: no limit
careful=false # [bool] be careful
words="a b"   # [text] some words
folder=conf   # [path] a folder
"""


@pytest.mark.parametrize(
    "words", [["--stop-stage", "3"], ["--stop_stage", "3"], ["--stop-stage=3"], ["--stop_stage=3"]]
)
def test_both_spellings(tmp_path, words):
    assert parse(tmp_path, BLOCK, *words, show="stop_stage").stdout == "stop_stage=3\n"


def test_defaults_and_later_options_override(tmp_path):
    result = parse(
        tmp_path, BLOCK, "--words", "x", "--stop-stage", "08", "--", "--words=  y  'z' $HOME", "--limit", "0.5"
    )
    assert result.returncode == 0
    result = parse(
        tmp_path,
        BLOCK,
        *("--words", "x", "--stop-stage", "08", "--", "--words=  y  'z' $HOME", "--limit", "0.5"),
        show="stop_stage limit careful words folder",
    )
    assert result.stdout == "stop_stage=8\nlimit=0.5\ncareful=false\nwords=  y  'z' $HOME\nfolder=conf\n"


def test_a_value_may_begin_with_dashes(tmp_path):
    result = parse(tmp_path, BLOCK, "--words", "--max_epoch 2 --stop-stage", show="words stop_stage")
    assert result.stdout == "words=--max_epoch 2 --stop-stage\nstop_stage=5\n"


def test_help_of_another_script_shows_defaults_as_one_would_type_them(tmp_path):
    lines = parse(tmp_path, BLOCK, "--help").stdout.splitlines()
    assert lines[0] == "usage: script.sh [options]"
    assert "  --words              some words; default: 'a b'" in lines
    assert "  --limit              seconds; default: no limit" in lines
    assert "  --careful            be careful: true or false; default: false" in lines


def test_typed_paths_are_those_of_where_the_user_is(tmp_path):
    user = tmp_path / "user"
    (user / "models").mkdir(parents=True)
    typed = parse(tmp_path, BLOCK, "--", "--folder", "models", show="folder", oldpwd=user)
    assert typed.stdout == "folder=user/models\n"
    of_the_recipe = parse(tmp_path, BLOCK, "--folder", "models", "--", show="folder", oldpwd=user)
    assert of_the_recipe.stdout == "folder=models\n"
    elsewhere = parse(tmp_path, BLOCK, "--", "--folder", "offline:x", show="folder", oldpwd=user)
    assert elsewhere.stdout == "folder=offline:x\n"


def test_missing_installation(checkout):
    (checkout / "tools" / "activate_python.sh").unlink()
    result = subprocess.run(
        ["bash", checkout / "egs/TEMPLATE/ser.sh", "--stage", "0"], capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 1
    assert "activate_python.sh is missing; install first: make -C" in result.stderr
    assert result.stderr.count("\n") == 1


OWN = """#!/usr/bin/env bash
# --- options
table=        # [path] a table
language=     # [en|zh] language; default: en
# --- end of options
"""


def test_a_recipe_has_options_of_its_own(tmp_path):
    def parse_own(*words):
        body = (
            '\nown_options=run.sh\nparse_options "$0" "$@"\nprintf "%s\\n" "${own_words[@]}" "${own_files[@]}" "$words"'
        )
        result = subprocess.run(
            ["bash", script(body), *words], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60
        )
        return result.stdout + result.stderr

    def script(body):
        path = tmp_path / "script.sh"
        head = f"set -euo pipefail\n. '{ROOT}/egs/TEMPLATE/options.sh'\n# --- options\n{BLOCK}\n# --- end of options\n"
        path.write_text(head + body)
        return path

    env = {**os.environ, "OLDPWD": str(tmp_path)}
    (tmp_path / "run.sh").write_text(OWN)
    (tmp_path / "my table").write_text("x")
    shown = parse_own("--", "--table", "my table", "--words", "w", "--language=zh")
    assert shown == "--table\nmy table\n--language\nzh\nmy table\nw\n"
    assert parse_own("--words", "w") == "w\n"
    assert "--language must be one of en, zh, not 'de'" in parse_own("--language", "de")
    assert "  --table              a table; default: none\n" in parse_own("--help")
    (tmp_path / "run.sh").write_text(OWN.replace("language", "words"))
    assert parse_own() == "error: run.sh: --words is an option of script.sh already\n"
