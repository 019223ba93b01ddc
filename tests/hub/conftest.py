import json
import pickle
import shutil
import zipfile
from pathlib import Path
from types import SimpleNamespace

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


VALUES = [
    *(None, True, False, 0, 1, -1, 2, 3, 7, 1000, 1 << 20, 1 << 31, 1 << 63, 10**30, 0.5, -1.5, 1e300),
    *(float("nan"), float("inf"), "", "x", "bert", "whisper", "org/name", "../x", "\x1b[2J", "a\nb", [], {}, [0]),
    *([[]], [1, "a", None], {"x": 1}, {"": {}}, ["[CLS]"] * 5, "9" * 5000),
]
SIZES = ("num_hidden_layers", "hidden_size", "vocab_size", "encoder_layers", "d_model", "max_position_embeddings")


def places(value, path=()):
    """Where values stand, as paths of keys."""
    if isinstance(value, dict | list) and value:
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in pairs:
            yield (*path, key)
            yield from places(item, (*path, key))


def changed_value(value, random):
    """One value is replaced, removed, renamed, repeated or nested."""
    paths = list(places(value))
    if not paths or random.random() < 0.03:
        return random.choice(VALUES)
    sizes = [place for place in paths if place[-1] in SIZES]
    path = random.choice(sizes if sizes and random.random() < 0.3 else paths)
    parent = value
    for key in path[:-1]:
        parent = parent[key]
    key, how = path[-1], random.randrange(10)
    if how == 0:
        del parent[key]
    elif how == 1 and isinstance(parent, dict):
        parent[str(key) + "x"] = parent.pop(key)
    elif how == 2 and isinstance(parent[key], list):
        parent[key] = parent[key] * random.choice([2, 100])
    elif how == 3:
        parent[key] = [parent[key]]
    elif how == 4 and isinstance(parent[key], int | float) and not isinstance(parent[key], bool):
        parent[key] = parent[key] * random.choice([-1, 0, 2, 1000, 10**6, 0.5])
    else:
        parent[key] = random.choice(VALUES)
    return value


def damaged(content, random):
    """Bytes that are flipped, cut, repeated or exchanged."""
    how, place = random.randrange(4), random.randrange(max(1, len(content)))
    if how == 0:
        return content[:place]
    if how == 1:
        return content[:place] + content[place : place + 64] * random.choice([2, 500]) + content[place:]
    if how == 2:
        return content[:place] + bytes(random.randrange(256) for _ in range(8)) + content[place + 8 :]
    flipped = bytes(byte ^ (1 << random.randrange(8)) for byte in content[place : place + 1])
    return content[:place] + flipped + content[place + 1 :]


@pytest.fixture(scope="package")
def fuzz():
    """`changed_value` and `damaged`: what becomes of JSON and of bytes, by a random generator."""
    return SimpleNamespace(changed_value=changed_value, damaged=damaged)


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
def tampered(request, tmp_path_factory):
    """Call with what to do to an unpacked archive: the archive that it then is. ``of`` is the fixture that makes it."""
    base = tmp_path_factory.mktemp("tampered")

    def make(change, of: str = "archive") -> Path:
        folder = base / "again"
        shutil.rmtree(folder, ignore_errors=True)
        unpacked = unpack(request.getfixturevalue(of), folder / "honest").folder
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


@pytest.fixture(scope="package")
def graph_archive(tmp_path_factory):
    """An archive with a whole graph, made by hand: the mean over time of 80 features, and one matrix."""
    import onnx

    folder = tmp_path_factory.mktemp("graph")
    make, value = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    matrix = np.random.default_rng(0).standard_normal((80, 3)).astype(np.float32)
    nodes = [
        make("ReduceMean", ["log_mel", "time"], ["mean"], keepdims=0),
        make("Cast", ["log_mel_lengths"], ["frames"], to=onnx.TensorProto.FLOAT),
        make("Unsqueeze", ["frames", "last"], ["column"]),
        make("MatMul", ["mean", "matrix"], ["scores"]),
        make("Mul", ["column", "small"], ["little"]),
        make("Add", ["scores", "little"], ["logits"]),
    ]
    arrays = {"time": np.array([2]), "last": np.array([-1]), "matrix": matrix, "small": np.array(1e-4, np.float32)}
    graph = onnx.helper.make_graph(
        nodes,
        "model",
        [value("log_mel", 1, ["batch", 80, "frames"]), value("log_mel_lengths", 7, ["batch"])],
        [value("logits", 1, ["batch", 3])],
        [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)], ir_version=10)
    onnx.helper.set_model_props(model, {"m4ser_labels": '["happy", "sad", "angry"]'})
    onnx.save(model, folder / "model.onnx")
    (folder / "LICENSE").write_text("Free for everything.")
    features = {"feature_size": 80, "n_fft": 400, "hop_length": 160, "sampling_rate": 16000}
    speech = {"encoder": "tiny", "layers": [0], "pool": 1}
    description = {
        "format": 1,
        "m4ser": "0.2.0",
        "labels": ["happy", "sad", "angry"],
        "parameters": 240,
        "pipeline": {"speech": {**speech, "architecture": {"hf_config": {}, "hf_features": features}}, "text": None},
        "training": {"tag": "tiny", "fold": "1", "seed": 1},
        "metrics": {},
        "graph": {"speech": "log_mel", "text": None, "int8": False, "longest": 30.0, "temperature": 2.0},
        "files": {
            name: {"size": (folder / name).stat().st_size, "sha256": sha256_of(folder / name)}
            for name in ("LICENSE", "model.onnx")
        },
    }
    (folder / "m4ser.json").write_text(json.dumps(description))
    path = folder / "tiny.m4ser.zip"
    with zipfile.ZipFile(path, "w") as file:
        for name in ("m4ser.json", "model.onnx", "LICENSE"):
            file.write(folder / name, name)
    return path
