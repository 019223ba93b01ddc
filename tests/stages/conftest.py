"""A recipe's folder and plans in it."""

from pathlib import Path

import pytest

from m4ser.stages.declared import Parser
from m4ser.stages.plan import make_plan

SER = Path(__file__).resolve().parents[2] / "egs/TEMPLATE/ser.sh"
CONFIGURATIONS = {
    "m4ser": "fusion: concat\n",
    "speech": "fusion: speech\n",
    "functionals": "task: linear\nfeatures: opensmile:eGeMAPSv02\n",
    "wave": "speech_encoder: huggingface\n",
    "scratch": "speech_encoder: conformer\ntext_encoder: transformer\n",
    "tokens": "text_encoder: transformer\ntext_encoder_conf: {tokens: 90}\n",
}


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """A recipe's folder with a few configurations, two experiments and a corpus."""
    path = tmp_path / "egs/stub"
    for folder in ("conf", "exp/m4ser", "exp/other", "corpus"):
        (path / folder).mkdir(parents=True)
    for name, content in CONFIGURATIONS.items():
        (path / f"conf/train_{name}.yaml").write_text(content)
    monkeypatch.chdir(path)
    monkeypatch.setenv("PWD", str(path))
    monkeypatch.setenv("OLDPWD", str(path))
    monkeypatch.setenv("STUB", "corpus")
    return path


@pytest.fixture
def plan(recipe):
    """Function from what a user types, and what the recipe sets, to the plan of ``ser.sh``."""
    return lambda *user, sets=(): make_plan(Parser(str(SER), "run.sh").parse([*sets, "--", *user]), "/egs/TEMPLATE")
