"""What an installation that is not editable gets."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import m4ser

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_files_that_are_no_python_are_in_the_wheel(tmp_path):
    shutil.copytree(ROOT / "m4ser", tmp_path / "m4ser", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    pip = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        "out",
        ".",
    ]
    subprocess.run(pip, cwd=tmp_path, check=True, timeout=120)
    (wheel,) = (tmp_path / "out").iterdir()
    assert wheel.name == f"m4ser-{m4ser.__version__}-py3-none-any.whl"
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("m4ser/")}
    ours = {path.relative_to(ROOT).as_posix() for path in (ROOT / "m4ser").rglob("*") if path.is_file()}
    box = {name for name in ours if name.startswith("m4ser/box/")}  # the model that comes with the package, its card
    ours = box | {name for name in ours if "__pycache__" not in name and not name.endswith(".md")}
    assert inside == ours
    assert {"m4ser/py.typed", "m4ser/demo/examples/angry.opus"} <= inside
    assert any(name.endswith(".jinja") for name in inside)
