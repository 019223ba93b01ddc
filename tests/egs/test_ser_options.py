"""Options of ser.sh: one block declares, documents and checks them; what users see of it."""

import re
import shlex
import subprocess
from dataclasses import fields
from pathlib import Path

import pytest

from m4ser.stages.plan import Options

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
SER = ROOT / "egs" / "TEMPLATE" / "ser.sh"
BLOCK = SER.read_text(encoding="utf-8").split("# --- options\n")[1].split("# --- end of options")[0]
DECLARED = re.findall(r"^([a-z_]+)=.*# \[[^]]+\] .+$", BLOCK, re.MULTILINE)


def ser(*words, script=SER):
    return subprocess.run(["bash", script, *words], cwd=script.parent, capture_output=True, text=True, timeout=60)


def test_help_lists_every_option_with_its_default_and_needs_no_installation(checkout):
    (checkout / "tools" / "activate_python.sh").unlink()
    (checkout / "m4ser").symlink_to(ROOT / "m4ser")
    result = ser("--help", script=checkout / "egs/TEMPLATE/ser.sh")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("usage: ser.sh [options]\n")
    assert len(DECLARED) > 30
    for name in DECLARED:
        lines = [line for line in result.stdout.splitlines() if line.startswith(f"  --{name.replace('_', '-')} ")]
        assert len(lines) == 1 and "default: " in lines[0], name
    assert "  --stop-stage         last stage to run; default: 5\n" in result.stdout
    assert "\nstages: 0 data directories and folds   1 audio and speech features" in result.stdout
    assert result.stdout.splitlines()[-1].startswith("A stage that is done is not run again unless ")


def test_every_line_of_the_block_is_an_option_that_python_knows():
    assert len(BLOCK.splitlines()) == len(DECLARED)
    assert [field.name for field in fields(Options)] == DECLARED


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--unknown", "1"], "unknown option --unknown; ser.sh --help lists all options"),
        (["--stage", "one"], "--stage must be a whole number, not 'one'"),
        (["--stop-stage", "8"], "--stop-stage 8: the stages are 0 to 7"),
        (["--train-args", "it's"], '--train-args "it\'s": No closing quotation; quote it as for a shell'),
    ],
)
def test_wrong_options_end_in_one_line(words, message):
    result = ser(*words)
    assert (result.returncode, result.stdout, result.stderr) == (1, "", f"error: {message}\n")


def test_missing_installation(checkout):
    (checkout / "tools" / "activate_python.sh").unlink()
    result = ser("--stage", "0", script=checkout / "egs/TEMPLATE/ser.sh")
    assert result.returncode == 1
    assert "activate_python.sh is missing; install first: make -C" in result.stderr
    assert result.stderr.count("\n") == 1


def test_values_reach_the_shell_as_typed(tmp_path):
    """Nothing in them is evaluated."""
    script = tmp_path / "my script.sh"
    script.write_text(
        f"set -euo pipefail\n. '{ROOT}/egs/TEMPLATE/options.sh'\n# --- options\nwords=  # [text] words\n"
        "run_args=  # [text] more words\n# --- end of options\ndeclare -a more=()\n"
        'ask options --script "$0" --words "$@"\n'
        'printf "%s|" "$words" "${more[@]}" "$M4SER_COMMAND"\n'
    )
    typed = "a'b $(touch pwned) \n`x` \\ é [0]=1"
    result = ser("--words", typed, "--run-args=--a 'b  c' $HOME", script=script)
    assert result.returncode == 0, result.stderr
    words, *more, command, end = result.stdout.split("|")
    assert (words, more, end) == (typed, ["--a", "b  c", "$HOME"], "")
    assert shlex.split(command) == [str(script), "--words", typed, "--run-args=--a 'b  c' $HOME"]
    assert not (tmp_path / "pwned").exists()
