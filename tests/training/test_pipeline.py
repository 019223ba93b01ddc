"""What a plan says of stages 1 to 3."""

from m4ser.training.pipeline import describe
from m4ser.utils.files import write_json


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
