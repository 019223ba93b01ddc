"""Archives that hold a whole graph: what is refused of them, and that the others predict with onnxruntime alone."""

import json
import os
import resource
import subprocess
import sys
import time

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from m4ser import EmotionRecognizer
from m4ser.bin import export_onnx, info
from m4ser.data.audio import load_16k
from m4ser.data.log_mel import LogMel
from m4ser.hub.archive import unpack
from m4ser.hub.graph_file import read_graph_file
from m4ser.inference.results import Failure
from m4ser.utils.errors import UserError

EXAMPLES = int(os.environ.get("M4SER_FUZZ", "40"))
SECONDS, MEGABYTES = 10, 500
WHISPER = {"feature_size": 80, "n_fft": 400, "hop_length": 160, "sampling_rate": 16000}


def test_it_predicts_with_the_temperature(graph_archive, sound):
    recognizer = EmotionRecognizer.from_pretrained(graph_archive)
    mel = LogMel(WHISPER)(load_16k(sound))
    matrix = np.random.default_rng(0).standard_normal((80, 3)).astype(np.float32)
    powers = np.exp((mel.mean(1) @ matrix + 1e-4 * mel.shape[1]) / 2.0)
    assert list(recognizer(sound).probabilities.values()) == pytest.approx(powers / powers.sum(), abs=1e-5)


def test_a_temperature_that_is_not_said_is_one(tampered, sound, graph_archive):
    plain = tampered(lambda c: c.describe(lambda d: d["graph"].pop("temperature")), of="graph_archive")
    one = EmotionRecognizer.from_pretrained(plain)(sound).probabilities
    two = EmotionRecognizer.from_pretrained(graph_archive)(sound).probabilities
    rows = np.array([list(one.values()), list(two.values())])
    assert rows[1] == pytest.approx(np.sqrt(rows[0]) / np.sqrt(rows[0]).sum(), abs=1e-6)


def graph(change):
    """The graph is another one, and listed properly."""

    def changed(c):
        model = onnx.load(c.folder / "model.onnx")
        change(model)
        c.replace("model.onnx", model.SerializeToString())

    return changed


def described(change):
    return lambda c: c.describe(change)


def add_node(model, **fields):
    model.graph.node.append(onnx.helper.make_node("Identity", ["log_mel"], ["copy"], **fields))


def external(model):
    tensor = next(each for each in model.graph.initializer if each.name == "matrix")
    onnx.external_data_helper.set_external_data(tensor, "/etc/passwd")
    tensor.ClearField("raw_data")


def marked_external(model):
    model.graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL


def external_constant(model):
    tensor = onnx.numpy_helper.from_array(np.zeros(3, np.float32))
    add_node(model, value=tensor)
    onnx.external_data_helper.set_external_data(model.graph.node[-1].attribute[0].t, "../secret")


def loop(model):
    body = onnx.helper.make_graph([], "body", [], [])
    model.graph.node.append(onnx.helper.make_node("Loop", ["", ""], ["copy"], body=body))


def loops(model):
    add_node(model, body=[onnx.helper.make_graph([], "body", [], [])])


def function(model):
    model.functions.append(onnx.helper.make_function("mine", "F", [], [], [], []))


def sparse(model):
    model.graph.sparse_initializer.append(onnx.SparseTensorProto())


def sparse_constant(model):
    add_node(model, sparse_value=onnx.SparseTensorProto(dims=[1]))


REFUSED = {
    "weights elsewhere": (graph(external), "has weights in another file"),
    "weights elsewhere, without a place": (graph(marked_external), "has weights in another file"),
    "constant elsewhere": (graph(external_constant), "has weights in another file"),
    "operator of another library": (
        graph(lambda model: add_node(model, domain="com.evil\x1b")),
        r"has an operator of another library \('com\.evil\\x1b'\)",
    ),
    "operator of onnxruntime": (graph(lambda model: add_node(model, domain="com.microsoft")), "of another library"),
    "loop": (graph(loop), "has loops or branches"),
    "loops": (graph(loops), "has loops or branches"),
    "function": (graph(function), "has functions or training steps"),
    "training": (graph(lambda model: model.training_info.append(onnx.TrainingInfoProto())), "functions or training"),
    "sparse weights": (graph(sparse), "has sparse weights"),
    "sparse constant": (graph(sparse_constant), "has sparse weights"),
    "other labels": (
        graph(lambda model: onnx.helper.set_model_props(model, {"m4ser_labels": '["a"]'})),
        r"has the labels \['happy', 'sad', 'angry'\], model\.onnx \['a'\]",
    ),
    "no labels": (graph(lambda model: model.ClearField("metadata_props")), "model.onnx None"),
    "labels that are no JSON": (
        graph(lambda model: onnx.helper.set_model_props(model, {"m4ser_labels": "[" * 10_000})),
        "refused: model.onnx",
    ),
    "other inputs": (
        graph(lambda model: setattr(model.graph.input[0], "name", "mel")),
        r"has other inputs and outputs than m4ser\.json says \(mel, log_mel_lengths, logits\)",
    ),
    "more outputs": (graph(lambda model: model.graph.output.add(name="more")), "has other inputs and outputs"),
    "no operators": (graph(lambda model: model.graph.ClearField("node")), "is not an ONNX graph"),
    "noise": (lambda c: c.replace("model.onnx", b"\xff" * 1000), "is not an ONNX graph"),
    "nothing": (lambda c: c.replace("model.onnx", b""), "is empty"),
    "pickle": (lambda c: c.replace("model.onnx", b"\x80\x04\x95."), "is not an ONNX graph"),
    "missing": (lambda c: (c.folder / "model.onnx").unlink(), "model.onnx is missing"),
    "not listed": (described(lambda d: d["files"].pop("model.onnx")), "model.onnx is missing"),
    "weights beside": (lambda c: c.replace("model.safetensors", b""), "not a safetensors file"),
    "configuration beside": (
        lambda c: c.replace("config.yaml", b"labels: []"),
        "config.yaml does not belong beside a graph",
    ),
    "text without pieces": (
        described(lambda d: (d["graph"].update(text="pieces"), d["pipeline"].update(text=TEXT))),
        r"graph\.pieces: cannot be",
    ),
    "text without a tokenizer": (
        described(
            lambda d: (
                d["graph"].update(text="pieces", pieces={"dummy_tokens": False, "max_pieces": 9}),
                d["pipeline"].update(text=TEXT),
            )
        ),
        "has other inputs and outputs",
    ),
    "text that the pipeline does not have": (
        described(lambda d: d["graph"].update(text="pieces")),
        "graph: has other inputs than the pipeline",
    ),
    "no inputs": (
        described(lambda d: (d["graph"].update(speech=None), d["pipeline"].update(speech=None))),
        "graph: has no inputs",
    ),
    "unknown input": (described(lambda d: d["graph"].update(speech="video")), r"graph\.speech"),
    "no features": (
        described(lambda d: d["pipeline"]["speech"].pop("architecture")),
        r"pipeline\.speech\.architecture: is missing",
    ),
    "features that cannot be": (
        described(lambda d: d["pipeline"]["speech"]["architecture"]["hf_features"].update(n_fft=1 << 40)),
        "hf_features: n_fft: must be a whole number from 1 to",
    ),
    **{
        f"{name} {value}": (described(lambda d, n=name, v=value: d["graph"].update({n: v})), rf"graph\.{name}: cannot")
        for name in ("temperature", "longest")
        for value in (0.0, -1.0, float("inf"), float("nan"))
    },
}
TEXT = {"source": "asr", "normaliser": "english", "asr": None}


@pytest.mark.parametrize("kind", REFUSED)
def test_refused(tampered, tmp_path, kind):
    change, reason = REFUSED[kind]
    forged = tampered(change, of="graph_archive")
    with pytest.raises(UserError, match=reason) as error:
        unpack(forged, tmp_path / "out")
    assert "\n" not in str(error.value) and "\x1b" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_graph_beside_weights_is_checked_alike(tampered, tmp_path):
    model = onnx.helper.make_model(onnx.helper.make_graph([], "g", [], []))
    add_node(model, domain="com.evil")
    forged = tampered(lambda c: c.replace("model.onnx", model.SerializeToString()))
    with pytest.raises(UserError, match="has an operator of another library"):
        unpack(forged, tmp_path / "out")


def test_a_licence_may_be_added_on_a_hub(tampered, tmp_path):
    changed = tampered(lambda c: c.describe(lambda d: d["files"].pop("LICENSE")), of="graph_archive")
    assert unpack(changed, tmp_path / "out").labels == ["happy", "sad", "angry"]


def test_other_graphs_are_neither_used_nor_made(graph_archive, tmp_path, capsys):
    with pytest.raises(UserError, match=r"--onnx x\.onnx: the model is a whole graph itself"):
        EmotionRecognizer.from_pretrained(graph_archive, onnx="x.onnx")
    for options in ([], ["--whole"]):
        with pytest.raises(SystemExit, match="the model is a whole graph already"):
            export_onnx.main([str(graph_archive), "--out", str(tmp_path / "x.onnx"), *options])
    info.main([str(graph_archive)])
    assert "ONNX graph        of the whole model, temperature 2\n" in capsys.readouterr().out


@given(content=st.binary(max_size=200))
@settings(suppress_health_check=list(HealthCheck))
def test_any_bytes_are_read_or_refused(tmp_path, content):
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(ValueError, match=r"ONNX|empty|functions|sparse|weights|library|loops|utf-8|JSON|Expecting"):
        read_graph_file(tmp_path / "model.onnx")


@pytest.mark.slow
@settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
@given(random=st.randoms(use_true_random=False))
def test_an_archive_with_anything_in_it(tampered, sound, fuzz, random):
    """Description and graph are changed at random: numbers or one line, soon, with little memory."""

    def change(changed):
        path = changed.folder / "m4ser.json"
        if random.random() < 0.5:
            content = fuzz.damaged((changed.folder / "model.onnx").read_bytes(), random)
            changed.replace("model.onnx", content)
        if random.random() < 0.7:
            path.write_text(json.dumps(fuzz.changed_value(json.loads(path.read_text()), random)))

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    try:
        recognizer = EmotionRecognizer.from_pretrained(tampered(change, of="graph_archive"))
        for result in recognizer.stream(sound):
            event(type(result).__name__)
            if isinstance(result, Failure):
                assert result.reason and "\n" not in result.reason
            else:
                assert 0.999 < sum(result.probabilities.values()) < 1.001
    except UserError as error:
        event("refused")
        assert str(error) and "\n" not in str(error)
    assert time.process_time() - start < SECONDS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEGABYTES * 1000


@pytest.mark.slow
def test_checking_an_archive_needs_neither_pytorch_nor_onnx(graph_archive, tmp_path):
    script = f"""
import sys
from m4ser.hub.archive import unpack
unpack({str(graph_archive)!r}, {str(tmp_path / "out")!r})
print(sorted({{"torch", "onnx", "transformers", "safetensors"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
