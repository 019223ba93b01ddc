"""Models on the hub: what is uploaded can be used by its name. The hub is a server on this machine.

It speaks what huggingface_hub needs to make a repository, to commit to it and to read it again. All files are sent in
the commit, as the hub asks for small ones.
"""

import base64
import hashlib
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from huggingface_hub import ModelCard, constants

from m4ser import EmotionRecognizer
from m4ser.hub import remote
from m4ser.hub.opening import IN_THE_BOX
from m4ser.utils.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """The server; use it in a `with` block.

    Attributes:
        address: where it listens.
        files: of each repository, by path.
        private: of each repository that was made.
        requests: method and path of every request.
    """

    def __init__(self):
        self.files, self.private, self.requests, self.tokens = {}, {}, [], []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                hub.answer(self, "GET")

            def do_HEAD(self):
                hub.answer(self, "HEAD")

            def do_POST(self):
                hub.answer(self, "POST")

            def log_message(self, *words):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *error):
        self.server.shutdown()
        self.server.server_close()

    def answer(self, request, method):
        path = urlsplit(request.path).path
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        self.requests.append((method, path))
        self.tokens.append((path, request.headers.get("Authorization")))
        status, content_type, content, headers = self.reply(method, path, body)
        request.send_response(status)
        for name, value in {"Content-Type": content_type, "Content-Length": str(len(content)), **headers}.items():
            request.send_header(name, value)
        request.end_headers()
        if method != "HEAD":
            request.wfile.write(content)

    def reply(self, method, path, body):
        """Status, type, content, more headers."""
        if path == "/api/repos/create":
            repository = json.loads(body)
            name = f"{repository['organization']}/{repository['name']}"
            self.files.setdefault(name, {})
            self.private.setdefault(
                name, repository["visibility"] == "private" if "visibility" in repository else repository["private"]
            )
            return _json({"url": f"{self.address}/{name}"})
        if path == "/api/validate-yaml":
            header = yaml.safe_load(json.loads(body)["content"].split("---\n")[1])
            errors = [] if "license" in header or "library_name" in header else [{"message": "no metadata"}]
            return _json({"errors": errors, "warnings": []}, 400 if errors else 200)
        parts = path.strip("/").split("/")
        if parts[:2] == ["api", "models"] and (files := self.files.get("/".join(parts[2:4]))) is not None:
            return self.of_repository("/".join(parts[2:4]), files, parts[4:], body)
        if (
            "resolve" in parts
            and (content := self.files.get("/".join(parts[:2]), {}).get("/".join(parts[4:]))) is not None
        ):
            headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{hashlib.sha1(content).hexdigest()}"'}
            return 200, "application/octet-stream", content, headers
        return _json({"error": "not found"}, 404)

    def of_repository(self, name, files, what, body):
        if what[:1] == ["preupload"]:
            uploads = json.loads(body)["files"]
            return _json(
                {"files": [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in uploads]}
            )
        if what[:1] == ["commit"]:
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
                elif line["key"] == "deletedFile":
                    del files[line["value"]["path"]]
            return _json({"success": True, "commitOid": COMMIT, "commitUrl": f"{self.address}/{name}/commit/{COMMIT}"})
        if what[:1] == ["tree"]:
            return _json([_entry(path, content) for path, content in files.items()])
        siblings = [{"rfilename": path} for path in files]
        return _json({"id": name, "sha": COMMIT, "siblings": siblings, "private": self.private.get(name), "tags": []})


def _entry(path, content):
    return {"type": "file", "path": path, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}


def _json(value, status=200):
    return status, "application/json", json.dumps(value).encode(), {}


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with Hub() as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.address)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.address + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setenv("HF_TOKEN", "hf_standin")
        yield server


def test_what_is_uploaded_is_checked_when_it_is_downloaded(archive, hub, sound, tmp_path, monkeypatch):
    hub.files["org/name"] = {"model.onnx": b"x", "asr/model.bin": b"x", ".gitattributes": b"x"}  # of an earlier model
    assert remote.upload(archive, "org/name") == f"{hub.address}/org/name"
    files = hub.files["org/name"]
    assert "model.onnx" not in files and "asr/model.bin" not in files
    assert {"m4ser.json", "model.safetensors", "README.md", ".gitattributes"} <= set(files)
    assert ("POST", "/api/validate-yaml") in hub.requests  # the hub has seen the card before anything was committed
    files["README.md"] = b"edited there"
    packed, fetched = (EmotionRecognizer.from_pretrained(of, device="cpu") for of in (archive, "org/name"))
    assert fetched(sound, text="i am").probabilities == packed(sound, text="i am").probabilities
    files["model.safetensors"] = b"\x80\x04"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "another cache"))
    with pytest.raises(UserError, match=r"model\.safetensors is not what m4ser\.json lists"):
        EmotionRecognizer.from_pretrained("org/name")


def test_a_new_repository_is_private_unless_asked(archive, hub):
    remote.upload(archive, "org/a")
    remote.upload(archive, "org/b", private=False)
    assert hub.private == {"org/a": True, "org/b": False}


def test_without_network(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UserError, match="nobody/nothing: neither a folder or archive here nor to be had from the hub"):
        EmotionRecognizer.from_pretrained("nobody/nothing")


def test_a_card_that_a_hub_would_not_take_is_refused_before_a_request(tampered, hub):
    for card, fault in (
        ("no header", "has no header"),
        ("---\nlicense: other\n---\n", "needs license_name and license_link"),
        ("---\nlicense: mit\ndatasets: ['-- a/b']\n---\n", "Repo id"),
        ("---\nlicense: mit\nlanguage: [English]\n---\n", "English is no ISO 639 code"),
        ("---\nlicense: [\n---\n", "none that a hub takes"),
    ):
        changed = tampered(lambda changed, card=card: (changed.folder / "README.md").write_text(card))
        with pytest.raises(UserError, match=fault):
            remote.upload(changed, "org/name")
    assert hub.requests == []


def publish(*words, **env):
    program = [sys.executable, str(ROOT / "tools/publish_model.py"), *map(str, words)]
    clean = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    return subprocess.run(program, env={**clean, **env}, capture_output=True, text=True)


@pytest.mark.slow
def test_publishing_writes_a_folder_first(archive, tmp_path):
    """Without --hub-repo nothing is sent, with it what the folder holds is."""
    with Hub() as hub:
        env = {"HF_ENDPOINT": hub.address, "HF_TOKEN": "hf_standin", "HF_HOME": str(tmp_path / "home")}
        done = publish(tmp_path / "dry", "--archive", archive, **env)
        assert done.returncode == 0, done.stderr
        assert hub.requests == [] and "nothing was" in done.stdout
        written = {str(p.relative_to(tmp_path / "dry")): p for p in (tmp_path / "dry").rglob("*") if p.is_file()}
        listed = json.loads(written["m4ser.json"].read_text())["files"]
        assert set(written) == {*listed, "m4ser.json", "README.md"}
        assert ModelCard(written["README.md"].read_text()).data.pipeline_tag == "audio-classification"
        assert publish(tmp_path / "dry", "--archive", archive, **env).stderr.startswith("error: ")  # is there already
        done = publish(tmp_path / "wet", "--archive", archive, "--hub-repo", "org/name", **env)
        assert done.returncode == 0, done.stderr
        assert hub.files["org/name"] == {name: path.read_bytes() for name, path in written.items()}
        assert ("/api/models/org/name/commit/main", "Bearer hf_standin") in hub.tokens


@pytest.mark.skipif(not IN_THE_BOX.is_file(), reason="no model in the package")
def test_the_model_of_the_package_can_be_published(tmp_path):
    """Its card is one that a hub takes, the page and the terms beside it are those within."""
    folder = remote.prepare(IN_THE_BOX, tmp_path / "model").folder
    card = (folder / "README.md").read_text(encoding="utf-8")
    data = ModelCard(card).data
    assert (data.license, data.pipeline_tag, data.library_name) == ("cc-by-nc-sa-4.0", "audio-classification", "m4ser")
    assert {"en", "de", "pl"} <= set(data.language) and "amu-cai/nEMO" in data.datasets
    assert data.eval_results and all(0 < result.metric_value < 1 for result in data.eval_results)
    assert (IN_THE_BOX.parent / "README.md").read_text(encoding="utf-8") == card
    assert (IN_THE_BOX.parent / "LICENSE").read_bytes() == (folder / "LICENSE").read_bytes()
