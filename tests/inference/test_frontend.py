"""What a pipeline says of stages 1 to 3, and that it does what they do."""

import json

import numpy as np
import pytest
import soundfile

from m4ser.data.audio import as_stage_1, load_16k, write_flac
from m4ser.inference.frontend import Frontend
from m4ser.training.pipeline import describe
from m4ser.utils.errors import UserError
from m4ser.utils.files import write_json


def test_audio_is_what_stage_1_writes(tmp_path):
    samples = (np.random.default_rng(0).standard_normal(1000) * 0.5).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", samples, 16000, subtype="FLOAT")
    write_flac(tmp_path / "a.flac", load_16k(tmp_path / "a.wav"))
    np.testing.assert_array_equal(as_stage_1(load_16k(tmp_path / "a.wav")), load_16k(tmp_path / "a.flac"))


def test_pipeline_is_read_from_what_the_stages_left(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_encoder").mkdir()
    write_json(tmp_path / "f/all/info.json", {"encoder": "my_encoder", "layers": [0, 1], "pool": 4, "dim": 8})
    write_json(tmp_path / "a/all/decode.json", {"asr": "hf", "model": "org/name", "settings": {"beam_size": 2}})
    write_json(tmp_path / "t/all/stats.json", {"source": "asr", "normaliser": "basic"})
    assert describe(True, "asr", "f", "t", "a", ["all"]) == {
        "speech": {"encoder": str(tmp_path / "my_encoder"), "layers": [0, 1], "pool": 4},
        "text": {
            "source": "asr",
            "normaliser": "basic",
            "asr": {"name": "hf", "model": "org/name", "settings": {"beam_size": 2}},
        },
    }
    assert describe(True, "none", "", "", "", ["all"]) == {"speech": {}, "text": None}
    text = describe(False, "ref", "f", "t", "", ["all"])["text"]
    assert text == {"source": "ref", "normaliser": "basic", "asr": None}


def test_words_are_normalised_as_for_training():
    frontend = Frontend({"speech": {}, "text": {"source": "ref", "normaliser": "english", "asr": None}})
    assert json.loads(frontend.edits("I don't KNOW!"))["words"] == ["i", "do", "not", "know"]
    with pytest.raises(UserError, match="reference transcripts: give the text"):
        frontend.transcribe([np.zeros(16000)])
    samples = np.ones(10, np.float32)
    assert frontend.speech(samples) is samples
