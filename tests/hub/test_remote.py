"""Models on the hub; its functions are replaced by a folder."""

import fnmatch
import shutil

import pytest

from m4ser import EmotionRecognizer
from m4ser.hub import remote
from m4ser.utils.errors import UserError


def test_what_is_uploaded_is_checked_when_it_is_downloaded(archive, tmp_path, monkeypatch, sound):
    import huggingface_hub

    class Api:
        def create_repo(self, name, private, exist_ok):
            assert (name, private, exist_ok) == ("org/name", True, True)
            return f"https://hub/{name}"

        def upload_folder(self, repo_id, folder_path, commit_message, delete_patterns):
            for path in (tmp_path / repo_id).rglob("*"):
                name = str(path.relative_to(tmp_path / repo_id))
                if path.is_file() and any(fnmatch.fnmatch(name, pattern) for pattern in delete_patterns):
                    path.unlink()
            shutil.copytree(folder_path, tmp_path / repo_id, dirs_exist_ok=True)

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    (tmp_path / "org/name/asr").mkdir(parents=True)
    for earlier in ("model.onnx", "asr/model.bin"):  # of an archive that held more
        (tmp_path / "org/name" / earlier).write_bytes(b"x")
    assert remote.upload(archive, "org/name") == "https://hub/org/name"
    (tmp_path / "org/name/.gitattributes").write_text("x")  # the hub adds it
    (tmp_path / "org/name/README.md").write_text("edited there")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda name, allow_patterns: str(tmp_path / name))
    monkeypatch.chdir(tmp_path / "org")
    packed, fetched = (EmotionRecognizer.from_pretrained(of, device="cpu") for of in (archive, "org/name"))
    assert fetched(sound, text="i am").probabilities == packed(sound, text="i am").probabilities
    (tmp_path / "org/name/model.safetensors").write_bytes(b"\x80\x04")
    with pytest.raises(UserError, match=r"model\.safetensors is not what m4ser\.json lists"):
        EmotionRecognizer.from_pretrained("org/name")


def test_without_network(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UserError, match="nobody/nothing: neither a folder or archive here nor to be had from the hub"):
        EmotionRecognizer.from_pretrained("nobody/nothing")
