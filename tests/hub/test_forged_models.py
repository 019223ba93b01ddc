"""No model runs code: what names code is refused in one line, whatever it is in, and nothing is asked."""

import builtins
import json
import os
import pty
import select
import shutil
import subprocess
import sys
import time

import pytest
import yaml

from m4ser import EmotionRecognizer
from m4ser.utils.errors import UserError

AUTO_MAP = {"AutoConfig": "evil.Config", "AutoModel": "evil.Model", "AutoModelForCTC": "evil.Model"}
TOKENIZER = {"AutoTokenizer": ["evil.Tokenizer", "evil.Tokenizer"]}
KERNEL = "kernels-community/flash-attn3"
BERT = {"model_type": "bert", "auto_map": AUTO_MAP}


def packed_json(name, *keys, **new):
    """A change to a JSON file of an archive: `new` is put where the keys lead to."""

    def change(changed, harm):
        path = changed.folder / name
        value = json.loads(path.read_text()) if path.is_file() else {}
        place = value
        for key in keys:
            place = place.setdefault(key, {}) if isinstance(place, dict) else place[key]
        place.update(new)
        path.parent.mkdir(exist_ok=True)
        changed.replace(name, json.dumps(value).encode())

    return change


def described(*keys, **new):
    """The same for the description."""

    def change(changed, harm):
        def put(description):
            place = description
            for key in keys:
                place = place[key]
            place.update(new)

        changed.describe(put)

    return change


def configured(option, remove=(), **new):
    """The same for what the configuration says of one part."""

    def change(changed, harm):
        config = yaml.safe_load((changed.folder / "config.yaml").read_text())
        for key, value in new.items():
            config[option][key] = {**config[option].get(key, {}), **value} if isinstance(value, dict) else value
        for key in remove:
            del config[option][key]
        changed.replace("config.yaml", yaml.safe_dump(config).encode())

    return change


ARCHITECTURE = ("pipeline", "speech", "architecture", "hf_config")
ARCHIVES = {
    "tokenizer": (packed_json("tokenizer/tokenizer_config.json", auto_map=TOKENIZER), r"code \(auto_map\)"),
    "deep in the tokenizer": (packed_json("tokenizer/tokenizer.json", "model", "x", "y", auto_map="e"), "auto_map"),
    "in a list": (packed_json("tokenizer/tokenizer.json", more=[[{"a": [BERT]}]]), "auto_map"),
    "speech encoder": (described(*ARCHITECTURE, auto_map=AUTO_MAP), r"m4ser\.json: refused: asks for code \(auto_map"),
    "speech kernel": (described(*ARCHITECTURE, attn_implementation=KERNEL), f"attn_implementation: {KERNEL}"),
    "text encoder": (configured("text_encoder_conf", hf_config={"auto_map": AUTO_MAP}), r"config\.yaml.*auto_map"),
    "text kernel": (
        configured("text_encoder_conf", hf_config={"_attn_implementation_internal": KERNEL}),
        "attn_implementation",
    ),
    "encoder-decoder": (
        configured("text_encoder_conf", hf_config={"model_type": "encoder-decoder", "encoder": BERT, "decoder": BERT}),
        r"asks for code \((auto_map|model_type: encoder-decoder)\)",
    ),
    "vision-encoder-decoder": (
        configured("text_encoder_conf", hf_config={"model_type": "vision-encoder-decoder"}),
        r"asks for code \(model_type: vision-encoder-decoder\)",
    ),
    "called by name": (configured("fusion_conf", more={"_target_": "os.system"}), r"asks for code \(_target_\)"),
    "recogniser": (packed_json("asr/config.json", custom_pipelines={"x": {}}), "custom_pipelines"),
    "trusted": (packed_json("asr/tokenizer_config.json", "x", trust_remote_code=True), "trust_remote_code"),
    "search on a hub": (packed_json("asr/generation_config.json", penalty_alpha=0.6), "penalty_alpha"),
    "generation on a hub": (packed_json("asr/generation_config.json", custom_generate="org/name"), "custom_generate"),
}


@pytest.fixture
def nothing_runs(tmp_path, monkeypatch):
    """Works in a folder where harm would be seen, and answers every question with yes."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.syspath_prepend(str(work))
    questions = []
    monkeypatch.setattr(builtins, "input", lambda text="": questions.append(text) or "y")
    yield
    assert not questions and not (work / "harm-was-done").exists()


@pytest.mark.parametrize("kind", ARCHIVES)
def test_an_archive_that_names_code(tampered, harm, nothing_runs, kind):
    change, reason = ARCHIVES[kind]
    with pytest.raises(UserError, match=reason) as error:
        EmotionRecognizer.from_pretrained(tampered(lambda changed: change(changed, harm)), asr="none", device="cpu")
    assert "\n" not in str(error.value) and "refused" in str(error.value)


def foreign(folder, harm, whisper, **files):
    """`org/evil` in a folder of pretrained models: a good Whisper with Python beside it, and with these changes."""
    evil = folder / "org" / "evil"
    shutil.copytree(whisper, evil)
    (evil / "evil.py").write_text(harm.python())
    for name, new in files.items():
        path = evil / f"{name}.json"
        value = json.loads(path.read_text()) if path.is_file() else {}
        path.write_text(json.dumps({**value, **new}))
    return evil


FOREIGN = {
    "unknown type": ({"config": {"model_type": "evil", "auto_map": AUTO_MAP}}, r"code \(auto_map\)"),
    "known type": ({"config": {"model_type": "hubert", "auto_map": AUTO_MAP}}, r"code \(auto_map\)"),
    "another repository": ({"config": {"auto_map": {"AutoModel": "org/other--evil.Model"}}}, r"code \(auto_map\)"),
    "deep": ({"config": {"a": [{"b": {"auto_map": AUTO_MAP}}]}}, r"code \(auto_map\)"),
    "features": ({"preprocessor_config": {"auto_map": {"AutoFeatureExtractor": "evil.X"}}}, r"code \(auto_map\)"),
    "kernel": ({"config": {"attn_implementation": KERNEL}}, KERNEL),
    "kernels by part": ({"config": {"attn_implementation": {"encoder": KERNEL}}}, KERNEL),
    "quantised by a kernel": ({"config": {"quantization_config": {"quant_method": "mxfp4"}}}, "quantization_config"),
    "composed": ({"config": {"model_type": "speech-encoder-decoder"}}, "speech-encoder-decoder"),
    "a type that is not on the list": ({"config": {"model_type": "rwkv"}}, "model type 'rwkv' is no"),
    "an adapter": ({"adapter_config": {"base_model_name_or_path": "org/other"}}, "names another model"),
    "shards elsewhere": ({"model.safetensors.index": {"weight_map": {"a": "../../x.bin"}}}, "outside the folder"),
    "tokenizer": ({"tokenizer_config": {"auto_map": TOKENIZER}}, r"code \(auto_map\)"),
}


@pytest.mark.parametrize("use", ["speech encoder", "recogniser"])
@pytest.mark.parametrize("kind", FOREIGN)
def test_a_model_that_names_a_repository_with_code(tampered, harm, tiny_whisper, tmp_path, nothing_runs, kind, use):
    files, reason = FOREIGN[kind]
    foreign(tmp_path / "pretrained", harm, tiny_whisper, **files)
    with pytest.raises(UserError, match=reason) as error:
        EmotionRecognizer.from_pretrained(
            tampered(lambda changed: NAMED[use](changed)), pretrained_dir=tmp_path / "pretrained", device="cpu"
        )
    assert "\n" not in str(error.value) and "org/evil" in str(error.value)


def _names_encoder(changed):
    (changed.folder / "speech_encoder.safetensors").unlink()

    def change(description):
        del description["files"]["speech_encoder.safetensors"]
        description["pipeline"]["speech"].pop("architecture")
        description["pipeline"]["speech"]["encoder"] = "org/evil"

    changed.describe(change)


def _names_recogniser(changed):
    asr = {"name": "hf", "model": "org/evil", "settings": {}}
    changed.describe(lambda description: description["pipeline"]["text"].update(asr=asr))


NAMED = {"speech encoder": _names_encoder, "recogniser": _names_recogniser}


def test_a_text_encoder_by_name(tampered, harm, tiny_bert, tmp_path, nothing_runs, monkeypatch):
    foreign(tmp_path / "pretrained", harm, tiny_bert, config={"auto_map": AUTO_MAP})
    monkeypatch.setenv("M4SER_PRETRAINED_DIR", str(tmp_path / "pretrained"))
    change = configured("text_encoder_conf", remove=["hf_config"], model="org/evil")
    with pytest.raises(UserError, match=r"config\.json: refused: asks for code \(auto_map\)"):
        EmotionRecognizer.from_pretrained(tampered(lambda changed: change(changed, harm)), asr="none")


@pytest.mark.parametrize("use", ["speech encoder", "recogniser"])
def test_pickled_weights_of_a_repository(tampered, harm, tiny_whisper, tmp_path, nothing_runs, use):
    evil = foreign(tmp_path / "pretrained", harm, tiny_whisper)
    (evil / "model.safetensors").unlink()
    (evil / "pytorch_model.bin").write_bytes(harm.torch())
    with pytest.raises(UserError, match="org/evil"):
        EmotionRecognizer.from_pretrained(tampered(NAMED[use]), pretrained_dir=tmp_path / "pretrained", device="cpu")


@pytest.mark.parametrize("beside", [True, False])
def test_a_pickle_as_the_weights_of_a_run(toy_run, harm, tmp_path, nothing_runs, beside):
    """Beside good weights it is not read, without them it is refused."""
    from safetensors.torch import save_file

    from m4ser.models.checkpoint import read_weights

    run = shutil.copytree(toy_run, tmp_path / "exp") / "fold1/seed1"
    if beside:
        save_file({n: value.contiguous() for n, value in read_weights(run).items()}, run / "model.safetensors")
    (run / "model.pth").write_bytes(harm.torch())
    if beside:
        EmotionRecognizer.from_pretrained(run, asr="none", device="cpu")
    else:
        with pytest.raises(UserError, match=r"model\.pth: refused: holds more than weights .*Unsupported global"):
            EmotionRecognizer.from_pretrained(run, asr="none", device="cpu")


@pytest.mark.slow
def test_nothing_is_asked_at_a_terminal(tampered, harm, tiny_whisper, tmp_path):
    """The command in a terminal where somebody types yes to whatever is asked."""
    foreign(tmp_path / "pretrained", harm, tiny_whisper, config={"model_type": "evil", "auto_map": AUTO_MAP})
    (tmp_path / "work").mkdir()
    command = [sys.executable, "-m", "m4ser.bin.m4ser", "predict", "--model", str(tampered(_names_encoder))]
    command += ["--pretrained-dir", str(tmp_path / "pretrained"), "--asr", "none", "a.wav"]
    outside, inside = pty.openpty()
    streams = {"stdin": inside, "stdout": inside, "stderr": inside}
    process = subprocess.Popen(command, cwd=tmp_path / "work", close_fds=True, **streams)
    os.close(inside)
    said, end = b"", time.monotonic() + 120
    while time.monotonic() < end:
        if select.select([outside], [], [], 0.2)[0]:
            try:
                said += os.read(outside, 4096)
            except OSError:
                break
            if b"[y/N]" in said:
                os.write(outside, b"y\n")
        elif process.poll() is not None:
            break
    assert process.wait(10) == 1
    os.close(outside)
    lines = said.decode().strip().splitlines()
    assert b"[y/N]" not in said and lines[-1].startswith("error: ") and "asks for code (auto_map)" in lines[-1]
    assert not (tmp_path / "work" / "harm-was-done").exists()
