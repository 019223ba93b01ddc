import json
import pickle
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from m4ser.hub.archive import sha256_of, unpack
from m4ser.hub.opening import find_model
from m4ser.hub.pack import pack


@pytest.fixture(scope="package")
def archive(toy_run, tmp_path_factory):
    path = tmp_path_factory.mktemp("archive") / "toy.m4ser.zip"
    pack(find_model(toy_run), path)
    return path


@pytest.fixture(scope="package")
def sound(tmp_path_factory):
    path = tmp_path_factory.mktemp("sound") / "a.wav"
    soundfile.write(path, np.random.default_rng(0).standard_normal(12000) * 0.1, 16000)
    return path


class Change:
    """What a test does to an unpacked archive before it is zipped again."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.extra: list[tuple[zipfile.ZipInfo, bytes]] = []
        self.compression = zipfile.ZIP_STORED

    def add(self, name: str, content: bytes = b"x", mode: int = 0o644) -> None:
        entry = zipfile.ZipInfo(name)
        entry.external_attr = mode << 16
        self.extra.append((entry, content))

    def describe(self, change) -> None:
        """Change m4ser.json, and list every file as it now is."""
        description = json.loads((self.folder / "m4ser.json").read_text())
        change(description)
        for name, listed in description["files"].items():
            if (self.folder / name).is_file():
                listed |= {"size": (self.folder / name).stat().st_size, "sha256": sha256_of(self.folder / name)}
        (self.folder / "m4ser.json").write_text(json.dumps(description))

    def replace(self, name: str, content: bytes) -> None:
        """Replace a file by another one that is listed properly: what somebody would do who means harm."""
        (self.folder / name).write_bytes(content)
        self.describe(lambda description: description["files"].setdefault(name, {}))

    def config(self, old: str, new: str) -> None:
        text = (self.folder / "config.yaml").read_text()
        assert old in text
        self.replace("config.yaml", text.replace(old, new).encode())


class _Touch:
    def __reduce__(self):
        return Path.touch, (Path("harm-was-done"),)


class Harm:
    """Content of files that write a file called `harm-was-done` into the working folder when they are run."""

    def __init__(self, folder: Path):
        self.folder = folder

    def pickle(self) -> bytes:
        return pickle.dumps(_Touch())

    def torch(self, **beside) -> bytes:
        torch.save({**beside, "classifier.bias": _Touch()}, self.folder / "harm.pth")
        return (self.folder / "harm.pth").read_bytes()

    def python(self) -> str:
        return "import pathlib\npathlib.Path('harm-was-done').touch()\n"


@pytest.fixture
def harm(tmp_path_factory):
    return Harm(tmp_path_factory.mktemp("harm"))


@pytest.fixture
def tampered(archive, tmp_path_factory):
    """Call with what to do to the unpacked archive: the archive that it then is."""
    base = tmp_path_factory.mktemp("tampered")

    def make(change) -> Path:
        folder = base / "again"
        shutil.rmtree(folder, ignore_errors=True)
        unpacked = unpack(archive, folder / "honest").folder
        changed = Change(unpacked)
        change(changed)
        with zipfile.ZipFile(folder / "tampered.zip", "w", changed.compression) as file:
            for path in sorted(p for p in unpacked.rglob("*") if p.is_file()):
                file.write(path, path.relative_to(unpacked))
            for entry, content in changed.extra:
                file.writestr(entry, content)
        return folder / "tampered.zip"

    return make


@pytest.fixture(scope="package")
def tiny_recogniser(tmp_path_factory):
    """Folder of a random CTC model with letters."""
    import transformers as tf

    folder = tmp_path_factory.mktemp("recogniser")
    words = {word: number for number, word in enumerate(["<pad>", "<s>", "</s>", "<unk>", "|", *"abcdefghij"])}
    (folder / "vocab.json").write_text(json.dumps(words), encoding="utf-8")
    tf.Wav2Vec2CTCTokenizer(str(folder / "vocab.json")).save_pretrained(folder)
    tf.Wav2Vec2FeatureExtractor().save_pretrained(folder)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    conv = {"conv_dim": [8] * 7, "num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2}
    torch.manual_seed(0)
    tf.HubertForCTC(tf.HubertConfig(vocab_size=len(words), **sizes, **conv)).save_pretrained(folder)
    return folder


@pytest.fixture
def with_recogniser(tiny_recogniser):
    """Call to pack a recogniser into an unpacked archive."""

    def add(changed) -> None:
        shutil.copytree(tiny_recogniser, changed.folder / "asr")
        for path in (changed.folder / "asr").iterdir():
            changed.replace(f"asr/{path.name}", path.read_bytes())
        asr = {"name": "hf", "model": "tiny", "settings": {"batch_size": 2}, "packed": True}
        changed.describe(lambda description: description["pipeline"]["text"].update(asr=asr))

    return add
