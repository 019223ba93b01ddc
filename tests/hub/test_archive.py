"""What is refused of an archive before anything in it is used."""

import stat
import zipfile

import pytest
import torch
from safetensors.torch import save_file

from m4ser.hub.archive import _check_labels, unpack
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


TAMPERED = {
    "path escape": (lambda c, h: c.add("../harm-was-done"), r"refused: '\.\./harm-was-done' leads out of the folder"),
    "inner path escape": (lambda c, h: c.add("tokenizer/../../x.json"), "leads out of the folder"),
    "absolute path": (lambda c, h: c.add("/tmp/harm-was-done"), "leads out of the folder"),
    "backslashes": (lambda c, h: c.add("tokenizer\\..\\x.json"), "leads out of the folder|does not belong"),
    "link": (lambda c, h: c.add("metrics.json", b"/etc/passwd", stat.S_IFLNK | 0o777), "is a link or special file"),
    "device": (lambda c, h: c.add("metrics.json", b"", stat.S_IFCHR | 0o666), "is a link or special file"),
    "code": (lambda c, h: c.add("tokenizer/tokenization.py"), "does not belong in a model"),
    "pickle beside": (lambda c, h: c.add("model.pth", h.torch()), "never pickles"),
    "pickle for weights": (
        lambda c, h: c.replace("model.safetensors", h.pickle()),
        "model.safetensors is not a safetensors file but a pickle",
    ),
    "torch pickle for weights": (
        lambda c, h: c.replace("speech_encoder.safetensors", h.torch()),
        "speech_encoder.safetensors is not a safetensors file but a pickle",
    ),
    "noise for weights": (lambda c, h: c.replace("model.safetensors", b"\xff" * 100), "is not a safetensors file"),
    "pickle for the recogniser": (
        lambda c, h: ((c.folder / "asr").mkdir(), c.replace("asr/model.bin", h.torch())),
        "asr/model.bin is a pickle",
    ),
    "code by name": (
        lambda c, h: c.replace("tokenizer/tokenizer_config.json", b'{"auto_map": {"AutoTokenizer": "x--y.Z"}}'),
        r"asks for code \(auto_map\)",
    ),
    "Python in YAML": (
        lambda c, h: c.config("fusion: m4ser", "fusion: !!python/object/apply:os.system [ls]"),
        r"refused: config\.yaml: .* is of the type python/object",
    ),
    "folder in YAML": (lambda c, h: c.config("tokenizer: null", "tokenizer: /etc"), "names a tokenizer of its own"),
    "not listed": (lambda c, h: (c.folder / "tokenizer/more.json").write_text("{}"), "more.json is not listed"),
    "missing weights": (lambda c, h: (c.folder / "model.safetensors").unlink(), "model.safetensors is missing"),
    "missing and not listed": (
        lambda c, h: (
            (c.folder / "config.yaml").unlink(),
            c.describe(lambda description: description["files"].pop("config.yaml")),
        ),
        "config.yaml is missing",
    ),
    "missing encoder": (
        lambda c, h: (
            (c.folder / "speech_encoder.safetensors").unlink(),
            c.describe(lambda description: description["files"].pop("speech_encoder.safetensors")),
        ),
        "a part that m4ser.json names is missing",
    ),
    "missing description": (lambda c, h: (c.folder / "m4ser.json").unlink(), "has no m4ser.json"),
    "damaged": (
        lambda c, h: (c.folder / "tokenizer/tokenizer.json").write_text("{}"),
        r"tokenizer/tokenizer\.json is not what m4ser\.json lists",
    ),
    "label count": (
        lambda c, h: (
            c.config("- angry\n", ""),
            c.describe(lambda description: description["labels"].remove("angry")),
        ),
        "2 labels but 3 outputs of the classifier",
    ),
    "other labels": (lambda c, h: c.describe(lambda description: description["labels"].reverse()), "has the labels"),
    "other format": (lambda c, h: c.describe(lambda description: description.update(format=99)), "has format 99"),
    "no description": (lambda c, h: (c.folder / "m4ser.json").write_text("[1]"), "is not a description of a model"),
    "compressed": (lambda c, h: setattr(c, "compression", zipfile.ZIP_DEFLATED), "is compressed"),
    "too many files": (lambda c, h: [c.add(f"tokenizer/{k}.json") for k in range(101)], "files, more than 100"),
    "twice": (lambda c, h: c.add("config.yaml"), "'config.yaml' is there twice"),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("kind", TAMPERED)
def test_tampered_archive_is_refused(tampered, harm, tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    change, reason = TAMPERED[kind]
    forged = tampered(lambda changed: change(changed, harm))
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UserError, match=reason) as error:
        unpack(forged, tmp_path / "out")
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
