"""`pip install` of this repository into an empty environment is enough to predict; nothing of this one is in it."""

import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from m4ser.hub.opening import IN_THE_BOX

ROOT = Path(__file__).resolve().parents[2]
CLIP = ROOT / "egs/mini/corpus/f07/f07-000.opus"
MOST_MB = 500
HEAVY = {"torch", "transformers", "espnet", "kaldiio", "scikit-learn", "scipy", "matplotlib", "librosa"}
SIZES = """
import importlib.metadata, json, pathlib
sizes = {}
for one in importlib.metadata.distributions():
    files = [pathlib.Path(one.locate_file(file)) for file in one.files or ()]
    sizes[one.name.lower()] = sum(file.stat().st_size for file in files if file.is_file())
print(json.dumps(sizes))
"""


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """Call with the words of a command: it runs in a folder and an environment that know nothing of this checkout."""
    root = tmp_path_factory.mktemp("fresh")
    source = root / "source"  # pip would write into the checkout
    shutil.copytree(ROOT / "m4ser", source / "m4ser", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copy(CLIP, root / "clip.opus")
    venv.create(root / "venv", with_pip=True)
    kept = {"PATH", "HOME", "LANG", "TMPDIR"} & set(os.environ)
    kept |= {name for name in os.environ if name.startswith(("PIP_", "SSL_", "REQUESTS_")) or name.endswith("_proxy")}
    environment = {name: os.environ[name] for name in kept} | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}

    def call(program, *words):
        command = [root / "venv/bin" / program, *words]
        return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=280)

    download = call("pip", "download", "--quiet", "--no-deps", "--dest", str(root / "reached"), "soxr")
    if download.returncode:
        pytest.skip("the package registry cannot be reached")
    done = call("pip", "install", "--quiet", str(source))
    assert done.returncode == 0, done.stderr
    return call


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="sizes are those of Linux")
def test_an_empty_environment_predicts(fresh):
    sizes = json.loads(fresh("python", "-c", SIZES).stdout)
    sizes = {name: size for name, size in sizes.items() if name not in ("pip", "setuptools")}
    print(f"{len(sizes)} packages, {sum(sizes.values()) / 1e6:.0f} MB")
    assert not HEAVY & set(sizes) and sum(sizes.values()) <= MOST_MB * 1e6

    found = fresh("m4ser", "predict", "--json", "clip.opus")
    assert found.returncode == 0, found.stderr
    result = json.loads(found.stdout)
    assert result["label"] in result["probabilities"] and result["text"] is None
    labels = fresh("m4ser", "info").stdout
    assert all(label in labels for label in result["probabilities"])
    python = fresh("python", "-c", "import m4ser; print(m4ser.EmotionRecognizer.from_pretrained()('clip.opus').label)")
    assert python.stdout == f"{result['label']}\n", python.stderr

    for command, extra in (("score", "train"), ("export-onnx", "torch"), ("demo", "demo")):
        refused = fresh("m4ser", command, *(["x"] if command != "demo" else []))
        assert refused.returncode and len(refused.stderr.splitlines()) <= 2, refused.stderr
        assert "Traceback" not in refused.stderr
        if "needs the Python package" in refused.stderr:
            assert f"pip install 'm4ser[{extra}]'" in refused.stderr
    words = fresh("m4ser", "predict", "--words", "clip.opus")
    assert words.returncode and "pip install 'm4ser[words]'" in words.stderr, words.stderr


def test_the_model_comes_with_the_package():
    assert IN_THE_BOX.is_file() and IN_THE_BOX.stat().st_size <= 12e6
    assert {path.name for path in IN_THE_BOX.parent.iterdir()} >= {"LICENSE", "README.md"}
