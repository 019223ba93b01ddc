"""Archives: what goes in, that the model in it is the same, and what is refused."""

import fnmatch
import json
import pickle
import shutil
import stat
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import save_file

from m4ser import EmotionRecognizer
from m4ser.bin import info
from m4ser.bin import pack as pack_command
from m4ser.bin import unpack as unpack_command
from m4ser.hub.archive import _check_labels, sha256_of, unpack
from m4ser.hub.opening import find_model, open_model
from m4ser.hub.pack import pack
from m4ser.utils.errors import UserError
from m4ser.utils.files import write_json


@pytest.fixture(scope="module")
def archive(toy_run, tmp_path_factory):
    path = tmp_path_factory.mktemp("archive") / "toy.m4ser.zip"
    pack(find_model(toy_run), path)
    return path


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    path = tmp_path_factory.mktemp("sound") / "a.wav"
    soundfile.write(path, np.random.default_rng(0).standard_normal(12000) * 0.1, 16000)
    return path


def test_packed_model_is_the_same_without_the_files_it_was_made_from(toy_run, archive, sound, tmp_path, monkeypatch):
    expected = EmotionRecognizer.from_pretrained(toy_run, device="cpu")(sound, text="i am sad")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("m4ser.pretrained.resolve", lambda *words: pytest.fail("looks for a pretrained model"))
    monkeypatch.setattr(
        "m4ser.models.encoders.backbones.resolve", lambda *words: pytest.fail("looks for a pretrained model")
    )
    for model in (archive, unpack(archive, tmp_path / "unpacked").folder):
        found = EmotionRecognizer.from_pretrained(model, device="cpu")(sound, text="i am sad")
        assert found.label == expected.label
        assert found.probabilities == pytest.approx(expected.probabilities, abs=1e-6)


def test_archive_holds_no_traces_of_the_machine_and_no_objectives(toy_run, archive, tmp_path):
    unpack(archive, tmp_path / "m")
    for name in ("m4ser.json", "config.yaml", "README.md"):
        content = (tmp_path / "m" / name).read_text().replace(str(archive), "").replace("made_by", "")
        assert str(toy_run.parents[1]) not in content
    description = json.loads((tmp_path / "m/m4ser.json").read_text())
    assert description["labels"] == ["happy", "sad", "angry"]
    assert set(description["files"]) == {
        *("config.yaml", "model.safetensors", "speech_encoder.safetensors"),
        *(f"tokenizer/{path.name}" for path in (toy_run / "fold1/seed1/tokenizer").iterdir()),
    }
    card = (tmp_path / "m/README.md").read_text()
    assert card.startswith("---\nlibrary_name: m4ser\n")
    assert "Labels: happy, sad, angry." in card
    assert "before it was tested" in card


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


def test_baselines_are_refused_before_anything_is_written(toy_run, tmp_path):
    other = shutil.copytree(toy_run, tmp_path / "exp")
    config = other / "fold1/seed1/config.yaml"
    config.write_text(config.read_text().replace("task: ser\n", "task: linear\n"))
    with pytest.raises(UserError, match="not of the baseline linear"):
        pack(find_model(other), tmp_path / "x.zip")
    assert not (tmp_path / "x.zip").exists()


def test_named_encoders_are_not_packed(toy_run, tmp_path):
    made = pack(find_model(toy_run), tmp_path / "small.zip", include="none")
    assert "speech_encoder.safetensors" not in made["files"]
    assert made["pipeline"]["speech"]["encoder"] == "whisper"


def test_recogniser_goes_in_and_comes_out(toy_run, tmp_path, monkeypatch):
    plan = json.loads((toy_run / "run.json").read_text())
    folder = tmp_path / "asr model"
    folder.mkdir()
    for name, content in {"model.bin": b"\6\0\0\0", "config.json": b"{}", "notes.py": b"print()"}.items():
        (folder / name).write_bytes(content)
    plan["pipeline"]["text"]["asr"] = {"name": "faster_whisper", "model": str(folder), "settings": {"beam_size": 2}}
    shutil.copytree(toy_run, tmp_path / "exp/toy")
    write_json(tmp_path / "exp/toy/run.json", plan)
    made = pack(find_model(tmp_path / "exp/toy"), tmp_path / "a.zip")
    assert [name for name in made["files"] if name.startswith("asr/")] == ["asr/config.json", "asr/model.bin"]
    with open_model(tmp_path / "a.zip") as stored:
        found = stored.recogniser()
        assert Path(found["model"], "model.bin").read_bytes() == b"\6\0\0\0"
        assert (found["name"], found["settings"]) == ("faster_whisper", {"beam_size": 2})
    plan["pipeline"]["text"]["asr"]["name"] = "espnet"  # its models are pickles
    write_json(tmp_path / "exp/toy/run.json", plan)
    made = pack(find_model(tmp_path / "exp/toy"), tmp_path / "b.zip", include="all")
    assert not any(name.startswith("asr/") for name in made["files"])
    with open_model(tmp_path / "b.zip") as stored, pytest.raises(UserError, match="files can run code"):
        stored.recogniser()


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


def test_commands(toy_run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    pack_command.main([str(toy_run), "--out", "toy.m4ser.zip"])
    unpack_command.main(["toy.m4ser.zip"])
    assert (tmp_path / "toy/m4ser.json").is_file()
    capsys.readouterr()
    for model in ("toy.m4ser.zip", "toy", str(toy_run)):
        info.main([model])
        shown = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
        assert shown["labels"] == "happy, sad, angry"
    info.main(["toy", "--json"])
    assert json.loads(capsys.readouterr().out)["pipeline"]["speech"]["pool"] == 4


def test_hub(archive, tmp_path, monkeypatch, sound):
    """Upload and download through huggingface_hub's functions, replaced by a folder."""
    import huggingface_hub

    from m4ser.hub import remote as hub

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
    assert hub.upload(archive, "org/name") == "https://hub/org/name"
    (tmp_path / "org/name/.gitattributes").write_text("x")  # the hub adds it
    (tmp_path / "org/name/README.md").write_text("edited there")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda name, allow_patterns: str(tmp_path / name))
    monkeypatch.chdir(tmp_path / "org")
    assert EmotionRecognizer.from_pretrained("org/name", device="cpu")(sound, text="i am").label
    (tmp_path / "org/name/model.safetensors").write_bytes(b"\x80\x04")
    with pytest.raises(UserError, match=r"model\.safetensors is not what m4ser\.json lists"):
        EmotionRecognizer.from_pretrained("org/name")


def test_hub_without_network(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UserError, match="nobody/nothing: neither a folder or archive here nor to be had from the hub"):
        EmotionRecognizer.from_pretrained("nobody/nothing")
