"""A small whole graph that ends in one linear layer, and recordings that its vectors tell apart."""

import csv
import json
import zipfile

import numpy as np
import pytest
import soundfile

from m4ser.hub.archive import sha256_of

LABELS = ["happy", "sad", "angry"]
TONES = {"angry": 300, "bored": 900, "happy": 1800, "sad": 3600}  # Hz


def linear_graph(weight, bias, int8=False):
    """ONNX model: mean over time of 80 features -> one linear layer."""
    import onnx

    from m4ser.models.onnx_int8 import quantise_weights

    make, value = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    nodes = [
        make("ReduceMean", ["log_mel", "time"], ["mean"], keepdims=0),
        make("Cast", ["log_mel_lengths"], ["frames"], to=onnx.TensorProto.FLOAT),
        make("Unsqueeze", ["frames", "last"], ["column"]),
        make("Mul", ["column", "small"], ["little"]),
        make("Add", ["mean", "little"], ["vector"]),
        make("Gemm", ["vector", "weight", "bias"], ["logits"], transB=1),
    ]
    arrays = {"time": np.array([2]), "last": np.array([-1]), "small": np.array(1e-9, np.float32)}
    arrays |= {"weight": weight.astype(np.float32), "bias": bias.astype(np.float32)}
    graph = onnx.helper.make_graph(
        nodes,
        "model",
        [value("log_mel", 1, ["batch", 80, "frames"]), value("log_mel_lengths", 7, ["batch"])],
        [value("logits", 1, ["batch", len(bias)])],
        [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)], ir_version=10)
    if int8:
        quantise_weights(model)
    onnx.helper.set_model_props(model, {"m4ser_labels": json.dumps(LABELS), "m4ser_graph": "{}", "other": "stays"})
    return model


@pytest.fixture(scope="session")
def graph_of():
    return linear_graph


@pytest.fixture(scope="session")
def linear_archive(tmp_path_factory):
    """An archive with such a graph, with a licence, corpora and scores."""
    folder = tmp_path_factory.mktemp("linear")
    random = np.random.default_rng(0)
    graph = linear_graph(random.standard_normal((3, 80)), random.standard_normal(3))
    (folder / "model.onnx").write_bytes(graph.SerializeToString())
    (folder / "LICENSE").write_text("Free for everything.")
    (folder / "metrics.json").write_text("{}")
    hf_features = {"feature_size": 80, "n_fft": 400, "hop_length": 160, "sampling_rate": 16000}
    speech = {"encoder": "tiny", "layers": [0], "pool": 1}
    corpus = {"name": "EmoDB", "licence": "cc-by-4.0", "languages": ["de"], "address": "https://example.org"}
    description = {
        "format": 1,
        "m4ser": "0.2.0",
        "labels": LABELS,
        "parameters": 243,
        "pipeline": {"speech": {**speech, "architecture": {"hf_config": {}, "hf_features": hf_features}}, "text": None},
        "training": {"tag": "tiny", "fold": "1", "seed": 1, "protocol": "p", "fusion": "speech", "corpora": [corpus]},
        "metrics": {"this_model": {"wa": 0.5, "ua": 0.5, "utterances": 8}},
        "graph": {"speech": "log_mel", "text": None, "int8": False, "longest": 30.0, "temperature": 2.0},
        "files": {
            name: {"size": (folder / name).stat().st_size, "sha256": sha256_of(folder / name)}
            for name in ("LICENSE", "model.onnx", "metrics.json")
        },
    }
    (folder / "m4ser.json").write_text(json.dumps(description))
    path = folder / "tiny.m4ser.zip"
    with zipfile.ZipFile(path, "w") as file:
        for name in ("m4ser.json", "model.onnx", "LICENSE", "metrics.json"):
            file.write(folder / name, name)
    return path


@pytest.fixture(scope="session")
def tones(tmp_path_factory):
    """Folder with six recordings of each label in TONES, by two speakers: `angry0.wav`, ...; odd ones are of `b`."""
    folder = tmp_path_factory.mktemp("tones")
    random = np.random.default_rng(0)
    for label, frequency in TONES.items():
        for number in range(6):
            time = np.arange(6400) / 16000
            tone = np.sin(2 * np.pi * frequency * (1 + 0.02 * random.standard_normal()) * time)
            soundfile.write(folder / f"{label}{number}.wav", 0.2 * tone + 0.002 * random.standard_normal(6400), 16000)
    return folder


@pytest.fixture
def write_table(tmp_path):
    """Write a table of rows; the first has the columns."""

    def write(*rows, name="mine.csv"):
        path = tmp_path / name
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows)
        return path

    return write


@pytest.fixture
def tone_table(write_table, tones):
    """A table of the recordings of some labels: the numbers in `learn` are learned from, those in `test` tested."""

    def write(labels, learn=range(4), test=()):
        rows = [
            (tones / f"{label}{number}.wav", label, "ab"[number % 2], part)
            for part, numbers in (("train", learn), ("test", test))
            for label in labels
            for number in numbers
        ]
        return write_table(("file", "emotion", "speaker", "split"), *rows)

    return write
