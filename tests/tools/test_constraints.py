import runpy
from pathlib import Path

import pytest
import setuptools
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]


def pins(python_version, file="constraints.txt"):
    """Name -> version for one Python version; fails on a line that does not pin or pins twice."""
    found = {}
    for line in (ROOT / "tools" / file).read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        requirement = Requirement(line)
        (specifier,) = requirement.specifier
        assert specifier.operator == "==", line
        if requirement.marker is None or requirement.marker.evaluate({"python_version": python_version}):
            name = canonicalize_name(requirement.name)
            assert name not in found, line
            found[name] = specifier.version
    return found


@pytest.mark.parametrize("python_version", ["3.10", "3.11", "3.12", "3.13"])
def test_everything_that_setup_names_is_pinned_once(monkeypatch, python_version):
    given = {}
    monkeypatch.setattr(setuptools, "setup", lambda **keywords: given.update(keywords))
    runpy.run_path(str(ROOT / "setup.py"))
    named = [*given["install_requires"], *(name for extra in given["extras_require"].values() for name in extra)]
    needed = [Requirement(text) for text in named]
    needed = {
        canonicalize_name(requirement.name)
        for requirement in needed
        if requirement.marker is None or requirement.marker.evaluate({"python_version": python_version})
    }
    known = pins(python_version)
    assert needed <= set(known)
    assert not {"torch", "torchaudio", "espnet"} & needed, "no resolver can install these together"
    assert {"torch", "torchaudio", "espnet"} <= set(known)


@pytest.mark.parametrize("python_version", ["3.10", "3.11", "3.12", "3.13"])
def test_opensmile_changes_nothing_that_is_installed(python_version):
    extra = pins(python_version, "constraints-opensmile.txt")
    assert "opensmile" in extra and not set(extra) & set(pins(python_version))


def test_supported_versions_agree_with_setup():
    assert 'python_requires=">=3.10,<3.14"' in (ROOT / "setup.py").read_text()
    assert "^3\\.(10|11|12|13)$" in (ROOT / "tools" / "install.sh").read_text()
