"""An archive with a whole graph predicts what PyTorch predicts, and loads neither PyTorch nor transformers for it."""

import json
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import torch

from m4ser import EmotionRecognizer
from m4ser.asr.backends import Hypothesis
from m4ser.hub.archive import unpack
from m4ser.hub.opening import find_model
from m4ser.hub.pack import pack
from m4ser.models.arrays import softmax
from m4ser.models.onnx_graph import export
from m4ser.utils.errors import UserError

TEXT = "I am SO happy, today!"
TRAINING = {"espnet", "espnet2", "kaldiio", "sklearn", "matplotlib", "librosa", "m4ser.training"}


@pytest.fixture(scope="module")
def archive(toy_run, tmp_path_factory):
    """The toy model with words, as a graph; its logits are divided by 2."""
    path = tmp_path_factory.mktemp("graph") / "toy.m4ser.zip"
    pack(find_model(toy_run), path, weights="onnx", temperature=2.0)
    return path


@pytest.fixture(scope="module")
def graph(archive):
    return EmotionRecognizer.from_pretrained(archive, batch_size=3)


def loaded(code, *words):
    """Modules that a fresh process has loaded when it has run `code`."""
    code += "; import json; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", f"import sys; {code}", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


PREDICT = "from m4ser.bin import predict as p; p.main(['--json', '--model', sys.argv[1], '--text', *sys.argv[2:]])"


@pytest.mark.slow
def test_what_is_loaded_to_predict(archive, toy_run, wavs, tmp_path):
    (tmp_path / "text").write_text(f"s0-a {TEXT}\n")
    words = [str(tmp_path / "text"), str(wavs / "s0-a.wav")]
    light = loaded(PREDICT, str(archive), *words)
    assert {"onnxruntime", "tokenizers", "m4ser.inference.backends.onnx"} <= light
    assert not light & {"torch", "transformers", "scipy", "onnx", "safetensors", "jsonschema_rs", *TRAINING}
    usual = loaded(PREDICT, str(toy_run), *words)
    assert {"torch", "transformers"} <= usual and not usual & TRAINING


@pytest.mark.slow
def test_confidences_reach_a_model_that_weighs_words(toy_run_x, wavs, tmp_path, monkeypatch):
    """By PyTorch, a graph without the encoder, and a whole one: the same, and other than without confidences."""
    pack(find_model(toy_run_x), tmp_path / "x.m4ser.zip", weights="onnx")
    export(toy_run_x / "fold1/seed1", tmp_path / "x.onnx")
    found = []
    for model, options in ((toy_run_x, {}), (toy_run_x, {"onnx": tmp_path / "x.onnx"}), (tmp_path / "x.m4ser.zip", {})):
        recognizer = EmotionRecognizer.from_pretrained(model, **options)
        for words in ((0.1, 0.9, 0.9, 0.2, 0.9), (0.9, 0.1, 0.1, 0.9, 0.1), None):
            heard = [Hypothesis("I am SO happy, today!", 0.5, words=words)]
            monkeypatch.setattr(recognizer.frontend, "transcribe", lambda batch, heard=heard: heard)
            found.append(list(recognizer(wavs / "s0-a.wav").probabilities.values()))
    first, *others = np.array(found).reshape(3, 3, 3)
    for other in others:
        np.testing.assert_allclose(other, first, atol=1e-5)
    assert (
        min(np.abs(first[0] - first[1]).max(), np.abs(first[0] - first[2]).max()) > 1e-4
    )  # the experts' answers are averaged


@pytest.mark.slow
def test_same_probabilities_as_pytorch(toy_run, graph, wavs):
    usual = EmotionRecognizer.from_pretrained(toy_run, device="cpu", batch_size=3)
    texts = {f"s{k}-a": "i am so happy " * k for k in range(4)}
    for light, heavy in zip(graph(wavs, text=texts), usual(wavs, text=texts), strict=True):
        logits = np.log(list(heavy.probabilities.values()))
        expected = softmax(logits[None], 2.0)[0]
        assert list(light.probabilities.values()) == pytest.approx(expected, abs=1e-5)
        assert (light.name, light.label, light.text) == (heavy.name, heavy.label, heavy.text)
    assert graph.temperature == 2.0 and usual.temperature == 1.0


@pytest.mark.slow
def test_long_recordings_are_cut_where_the_graph_ends(archive, tone, tmp_path, monkeypatch):
    """Without splitting, too: into equal pieces, whose probabilities are averaged."""
    soundfile.write(tmp_path / "long.wav", tone(61.0), 16000)
    graph = EmotionRecognizer.from_pretrained(archive, split=0)
    assert graph.piece == 30.0
    with pytest.raises(UserError, match="its text is given; give none: this model takes 30 s at once"):
        graph(tmp_path / "long.wav", text=TEXT)
    monkeypatch.setattr(
        graph.frontend, "transcribe", lambda batch: [Hypothesis(f"{len(s)} samples", 0.5) for s in batch]
    )
    result = graph(tmp_path / "long.wav")
    third = 61.0 / 3
    times = [(part.start, part.end) for part in result.segments]
    assert times == [pytest.approx((k * third, (k + 1) * third), abs=1e-3) for k in range(3)]
    mean = np.mean([list(part.probabilities.values()) for part in result.segments], axis=0)
    assert list(result.probabilities.values()) == pytest.approx(mean, abs=1e-5)


@pytest.mark.slow
def test_a_graph_runs_on_the_cpu(archive):
    with pytest.raises(UserError, match="--device cuda: this model is an ONNX graph, which runs on the CPU"):
        EmotionRecognizer.from_pretrained(archive, device="cuda")


@pytest.mark.slow
@pytest.mark.parametrize(("key", "value"), [("longest", 0.01), ("longest", 1e9), ("temperature", 0.0)])
def test_a_graph_that_cannot_be_used(archive, tmp_path, key, value):
    """Such as one that would cut a recording into single samples."""
    folder = unpack(archive, tmp_path / "model").folder
    description = json.loads((folder / "m4ser.json").read_text())
    description["graph"][key] = value
    (folder / "m4ser.json").write_text(json.dumps(description))
    with pytest.raises(UserError, match=rf"graph\.{key}: cannot be {value}"):
        EmotionRecognizer.from_pretrained(folder)


def test_a_package_that_is_missing_is_named_with_its_extra(toy_run, monkeypatch):
    monkeypatch.delitem(sys.modules, "m4ser.inference.backends.torch", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(UserError, match=r"exp/toy: needs the Python package torch; run: pip install 'm4ser\[torch\]'"):
        EmotionRecognizer.from_pretrained(toy_run)


def test_softmax_divides_by_the_temperature():
    logits = np.float32([[0.0, np.log(3.0)]])
    assert softmax(logits)[0].tolist() == pytest.approx([0.25, 0.75])
    assert softmax(logits, 2.0)[0, 1] == pytest.approx(3**0.5 / (1 + 3**0.5))
    torch.testing.assert_close(
        torch.from_numpy(softmax([[1, 2, 300], [-5, 0, 5]])),
        torch.softmax(torch.tensor([[1.0, 2, 300], [-5, 0, 5]], dtype=torch.float64), -1),
    )


def test_words_of_a_model_that_reads_the_voice_alone(loudness_recognizer, wavs):
    """They are shown if somebody asks for them, as they are given or recognised."""
    voice = loudness_recognizer
    voice.frontend.uses_text = False
    voice.words = False
    assert voice(wavs / "s0-a.wav").text is None
    voice.words = True
    assert voice(wavs / "s0-a.wav").text == "well <b>hello</b>"
    assert voice(wavs / "s0-a.wav", text=TEXT).text == TEXT


@pytest.mark.slow
def test_numbers_do_not_depend_on_the_batch(toy_run, wavs, tmp_path):
    """To the last bit, also with 8-bit weights, with which onnxruntime computes differently by the size of a batch."""
    path = tmp_path / "toy8.m4ser.zip"
    pack(find_model(toy_run), path, weights="onnx-int8")
    texts = {f"s{k}-a": "i am so happy " * (4 - k) for k in range(4)}
    together = EmotionRecognizer.from_pretrained(path, batch_size=4)(wavs, text=texts)
    alone = EmotionRecognizer.from_pretrained(path, batch_size=1)(wavs, text=texts)
    assert [result.probabilities for result in together] == [result.probabilities for result in alone]
