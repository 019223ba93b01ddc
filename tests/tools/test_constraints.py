import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def pins(python_version, file="constraints.txt"):
    """Name -> version for one Python version; fails on a line that does not pin or pins twice."""
    versions = {}
    for line in (ROOT / "tools" / file).read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        requirement = Requirement(line)
        (specifier,) = requirement.specifier
        assert specifier.operator == "==", line
        if requirement.marker is None or requirement.marker.evaluate({"python_version": python_version}):
            name = canonicalize_name(requirement.name)
            assert name not in versions, line
            versions[name] = specifier.version
    return versions


@pytest.mark.parametrize("python_version", ["3.10", "3.11", "3.12", "3.13"])
def test_everything_that_the_project_names_is_pinned_once(python_version):
    extras = PROJECT["optional-dependencies"].values()
    named = [*PROJECT["dependencies"], *(name for extra in extras for name in extra)]
    needed = [Requirement(text) for text in named]
    needed = {
        canonicalize_name(requirement.name)
        for requirement in needed
        if requirement.marker is None or requirement.marker.evaluate({"python_version": python_version})
    }
    known = pins(python_version)
    assert needed - {"m4ser"} <= set(known)
    assert not {"torchaudio", "espnet"} & needed, "no resolver can install these together with torch"
    assert {"torch", "torchaudio", "espnet"} <= set(known)


@pytest.mark.parametrize("python_version", ["3.10", "3.11", "3.12", "3.13"])
def test_opensmile_changes_nothing_that_is_installed(python_version):
    extra = pins(python_version, "constraints-opensmile.txt")
    assert "opensmile" in extra and not set(extra) & set(pins(python_version))


def test_supported_versions_agree():
    assert PROJECT["requires-python"] == ">=3.10,<3.14"
    assert "^3\\.(10|11|12|13)$" in (ROOT / "tools" / "install.sh").read_text()


def test_the_base_install_needs_neither_pytorch_nor_training():
    heavy = {"torch", "transformers", "espnet", "kaldiio", "scikit-learn", "scipy", "matplotlib", "librosa", "onnx"}
    base = {canonicalize_name(Requirement(text).name) for text in PROJECT["dependencies"]}
    assert not heavy & base
    assert {"onnxruntime", "faster-whisper", "soundfile", "soxr", "tokenizers", "numpy"} <= base
