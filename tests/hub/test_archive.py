"""What is refused of an archive before anything in it is used."""

import json
import pickle
import stat
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from m4ser.hub.archive import _check_labels, sha256_of, unpack
from m4ser.utils.errors import UserError


def test_experts_of_late_fusion_are_classifiers(tmp_path):
    """Several classifiers, each with an output for every class."""
    labels = ["happy", "sad"]
    for outputs, message in ((2, None), (3, "2 labels but 3 outputs")):
        weights = {f"classifier.classifiers.{i}.bias": torch.zeros((2, outputs)[i]) for i in range(2)}
        save_file(weights, tmp_path / "model.safetensors")
        if message:
            with pytest.raises(UserError, match=message):
                _check_labels(tmp_path, tmp_path, labels, {"labels": labels})
        else:
            _check_labels(tmp_path, tmp_path, labels, {"labels": labels})
    save_file({"fusion.bias": torch.zeros(2)}, tmp_path / "model.safetensors")
    with pytest.raises(UserError, match="has no classifier"):
        _check_labels(tmp_path, tmp_path, labels, {"labels": labels})


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


class Harm:
    """Writes a file when it is unpickled."""

    def __reduce__(self):
        return Path.touch, (Path("harm-was-done"),)


def torch_pickle(tmp_path) -> bytes:
    torch.save({"classifier.bias": Harm()}, tmp_path / "harm.pth")
    return (tmp_path / "harm.pth").read_bytes()


TAMPERED = {
    "path escape": (lambda c, t: c.add("../harm-was-done"), r"refused: '\.\./harm-was-done' leads out of the folder"),
    "inner path escape": (lambda c, t: c.add("tokenizer/../../x.json"), "leads out of the folder"),
    "absolute path": (lambda c, t: c.add("/tmp/harm-was-done"), "leads out of the folder"),
    "backslashes": (lambda c, t: c.add("tokenizer\\..\\x.json"), "leads out of the folder|does not belong"),
    "link": (lambda c, t: c.add("metrics.json", b"/etc/passwd", stat.S_IFLNK | 0o777), "is a link or special file"),
    "device": (lambda c, t: c.add("metrics.json", b"", stat.S_IFCHR | 0o666), "is a link or special file"),
    "code": (lambda c, t: c.add("tokenizer/tokenization.py"), "does not belong in a model"),
    "pickle beside": (lambda c, t: c.add("model.pth", torch_pickle(t)), "never pickles"),
    "pickle for weights": (
        lambda c, t: c.replace("model.safetensors", pickle.dumps(Harm())),
        "model.safetensors is not a safetensors file but a pickle",
    ),
    "torch pickle for weights": (
        lambda c, t: c.replace("speech_encoder.safetensors", torch_pickle(t)),
        "speech_encoder.safetensors is not a safetensors file but a pickle",
    ),
    "noise for weights": (lambda c, t: c.replace("model.safetensors", b"\xff" * 100), "is not a safetensors file"),
    "pickle for the recogniser": (
        lambda c, t: ((c.folder / "asr").mkdir(), c.replace("asr/model.bin", torch_pickle(t))),
        "asr/model.bin is a pickle",
    ),
    "code by name": (
        lambda c, t: c.replace("tokenizer/tokenizer_config.json", b'{"auto_map": {"AutoTokenizer": "x--y.Z"}}'),
        r"asks for code \(auto_map\)",
    ),
    "Python in YAML": (
        lambda c, t: c.config("fusion: m4ser", "fusion: !!python/object/apply:os.system [ls]"),
        "config.yaml is not plain YAML",
    ),
    "folder in YAML": (lambda c, t: c.config("tokenizer: null", "tokenizer: /etc"), "names a tokenizer of its own"),
    "not listed": (lambda c, t: (c.folder / "tokenizer/more.json").write_text("{}"), "more.json is not listed"),
    "missing weights": (lambda c, t: (c.folder / "model.safetensors").unlink(), "model.safetensors is missing"),
    "missing and not listed": (
        lambda c, t: (
            (c.folder / "config.yaml").unlink(),
            c.describe(lambda description: description["files"].pop("config.yaml")),
        ),
        "config.yaml is missing",
    ),
    "missing encoder": (
        lambda c, t: (
            (c.folder / "speech_encoder.safetensors").unlink(),
            c.describe(lambda description: description["files"].pop("speech_encoder.safetensors")),
        ),
        "a part that m4ser.json names is missing",
    ),
    "missing description": (lambda c, t: (c.folder / "m4ser.json").unlink(), "has no m4ser.json"),
    "damaged": (
        lambda c, t: (c.folder / "tokenizer/tokenizer.json").write_text("{}"),
        r"tokenizer/tokenizer\.json is not what m4ser\.json lists",
    ),
    "label count": (
        lambda c, t: (
            c.config("- angry\n", ""),
            c.describe(lambda description: description["labels"].remove("angry")),
        ),
        "2 labels but 3 outputs of the classifier",
    ),
    "other labels": (lambda c, t: c.describe(lambda description: description["labels"].reverse()), "has the labels"),
    "other format": (lambda c, t: c.describe(lambda description: description.update(format=99)), "has format 99"),
    "no description": (lambda c, t: (c.folder / "m4ser.json").write_text("[1]"), "is not a description of a model"),
    "compressed": (lambda c, t: setattr(c, "compression", zipfile.ZIP_DEFLATED), "is compressed"),
    "too many files": (lambda c, t: [c.add(f"tokenizer/{k}.json") for k in range(101)], "files, more than 100"),
    "twice": (lambda c, t: c.add("config.yaml"), "'config.yaml' is there twice"),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("kind", TAMPERED)
def test_tampered_archive_is_refused(archive, tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    change, reason = TAMPERED[kind]
    folder = unpack(archive, tmp_path / "honest").folder
    changed = Change(folder)
    change(changed, tmp_path)
    with zipfile.ZipFile(tmp_path / "tampered.zip", "w", changed.compression) as file:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            file.write(path, path.relative_to(folder))
        for entry, content in changed.extra:
            file.writestr(entry, content)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UserError, match=reason) as error:
        unpack(tmp_path / "tampered.zip", tmp_path / "out")
    assert "\n" not in str(error.value)
    assert sorted(tmp_path.iterdir()) == before  # nothing was unpacked, no harm was done


def test_not_an_archive(archive, tmp_path):
    (tmp_path / "noise.zip").write_bytes(b"PK\x03\x04" + bytes(range(256)))
    (tmp_path / "cut.zip").write_bytes(archive.read_bytes()[:-100])
    changed = bytearray(archive.read_bytes())
    changed[len(changed) // 2] ^= 1
    (tmp_path / "flipped.zip").write_bytes(changed)
    for name in ("noise", "cut", "flipped"):
        with pytest.raises(UserError, match=r"not an intact archive|is not what"):
            unpack(tmp_path / f"{name}.zip", tmp_path / "out")
    with pytest.raises(UserError, match="is there already"):
        unpack(archive, tmp_path)
