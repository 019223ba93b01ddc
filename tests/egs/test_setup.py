"""The folder of a new recipe."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from m4ser.training import configuration

ROOT = Path(__file__).resolve().parents[2]


def setup(checkout, *words, cwd=None):
    return subprocess.run(
        ["bash", checkout / "egs/TEMPLATE/setup.sh", *map(str, words)],
        cwd=cwd or checkout,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_makes_real_files_and_changes_no_other(checkout):
    before = {path: path.read_bytes() for path in checkout.rglob("*") if path.is_file()}
    result = setup(checkout, "egs/my_corpus")
    assert result.returncode == 0, result.stderr
    made = checkout / "egs/my_corpus"
    files = {path.relative_to(made).as_posix() for path in made.rglob("*") if path.is_file()}
    assert files == {"run.sh", "README.md", "local/prepare.py"}
    assert not any(path.is_symlink() for path in made.rglob("*"))
    assert os.access(made / "run.sh", os.X_OK)
    for file in ("run.sh", "README.md", "local/prepare.py"):
        text = (made / file).read_text()
        assert "mycorpus" not in text and "MYCORPUS" not in text
        assert "my_corpus" in text or "MY_CORPUS" in text
    assert {path: path.read_bytes() for path in before} == before
    assert not list((checkout / "egs").glob(".*"))
    assert f"{checkout}/egs/TEMPLATE/db.local.sh: the folder of the corpus, MY_CORPUS=DIR" in result.stdout


def test_has_every_system_of_the_template(checkout, monkeypatch):
    assert setup(checkout, "egs/new").returncode == 0
    monkeypatch.chdir(checkout / "egs/new")
    assert configuration.systems(".") == configuration.systems(ROOT / "egs/TEMPLATE")
    for name in configuration.systems("."):
        expected = configuration.read_config(ROOT / f"egs/TEMPLATE/conf/train_{name}.yaml")
        assert configuration.read_config(configuration.find_config(name, ".")) == expected


@pytest.mark.slow
def test_the_corpus_is_found_by_db_local(checkout):
    """A line there is used unless the environment has the variable."""
    assert setup(checkout, "egs/new").returncode == 0
    (checkout / "egs/TEMPLATE/db.local.sh").write_text("NEW=${NEW:-/nowhere/a corpus}\n")
    for env, expected in (({}, "/nowhere/a corpus"), ({"NEW": "/elsewhere"}, "/elsewhere")):
        result = subprocess.run(
            [checkout / "egs/new/run.sh", "--stop-stage", "0"],
            env={**os.environ, "PYTHONPATH": str(ROOT), **env},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert result.returncode == 1
        assert f"stage 0: data directories from {expected}\n" in result.stdout


def test_refuses_to_overwrite(checkout):
    assert setup(checkout, "new", cwd=checkout / "egs").returncode == 0
    (checkout / "egs/new/run.sh").write_text("mine")
    result = setup(checkout, "egs/new/")
    assert result.returncode == 1
    assert result.stderr.endswith("egs/new: is there already; choose another name or remove it\n")
    assert (checkout / "egs/new/run.sh").read_text() == "mine"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "usage: egs/TEMPLATE/setup.sh egs/NAME"),
        (["a", "b"], "usage: "),
        (["--help"], "usage: "),
        (["egs/My-Corpus"], "My-Corpus: the name of a recipe is made of small letters"),
        (["elsewhere/new"], "elsewhere/new: recipes lie next to the template; give"),
    ],
)
def test_wrong_use(checkout, words, message):
    before = sorted(checkout.rglob("*"))
    result = setup(checkout, *words)
    assert result.returncode == 1
    assert result.stderr.startswith(f"error: {message}") and result.stderr.count("\n") == 1
    assert sorted(checkout.rglob("*")) == before


@pytest.mark.slow
def test_the_new_recipe_prepares_its_example_layout(checkout):
    assert setup(checkout, "egs/new").returncode == 0
    corpus = checkout / "corpus"
    noise = np.random.default_rng(0).normal(0, 0.1, 1600)
    for speaker in ("anna", "ben", "carl", "dora", "eva"):
        (corpus / speaker).mkdir(parents=True)
        for number, emotion in enumerate(("angry", "happy", "neutral", "sad")):
            soundfile.write(corpus / speaker / f"{number:03d}_{emotion}.wav", noise, 16000)
    (corpus / "anna" / "001_happy.txt").write_text("It works\n")
    (checkout / "tools/activate_python.sh").write_text(f'export PATH="{Path(sys.executable).parent}:$PATH"\n')
    result = subprocess.run(
        ["./run.sh", "--corpus-dir", str(corpus), "--stop-stage", "1", "--speech-encoder", "none", "--nj", "1"],
        cwd=checkout / "egs/new",
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    assert "new-5fold" in (checkout / "egs/new/data/folds.json").read_text()
    assert "anna-001_happy It works\n" in (checkout / "egs/new/data/all/text").read_text()
    assert len((checkout / "egs/new/dump/audio/all/utt2num_samples").read_text().splitlines()) == 20


@pytest.mark.slow
def test_the_new_recipe_runs_the_template(checkout):
    assert setup(checkout, "egs/new").returncode == 0
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [checkout / "egs/new/run.sh"]
    result = subprocess.run([*command, "--help"], cwd=checkout, env=env, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0
    assert result.stdout.startswith("usage: ./run.sh [options]")
    result = subprocess.run(command, cwd=checkout, env=env, capture_output=True, text=True, timeout=60)
    assert result.returncode == 1
    assert "error: no corpus folder: give --corpus-dir DIR, or put NEW=DIR into" in result.stderr
