"""The description of options is that of the parsers and classes that are installed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = ROOT / "m4ser/training/options.json"


@pytest.mark.slow
def test_options_are_those_of_what_is_installed():
    code = "import runpy, sys; print(runpy.run_path(sys.argv[1])['text_of'](runpy.run_path(sys.argv[1])['describe']()))"
    script = ROOT / "tools/describe_options.py"
    made = subprocess.run([sys.executable, "-c", code, script], capture_output=True, text=True, timeout=200)
    assert made.returncode == 0, made.stderr
    text = made.stdout[made.stdout.index("{\n") :]
    assert json.loads(text) == json.loads(OPTIONS.read_text()), f"run {script}"


def test_every_mapping_says_what_fits():
    """Messages end in what fits; a schema without description would say nothing."""
    for task, schema in json.loads(OPTIONS.read_text()).items():
        for name, option in schema["properties"].items():
            assert "$ref" in option or "description" in option, (task, name)
