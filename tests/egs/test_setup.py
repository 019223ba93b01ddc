"""The folder of a new recipe."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).resolve().parents[2]


def setup(checkout, *words, cwd=None):
    return subprocess.run(
        ["bash", checkout / "egs/TEMPLATE/setup.sh", *map(str, words)],
        cwd=cwd or checkout,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_makes_real_files_and_a_line_in_db(checkout):
    result = setup(checkout, "egs/my_corpus")
    assert result.returncode == 0, result.stderr
    made = checkout / "egs/my_corpus"
    files = {path.relative_to(made).as_posix() for path in made.rglob("*") if path.is_file()}
    assert {"run.sh", "README.md", "local/prepare.py"} <= files
    assert not any(path.is_symlink() for path in made.rglob("*"))
    assert os.access(made / "run.sh", os.X_OK)
    for file in ("run.sh", "README.md", "local/prepare.py"):
        text = (made / file).read_text()
        assert "mycorpus" not in text and "MYCORPUS" not in text
        assert "my_corpus" in text or "MY_CORPUS" in text
    db = (checkout / "egs/TEMPLATE/db.sh").read_text()
    assert db.endswith('export MY_CORPUS="${MY_CORPUS:-}"\n')
    assert not list((checkout / "egs").glob(".*"))


def test_configurations_are_copied(checkout):
    (checkout / "egs/TEMPLATE/conf/train_other.yaml").write_text("fusion: concat\n")
    assert setup(checkout, "egs/new").returncode == 0
    assert (checkout / "egs/new/conf/train_other.yaml").read_text() == "fusion: concat\n"


def test_refuses_to_overwrite(checkout):
    assert setup(checkout, "new", cwd=checkout / "egs").returncode == 0
    before = (checkout / "egs/TEMPLATE/db.sh").read_text()
    (checkout / "egs/new/run.sh").write_text("mine")
    result = setup(checkout, "egs/new/")
    assert result.returncode == 1
    assert result.stderr.endswith("egs/new: is there already; choose another name or remove it\n")
    assert (checkout / "egs/new/run.sh").read_text() == "mine"
    assert (checkout / "egs/TEMPLATE/db.sh").read_text() == before


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
    assert "error: no corpus folder: give --corpus-dir DIR, or fill in NEW in" in result.stderr
