"""Archives that are intact, and hold what does not fit: one line that names the file and what is wrong with it."""

import json

import numpy as np
import pytest
import yaml
from safetensors.torch import load_file, save_file

from m4ser import EmotionRecognizer
from m4ser.utils.errors import UserError

LEVELS = [f"[{', '.join([f'*a{i}'] * 9)}]" for i in range(9)]
ALIASES = "\n".join(["a0: &a0 [1]", *(f"a{i}: &a{i} {level}" for i, level in enumerate(LEVELS, 1))])
MERGES = "\n".join(["a0: &a0 {k: 1}", *(f"a{i}: &a{i} {{<<: {level}}}" for i, level in enumerate(LEVELS, 1))])


def weights(file, name, value):
    """One number of a tensor is another."""

    def change(changed):
        path = changed.folder / file
        tensors = load_file(path)
        tensors[name].view(-1)[0] = value
        save_file(tensors, path)
        changed.describe(lambda description: None)

    return change


def described(keys, value):
    """A value of the description."""

    def change(changed):
        def put(description):
            *path, last = keys.split(".")
            for key in path:
                description = description[key]
            description[last] = value

        changed.describe(put)

    return change


def listed(files):
    """What the description says of the other files."""

    def change(changed):
        path = changed.folder / "m4ser.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "files": files}))

    return change


def configured(keys, value):
    """A value of the configuration."""

    def change(changed):
        config = place = yaml.safe_load((changed.folder / "config.yaml").read_text())
        *path, last = keys.split(".")
        for key in path:
            place = place[key]
        place[last] = value
        changed.replace("config.yaml", yaml.safe_dump(config).encode())

    return change


def more(text):
    """Lines behind the configuration."""
    return lambda changed: changed.replace(
        "config.yaml", (changed.folder / "config.yaml").read_bytes() + f"\n{text}\n".encode()
    )


def written(name, value):
    """Another content of a JSON file."""
    return lambda changed: changed.replace(name, json.dumps(value).encode())


HF = "text_encoder_conf.hf_config"
MALFORMED = {
    "no numbers": (weights("model.safetensors", "classifier.bias", np.nan), "classifier.bias is not finite"),
    "infinite": (weights("speech_encoder.safetensors", "model.layer_norm.bias", np.inf), "bias is not finite"),
    "layers": (described("pipeline.speech.layers", "all"), r"m4ser\.json.*pipeline\.speech\.layers: .*valid list"),
    "layer": (described("pipeline.speech.layers", [0, 9]), "names layer 9 of an encoder with 3"),
    "pool": (described("pipeline.speech.pool", None), r"pipeline\.speech\.pool: .*valid integer"),
    "no speech": (described("pipeline.speech", 5), r"pipeline\.speech: .*valid dict"),
    "no layers": (described("pipeline.speech", {"encoder": "x"}), r"pipeline\.speech\.layers: is missing"),
    "normaliser": (described("pipeline.text.normaliser", "German"), "--normaliser German: unknown"),
    "recogniser": (described("pipeline.text.asr", ["hf"]), r"pipeline\.text\.asr: .*valid dict"),
    "labels": (described("labels", [1, 2, 3]), r"labels\.0: .*valid string"),
    "one label twice": (described("labels", ["a", "a", "b"]), "labels: have to be different words"),
    "escape sequences": (described("training.protocol", "x\x1b[2J"), "holds control characters"),
    "files": (listed([1]), r"files: .*valid dict"),
    "metrics": (described("metrics", {"pooled": {"wa": 1}}), r"not a description of a model \(pooled\.wa"),
    "architecture": (described("pipeline.speech.architecture", {"hf_config": {}}), "hf_features: .*required"),
    "no type": (described("pipeline.speech.architecture.hf_config", {}), "model type 'None' is no speech encoder"),
    "size": (described("pipeline.speech.architecture.hf_config.d_model", "16"), "no configuration of whisper"),
    "features": (described("pipeline.speech.architecture.hf_features.n_fft", 10**9), "n_fft: must be a whole number"),
    "feature": (described("pipeline.speech.architecture.hf_features.feature_size", None), "feature_size: must be"),
    "much larger": (described("pipeline.speech.architecture.hf_config.encoder_layers", 10**7), "much larger model"),
    "fusion": (configured("fusion", "m4sr"), "fusion: there is no 'm4sr'; known are speech"),
    "fusions": (configured("fusion", ["m4ser"]), r"config\.yaml: does not describe a model"),
    "no fusion": (configured("fusion", None), r"config\.yaml: fusion: there is no None"),
    "list for options": (configured("fusion_conf", [1]), r"config\.yaml: "),
    "number for options": (configured("text_encoder_conf", 3), r"config\.yaml: "),
    "no options": (configured("speech_encoder_conf", None), r"config\.yaml: "),
    "text for size": (configured("fusion_conf.size", "wide"), r"config\.yaml: "),
    "text encoder": (configured(HF, [1]), r"config\.yaml: "),
    "type": (configured(f"{HF}.model_type", "mamba"), "model type 'mamba' is no text encoder"),
    "heads": (configured(f"{HF}.num_attention_heads", 7), "hf_config: is no configuration of bert"),
    "layers without end": (configured(f"{HF}.num_hidden_layers", 10**7), "much larger model than its weights"),
    "words without end": (configured(f"{HF}.vocab_size", 10**12), "vocab_size: is no size of a model"),
    "many words": (configured(f"{HF}.vocab_size", 10**7), "much larger model than its weights"),
    "other size": (configured(f"{HF}.intermediate_size", 72), "the weights do not fit config.yaml"),
    "aliases": (more(ALIASES), r"config\.yaml: line \d+: more than 200000 values"),
    "merges": (more(MERGES), r"config\.yaml: line \d+: more than 200000 values"),
    "itself": (more("x: &x [*x]"), r"config\.yaml: line \d+: refers to itself"),
    "deep": (more("x: " + "[" * 3000), r"config\.yaml: line \d+: more than 32 mappings and lists"),
    "keys": (more("5: 1"), "config.yaml: is not a configuration"),
    "task": (configured("task", "translation"), "unknown task 'translation'"),
    "tokenizer": (written("tokenizer/tokenizer.json", []), "has no usable tokenizer"),
    "no model": (written("tokenizer/tokenizer.json", {"model": None}), "has no usable tokenizer"),
    "tokenizer's options": (written("tokenizer/tokenizer_config.json", [1]), "has no usable tokenizer"),
    "recogniser's options": (written("asr/config.json", [1]), r"asr: model type 'None' is no recogniser"),
    "recogniser's layers": (
        written("asr/config.json", {"model_type": "hubert", "num_hidden_layers": "x"}),
        "asr: cannot be used as a recogniser",
    ),
    "recogniser's words": (written("asr/vocab.json", [1]), "asr: "),
    "recogniser's features": (written("asr/preprocessor_config.json", []), "asr: cannot be used as a recogniser"),
    "recogniser's settings": (
        described("pipeline.text.asr.settings", {"batch_size": "2"}),
        "--asr-conf batch_size: must be like 1, not '2'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", MALFORMED)
def test_what_does_not_fit_is_named_in_one_line(tampered, with_recogniser, kind):
    change, reason = MALFORMED[kind]
    forged = tampered(lambda changed: (with_recogniser(changed), change(changed)))
    with pytest.raises(UserError, match=reason) as error:
        EmotionRecognizer.from_pretrained(forged, device="cpu")
    assert "\n" not in str(error.value)


def test_a_model_that_gives_no_numbers(archive, sound, monkeypatch):
    """Weights that are numbers can still give none: too large ones, for example."""
    recognizer = EmotionRecognizer.from_pretrained(archive, asr="none", device="cpu")
    forward = recognizer.forward
    recognizer.forward = lambda batch: forward(batch) * float("nan")
    with pytest.raises(UserError, match=r"the model cannot predict it .*no probabilities of its labels"):
        recognizer(sound, text="so happy")
