"""The folder of a Space: what is in it, and that it starts and answers without anything from outside."""

import os
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import yaml

from m4ser.bin import demo
from m4ser.demo import space
from m4ser.utils.errors import UserError

httpx = pytest.importorskip("httpx")

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def archive(tmp_path_factory, toy_run):
    """An untrained model of two emotions that hears the voice only, with a tiny Whisper's features."""
    import torch

    from m4ser.hub.opening import find_model
    from m4ser.hub.pack import pack
    from m4ser.models.build import build_model
    from m4ser.training.task import SERTask
    from m4ser.utils.files import read_json, write_json

    exp = tmp_path_factory.mktemp("voice") / "exp/voice"
    run = exp / "fold1/seed1"
    args = SERTask.get_parser().parse_args(["--output_dir", str(run)])
    args.labels, args.fusion, args.fusion_conf = ["happy", "sad"], "speech", {}
    args.speech_encoder_conf = {"num_layers": 3, "input_size": 16, "output_size": 16, "frame_rate": 12.5}
    args.text_encoder = args.text_encoder_conf = None
    torch.manual_seed(0)
    run.mkdir(parents=True, exist_ok=True)
    torch.save(build_model(args).state_dict(), run / "model.pth")
    (run / "config.yaml").write_text(yaml.safe_dump({**vars(args), "version": "1"}), encoding="utf-8")
    plan = read_json(toy_run / "run.json")
    origin = {"name": "nEMO", "licence": "cc-by-nc-sa-4.0", "languages": ["pl"], "address": "https://example.org"}
    plan |= {
        "corpora": {"nemo": origin},
        "tag": "voice",
        "labels": args.labels,
        "fusion": "speech",
        "text_encoder": "none",
    }
    write_json(exp / "run.json", {**plan, "pipeline": {**plan["pipeline"], "text": None}})
    pack(find_model(exp), exp / "voice.m4ser.zip")
    return exp / "voice.m4ser.zip"


@pytest.fixture(scope="module")
def folder(archive, tmp_path_factory):
    folder = tmp_path_factory.mktemp("spaces") / "a space"
    demo.main(["--space", str(folder), "--model", str(archive)])
    return folder


@pytest.mark.slow
def test_header_is_what_the_hub_reads(folder):
    text = (folder / "README.md").read_text(encoding="utf-8")
    header = yaml.safe_load(text.split("---\n")[1])
    assert header["sdk"] == "gradio" and header["sdk_version"] == metadata.version("gradio")
    assert (folder / header["app_file"]).is_file() and re.fullmatch(r"3\.1\d", header["python_version"])
    assert {header["colorFrom"], header["colorTo"]} <= set("red yellow green blue indigo purple pink gray".split())
    assert len(header["short_description"]) <= 60 and len(header["emoji"].replace("\ufe0f", "")) == 1
    assert header["license"] == "cc-by-nc-sa-4.0"  # what the model's card says
    assert "happy, sad." in text


@pytest.mark.slow
def test_everything_is_in_it(folder, archive):
    assert (folder / space.ARCHIVE).read_bytes() == archive.read_bytes()
    assert not list(folder.rglob("*.pyc")) and not list(folder.parent.glob(".*"))
    ours = {path.relative_to(ROOT) for path in (ROOT / "m4ser").rglob("*") if path.is_file()}
    assert {path.relative_to(folder) for path in (folder / "m4ser").rglob("*") if path.is_file()} == {
        path for path in ours if "__pycache__" not in path.parts
    }
    assert "Apache License" in (folder / "LICENSE").read_text()
    lines = (folder / "requirements.txt").read_text().splitlines()
    assert f"numpy=={metadata.version('numpy')}" in lines
    kept = (folder / ".gitattributes").read_text()
    assert "*.zip filter=lfs" in kept and "*.opus filter=lfs" in kept


@pytest.mark.slow
def test_it_starts_and_answers(folder, tmp_path, sound, ask, left):
    """As a Space starts it, behind a server that forwards requests; nothing of this checkout is used."""
    copy = shutil.copytree(folder, tmp_path / "copy")
    page = copy / "m4ser/demo/answer.py"
    page.write_text(page.read_text().replace('TITLE = "Speech', 'TITLE = "Copied speech'))
    (tmp_path / "temporary").mkdir()
    away = {"PYTHONPATH": "", "SYSTEM": "spaces", "SPACE_ID": "org/name", "TMPDIR": str(tmp_path / "temporary")}
    process = subprocess.Popen(
        [sys.executable, "app.py"], cwd=copy, stdout=subprocess.PIPE, text=True,
        env={**os.environ, **away, "GRADIO_SERVER_NAME": "0.0.0.0", "GRADIO_SERVER_PORT": "0"},
    )  # fmt: skip
    try:
        line = process.stdout.readline()
        assert "open http://0.0.0.0:" in line
        address = f"http://127.0.0.1:{line.split('0.0.0.0:')[1].split('/')[0]}/"
        forwarded = {"Host": "org-name.hf.space", "X-Forwarded-Proto": "https"}
        for _ in range(100):
            try:
                answer = httpx.get(f"{address}config", headers=forwarded)
                break
            except httpx.TransportError:
                pass
        assert answer.json()["root"] == "https://org-name.hf.space"
        assert answer.json()["title"] == "Copied speech emotion recognition"
        assert answer.json()["analytics_enabled"] is False
        shown = answer.json()["components"][0]["props"]["value"].replace("\\", "")
        assert "happy, sad — tag voice, protocol toy-3, fusion speech" in shown
        found = ask(address, sound(tmp_path / "a.wav"))
        assert found["label"]["label"] in ("happy", "sad")
        assert not found["text"].startswith("(this model")  # words of a tone: whatever the recogniser makes of it
        assert left(tmp_path / "temporary") == []
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.slow
def test_the_model_of_the_package_is_not_copied_again(archive, tmp_path, monkeypatch):
    monkeypatch.setattr(space, "IN_THE_BOX", archive)
    space.write_space(tmp_path / "s", str(archive))
    assert not (tmp_path / "s" / space.ARCHIVE).exists()
    assert 'main(["--host", host' in (tmp_path / "s/app.py").read_text()
    assert "license: cc-by-nc-sa-4.0" in (tmp_path / "s/README.md").read_text()


def test_requirements():
    declared = [
        "numpy",
        "torch; extra == 'torch'",
        "no-such-package>=2; extra == 'words'",
        "ruff; extra == 'test'",
        "tomli; python_version < '3'",
        "no-such-package>=2",
    ]
    numpy = f"numpy=={metadata.version('numpy')}"
    assert space.requirements(declared, ()) == [numpy, "no-such-package>=2"]
    assert space.requirements(declared, ("words",)) == [numpy, "no-such-package>=2"]
    first, *rest = space.requirements(declared, ("torch",))
    assert first.startswith("--extra-index-url https://download.pytorch.org/") and rest[0] == numpy
    assert rest[1] == f"torch=={metadata.version('torch').partition('+')[0]}" and len(rest) == 3


def test_a_model_of_the_hub_is_named(tmp_path):
    space.write_space(tmp_path / "s", "org/name")
    assert 'main(["--model", "org/name", "--host", host' in (tmp_path / "s/app.py").read_text()
    assert "models:\n- org/name\n" in (tmp_path / "s/README.md").read_text()
    assert not (tmp_path / "s" / space.ARCHIVE).exists()


def test_what_cannot_be_shown(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/a").touch()
    (tmp_path / "broken.zip").write_bytes(b"x" * 100)
    for folder, model, fault in (
        (tmp_path / "full", "org/name", "is there already"),
        (tmp_path / "new", str(tmp_path / "full"), "needs an archive or a hub id"),
        (tmp_path / "new", str(tmp_path / "broken.zip"), "broken.zip"),
        (tmp_path / "new", "nowhere", "needs an archive or a hub id"),
    ):
        with pytest.raises(UserError, match=fault):
            space.write_space(folder, model)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.zip", "full"]
