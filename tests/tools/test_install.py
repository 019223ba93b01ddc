import shlex
import sys
from pathlib import Path

import pytest

# Answers what the installer asks an interpreter and writes down what it is told to do.
FAKE = """#!/usr/bin/env bash
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
case "$*" in
    *version_info*) echo "${FAKE_VERSION:-3.11}" ;;
    *"print(sys.prefix)"*) echo "$here" ;;
    *"print(sys.executable)"*) echo "$here/bin/python3" ;;
    *torch.__version__*) echo 2.9.1 ;;
    "-c import torch") [ -n "${FAKE_TORCH:-}" ] ;;
    *)
        echo "$*" >> "$here/calls"
        if [ -n "${FAKE_FAILURE:-}" ] && [[ "$*" = *$FAKE_FAILURE* ]]; then exit 1; fi
        ;;
esac
"""

RECIPE = """#!/usr/bin/env bash
mkdir -p exp/m4ser exp/other
echo "$*" > exp/m4ser/options
echo "| UA |" > exp/m4ser/RESULTS.md
touch -d 2001-01-01 exp/m4ser/RESULTS.md
echo newer > exp/other/RESULTS.md
touch exp/m4ser/confusion.png
metrics='{"pooled": {"ua": {"mean": %s}}, "asr_word_errors": {"wer": 0.25}, "partial": false}'
printf "$metrics" "$UA" > exp/m4ser/metrics.json
"""


@pytest.fixture
def python(tmp_path):
    path = tmp_path / "an environment" / "bin" / "python3"
    path.parent.mkdir(parents=True)
    path.write_text(FAKE)
    path.chmod(0o755)
    return path


@pytest.fixture
def install(checkout, python, call):
    """Run ``make -C tools`` into the fake environment; returns the process and the calls made by this run."""
    log = python.parent.parent / "calls"

    def run(*arguments, **variables):
        log.unlink(missing_ok=True)
        done = call("make", "-C", checkout / "tools", f"PYTHON={python}", "VENV=current", *arguments, **variables)
        return done, log.read_text().splitlines() if log.exists() else []

    return run


def test_installs_in_order_and_a_second_run_does_nothing(install, checkout):
    done, calls = install()
    assert done.returncode == 0, done.stderr
    words = ["torch==2.13.0", "--requirement", "fix_torchaudio", "--editable", "convert_whisper", "check_install"]
    assert len(calls) == len(words)
    assert all(word in call for word, call in zip(words, calls, strict=True))
    assert str(checkout) in calls[3]
    done, calls = install()
    assert done.returncode == 0 and calls == []


def test_larger_models_only_when_asked_for(install, checkout):
    _, calls = install()
    assert not any("base_models" in call for call in calls)
    done, calls = install("base-models")
    assert done.returncode == 0, done.stderr
    pins = checkout / "tools" / "constraints-base-models.txt"
    assert calls == [f"-m m4ser.bin.base_models --pins {pins}"]


def test_changed_constraints_are_installed(install, checkout):
    install()
    with open(checkout / "tools" / "constraints.txt", "a") as file:
        file.write("# changed\n")
    done, calls = install()
    assert done.returncode == 0
    assert any("--requirement" in call for call in calls) and not any("--editable" in call for call in calls)


def test_interrupted_installation_goes_on_where_it_stopped(install):
    done, _ = install(FAKE_FAILURE="--requirement")
    assert done.returncode != 0
    assert "the same command again goes on from there" in done.stderr
    done, calls = install()
    assert done.returncode == 0
    assert "--requirement" in calls[0] and "--ignore-installed" in calls[0]
    assert not any("--ignore-installed" in call for call in calls[1:])


def test_torch_of_an_existing_environment_is_kept(install):
    done, calls = install(FAKE_TORCH="1")
    assert done.returncode == 0 and "kept: torch 2.9.1" in done.stdout
    assert not any("torch==" in call for call in calls)


def test_torch_from_a_given_index(install):
    _, calls = install("TORCH_INDEX_URL=https://example.org/cpu")
    assert "--no-deps --index-url https://example.org/cpu torch==2.13.0" in calls[0]
    assert "--index-url" not in calls[1] and "torch==2.13.0" in calls[1]


def test_activation_finds_the_interpreter(install, checkout, python, call):
    install()
    done = call("bash", "-c", f". '{checkout}/tools/activate_python.sh'; command -v python3")
    assert done.stdout.strip() == str(python)


@pytest.mark.parametrize("version", ["2.7", "3.9", "3.14"])
def test_unsupported_interpreter_is_refused_in_one_line(install, version):
    done, calls = install(FAKE_VERSION=version)
    errors = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert done.returncode != 0 and calls == []
    assert len(errors) == 1
    assert errors[0].endswith(f"is Python {version}; m4ser needs Python 3.10 to 3.13")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"PYTHON": "/no/python"}, "error: PYTHON=/no/python: not found or not a working Python"),
        ({"VENV": "relative"}, "error: VENV=relative: give an absolute path, or 'current'"),
    ],
)
def test_unusable_options(checkout, call, options, message):
    done = call(checkout / "tools" / "install.sh", **options)
    assert done.returncode == 1 and done.stderr == message + "\n"
    assert not (checkout / "tools" / "venv").exists()


def test_check_makes_no_environment(checkout, call):
    done = call("make", "-C", checkout / "tools", "check")
    assert done.returncode != 0 and "no Python environment there; run make -C tools" in done.stderr
    assert not (checkout / "tools" / "venv").exists()


def test_demo_shows_table_and_figures(checkout, call):
    recipe = checkout / "egs" / "mini"
    recipe.mkdir(parents=True)
    run = recipe / "run.sh"
    run.write_text(RECIPE)
    run.chmod(0o755)
    folder = Path(sys.executable).parent
    (checkout / "tools" / "activate_python.sh").write_text(f'export PATH="{folder}:$PATH"\n')
    done = call(checkout / "tools" / "demo.sh", UA="0.5")
    assert done.returncode == 1
    assert "test UA is 0.500, less than 0.6" in done.stderr
    done = call(checkout / "tools" / "demo.sh", UA="0.7")
    assert done.returncode == 0, done.stderr
    assert (recipe / "exp" / "m4ser" / "options").read_text() == "--stage 0 --stop-stage 5\n"
    assert done.stdout.splitlines() == [
        "",
        "| UA |",
        "",
        f"Table:   {recipe}/exp/m4ser/RESULTS.md",
        f"Figure:  {recipe}/exp/m4ser/confusion.png",
        "",
        "As expected: UA 70.0 % (at least 60 %), WER 25.0 % (5 to 60 %)",
        done.stdout.splitlines()[-1],
    ]
    # What is printed to go on with can be typed, also with blanks in the path.
    printed = shlex.split(done.stdout.splitlines()[-1])
    activation, model = str(checkout / "tools/activate_python.sh"), str(recipe / "exp/m4ser")
    assert printed == ["Try", "it:", ".", activation, "&&", "m4ser", "demo", "--model", model]
