import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def checkout(tmp_path):
    """A copy of what the installer reads, in a folder whose name has a space."""
    root = tmp_path / "a checkout"
    top = [ROOT / name for name in ("tools/Makefile", "setup.py", "pyproject.toml")]
    for path in [*(ROOT / "tools").glob("*.*"), *top]:
        if path.is_file() and path.name != "activate_python.sh":
            target = root / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target)
    converter = root / "m4ser" / "pretrained" / "convert_whisper.py"
    converter.parent.mkdir(parents=True)
    converter.touch()
    return root


@pytest.fixture
def call():
    """Run a command from a foreign folder; environment variables of make and the installer do not leak in."""

    def run(*command, **variables):
        ours = ("PYTHON", "VENV", "TORCH_INDEX_URL", "VIRTUAL_ENV", "MAKEFLAGS", "MAKELEVEL", "MFLAGS")
        env = {name: value for name, value in os.environ.items() if name not in ours} | variables
        return subprocess.run([str(word) for word in command], cwd="/", env=env, capture_output=True, text=True)

    return run
