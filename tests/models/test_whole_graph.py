"""A whole graph computes what stages 1 to 3 and the model do, for any batch and lengths."""

import json
import shutil
from argparse import Namespace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import yaml

from m4ser import EmotionRecognizer
from m4ser.bin import export_onnx
from m4ser.data.audio import load_16k
from m4ser.data.log_mel import LogMel
from m4ser.hub.opening import find_model
from m4ser.hub.pack import pack
from m4ser.models import onnx_graph
from m4ser.models.build import build_model
from m4ser.models.checkpoint import load_run
from m4ser.models.encoders.fbank import ConformerEncoder
from m4ser.models.encoders.frozen import FrozenEncoder, frozen_features
from m4ser.models.encoders.opensmile import OpenSmileFunctionals
from m4ser.models.onnx_graph import export_whole
from m4ser.models.onnx_int8 import quantise_weights
from m4ser.models.onnx_session import open_session
from m4ser.models.whole_graph import WholeGraph
from m4ser.utils.errors import UserError

pytestmark = pytest.mark.slow
MINI = Path(__file__).resolve().parents[2] / "egs/mini/corpus"


@pytest.fixture(scope="module")
def stored(toy_run):
    return find_model(toy_run)


@pytest.fixture(scope="module")
def exported(stored, tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "model.onnx"
    graph = export_whole(stored.folder, path, stored.speech_encoder(), stored.pipeline["speech"], temperature=1.5)
    assert graph.exported.difference < 1e-4
    return path, graph


def clips(sizes):
    random = np.random.default_rng(0)
    return [(random.standard_normal(size) * 0.1).astype(np.float32) for size in sizes]


def expected_logits(stored, samples, pieces):
    """As training has computed them, one recording after the other."""
    model, _ = load_run(stored.folder)
    encoder, speech = stored.speech_encoder(), stored.pipeline["speech"]
    rows = []
    for clip, ids in zip(samples, pieces, strict=True):
        features = torch.from_numpy(frozen_features(encoder, clip, speech["layers"], speech["pool"]))[None]
        batch = {"speech": features, "speech_lengths": torch.tensor([features.shape[1]])}
        batch |= {"text": torch.tensor([ids]), "text_lengths": torch.tensor([len(ids)])}
        with torch.no_grad():
            rows.append(model.logits(model.represent(**batch)).numpy())
    return np.concatenate(rows)


def batch_of(stored, samples, pieces, padding=0.0):
    log_mel = LogMel(stored.speech_encoder().backbone.hf_features)
    mels = [log_mel(clip) for clip in samples]
    longest, most = max(mel.shape[1] for mel in mels), max(map(len, pieces))
    arrays = {
        "log_mel": np.full((len(mels), mels[0].shape[0], longest), padding, np.float32),
        "log_mel_lengths": np.array([mel.shape[1] for mel in mels]),
        "text": np.zeros((len(mels), most), np.int64),
        "text_lengths": np.array([len(ids) for ids in pieces]),
    }
    for row, (mel, ids) in enumerate(zip(mels, pieces, strict=True)):
        arrays["log_mel"][row, :, : mel.shape[1]] = mel
        arrays["text"][row, : len(ids)] = ids
    return arrays


SIZES = [1, 320, 321, 5120, 5121, 12345, 40_000, 480_000]  # samples; four frames of 320 are averaged
PIECES = [[1, 2], [3, 4, 5], [1] * 40, [2, 3], [4, 4, 4], [5] * 7, [6, 2], [7, 8, 9]]


@pytest.mark.parametrize("rows", [[0], [1], [3], [4], [7], [0, 6, 5], list(range(8))])
def test_any_batch_and_lengths(stored, exported, rows):
    samples, pieces = [clips(SIZES)[row] for row in rows], [PIECES[row] for row in rows]
    (found,) = open_session(exported[0]).run(None, batch_of(stored, samples, pieces))
    assert np.abs(found - expected_logits(stored, samples, pieces)).max() < 1e-4


def test_padding_never_counts(stored, exported):
    samples, pieces = clips([3000, 20_000]), [[1, 2], [3, 4, 5, 6]]
    session = open_session(exported[0])
    (zeros,) = session.run(None, batch_of(stored, samples, pieces))
    batch = batch_of(stored, samples, pieces)
    batch["log_mel"] = np.pad(batch["log_mel"], ((0, 0), (0, 0), (0, 50)))
    batch["text"] = np.pad(batch["text"], ((0, 0), (0, 9)))
    (longer,) = session.run(None, batch)
    assert np.abs(longer - zeros).max() < 1e-5


def test_what_the_file_says_of_itself(exported):
    path, made = exported
    notes = {entry.key: json.loads(entry.value) for entry in onnx.load(path).metadata_props}
    assert notes["m4ser_labels"] == ["happy", "sad", "angry"]
    assert notes["m4ser_graph"] == made.description
    assert made.description == {
        "speech": "log_mel",
        "text": "pieces",
        "int8": False,
        "longest": 30.0,
        "temperature": 1.5,
        "pieces": {"dummy_tokens": False, "max_pieces": 128},
    }
    assert made.speech["layers"] == [0, 1, 2] and made.speech["pool"] == 4
    assert made.speech["architecture"]["hf_features"]["feature_size"] == 80


def test_command_and_eight_bits(stored, tmp_path, capsys):
    export_onnx.main([str(stored.folder), "--out", str(tmp_path / "whole.onnx"), "--whole", "--int8"])
    assert "inputs log_mel, log_mel_lengths, text, text_lengths" in capsys.readouterr().out
    graph = onnx.load(tmp_path / "whole.onnx")
    assert "DequantizeLinear" in {node.op_type for node in graph.graph.node}
    assert {node.domain for node in graph.graph.node} == {""}
    samples, pieces = clips([9000, 30_000]), [[1, 2], [3, 4, 5, 6]]
    (found,) = open_session(tmp_path / "whole.onnx").run(None, batch_of(stored, samples, pieces))
    assert 0 < np.abs(found - expected_logits(stored, samples, pieces)).max() < 0.1


def voice_run(folder, name, conf):
    """A run of an untrained model that reads the voice alone."""
    from m4ser.training.task import SERTask

    torch.manual_seed(0)
    args = SERTask.get_parser().parse_args(["--output_dir", str(folder)])
    args.labels, args.fusion = ["happy", "sad", "angry"], "speech"
    args.speech_encoder, args.speech_encoder_conf = name, conf
    folder.mkdir(parents=True)
    torch.save(build_model(args).state_dict(), folder / "model.pth")
    (folder / "config.yaml").write_text(yaml.safe_dump({**vars(args), "version": "1"}), encoding="utf-8")
    return folder


def test_real_clips_with_the_real_encoder(tmp_path):
    """Whisper tiny.en on recordings of the demonstration's corpus, and its size and loss in 8 bits."""
    from m4ser.models.encoders.frozen import load_frozen

    conf = {"num_layers": 5, "input_size": 384, "output_size": 256, "frame_rate": 6.25}
    run = voice_run(tmp_path / "fold1/seed1", "precomputed", conf)
    encoder, speech = load_frozen("offline:whisper-tiny.en"), {"encoder": "x", "layers": [0, 1, 2, 3, 4], "pool": 8}
    model, _ = load_run(run)
    log_mel = LogMel(encoder.backbone.hf_features)
    samples = [load_16k(path) for path in sorted(MINI.glob("*/*.opus"))[::12]]
    assert len(samples) >= 12
    made = export_whole(run, tmp_path / "float.onnx", encoder, speech)
    assert made.exported.size < 40e6
    rounded = onnx.load(tmp_path / "float.onnx")
    del rounded.graph.value_info[:]
    quantise_weights(rounded)
    onnx.save(rounded, tmp_path / "int8.onnx")
    assert (tmp_path / "int8.onnx").stat().st_size < 11e6
    for name, tolerance in (("float", 1e-4), ("int8", 0.05)):
        session = open_session(tmp_path / f"{name}.onnx")
        for clip in samples:
            features = torch.from_numpy(frozen_features(encoder, clip, speech["layers"], speech["pool"]))[None]
            with torch.no_grad():
                reps = model.represent(speech=features, speech_lengths=torch.tensor([features.shape[1]]))
                expected = model.logits(reps).numpy()
            mel = log_mel(clip)
            (found,) = session.run(None, {"log_mel": mel[None], "log_mel_lengths": np.array([mel.shape[1]])})
            assert np.abs(found - expected).max() < tolerance


def test_an_encoder_that_was_trained_itself(tiny_whisper, tmp_path):
    conf = {"model": str(tiny_whisper), "hidden_layers": [1, 2], "pool": 3, "output_size": 8, "trained_layers": 1}
    run = voice_run(tmp_path / "fold1/seed1", "huggingface", conf)
    made = export_whole(run, tmp_path / "model.onnx", None, {})
    assert made.exported.inputs == ["log_mel", "log_mel_lengths"]
    assert made.exported.difference < 1e-4
    assert (made.speech["encoder"], made.speech["layers"], made.speech["pool"]) == (str(tiny_whisper), [1, 2], 3)
    assert made.description["text"] is None and "pieces" not in made.description


def test_a_model_that_reads_words_alone(toy_run, tiny_bert, tmp_path):
    from m4ser.training.task import SERTask

    args = SERTask.get_parser().parse_args(["--output_dir", str(tmp_path / "exp/words/fold1/seed1")])
    args.labels, args.fusion = ["happy", "sad", "angry"], "text"
    args.text_encoder_conf = {"model": str(tiny_bert), "trained_layers": 0}
    run = tmp_path / "exp/words/fold1/seed1"
    torch.save(build_model(args).state_dict(), run / "model.pth")
    (run / "config.yaml").write_text(yaml.safe_dump({**vars(args), "version": "1"}), encoding="utf-8")
    plan = json.loads((toy_run / "run.json").read_text())
    plan["pipeline"]["speech"] = None
    (run.parents[1] / "run.json").write_text(json.dumps({**plan, "fusion": "text"}))
    made = pack(find_model(run), tmp_path / "words.m4ser.zip", weights="onnx")
    assert made["graph"]["speech"] is None and made["pipeline"]["speech"] is None
    clip, said = clips([16_000])[0], "i am so very happy today"
    expected = EmotionRecognizer.from_pretrained(run, device="cpu")(clip, 16_000, text=said)
    found = EmotionRecognizer.from_pretrained(tmp_path / "words.m4ser.zip")(clip, 16_000, text=said)
    assert found.probabilities == pytest.approx(expected.probabilities, abs=1e-5)


def test_a_model_that_weighs_words(toy_run, tiny_bert, tmp_path):
    """Its archive is opened, and the recogniser's confidence is one more input of its graph."""
    from m4ser.training.task import SERTask

    run = tmp_path / "exp/x/fold1/seed1"
    torch.manual_seed(0)
    args = SERTask.get_parser().parse_args(["--output_dir", str(run)])
    args.labels, args.fusion, args.fusion_conf = ["happy", "sad", "angry"], "m4ser_x", {"heads": 2, "size": 16}
    args.speech_encoder_conf = {"num_layers": 3, "input_size": 16, "output_size": 16, "frame_rate": 12.5}
    args.text_encoder_conf = {"model": str(tiny_bert), "trained_layers": 0}
    torch.save(build_model(args).state_dict(), run / "model.pth")
    (run / "config.yaml").write_text(yaml.safe_dump({**vars(args), "version": "1"}), encoding="utf-8")
    shutil.copy(toy_run / "run.json", run.parents[1])
    pack(find_model(run), tmp_path / "x.m4ser.zip", weights="onnx")
    clip, said = clips([16_000])[0], "i am so very happy today"
    expected = EmotionRecognizer.from_pretrained(run, device="cpu")(clip, 16_000, text=said)
    found = EmotionRecognizer.from_pretrained(tmp_path / "x.m4ser.zip")(clip, 16_000, text=said)
    assert found.probabilities == pytest.approx(expected.probabilities, abs=1e-5)


@pytest.mark.parametrize("trained", [False, True])
def test_encoders_of_waveforms_are_refused(tiny_speech, tmp_path, trained):
    from m4ser.models.encoders.frozen import load_frozen

    folder = str(tiny_speech("hubert"))
    if trained:
        run, encoder, speech = voice_run(tmp_path / "r", "huggingface", {"model": folder, "output_size": 8}), None, {}
    else:
        conf = {"num_layers": 4, "input_size": 16, "output_size": 8, "frame_rate": 50.0}
        run, encoder = voice_run(tmp_path / "r", "precomputed", conf), load_frozen(folder)
        speech = {"encoder": folder, "layers": [0, 1, 2, 3], "pool": 1}
    with pytest.raises(UserError, match="hubert: there is no whole graph with this kind of speech encoder"):
        export_whole(run, tmp_path / "model.onnx", encoder, speech)
    assert not (tmp_path / "model.onnx").exists()


def test_features_that_no_graph_makes_are_refused():
    smile = OpenSmileFunctionals.__new__(OpenSmileFunctionals)
    with pytest.raises(UserError, match="opensmile:x: there is no whole graph with this speech encoder"):
        WholeGraph(Namespace(speech_encoder=torch.nn.Identity()), smile, {"encoder": "opensmile:x"})
    encoder = ConformerEncoder.__new__(ConformerEncoder)
    with pytest.raises(UserError, match="ConformerEncoder: there is no whole graph with this speech encoder"):
        WholeGraph(Namespace(speech_encoder=encoder), None, {})


def test_a_graph_that_computes_something_else_is_not_written(stored, exported, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_graph, "_export", lambda graph, values, path, notes: shutil.copy(exported[0], path))
    made = export_whole(stored.folder, tmp_path / "m.onnx", stored.speech_encoder(), stored.pipeline["speech"])
    assert made.exported.difference < 1e-4
    honest = FrozenEncoder.layers
    monkeypatch.setattr(FrozenEncoder, "layers", lambda self, samples: honest(self, samples)[:, ::-1].copy())
    with pytest.raises(UserError, match="the exported graph differs from the model by"):
        export_whole(stored.folder, tmp_path / "n.onnx", stored.speech_encoder(), stored.pipeline["speech"])
    assert not (tmp_path / "n.onnx").exists()
