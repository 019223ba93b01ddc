"""Results as lines."""

import io
import json
import os

import numpy as np
import pytest
import soundfile

from m4ser.inference.output import FORMATS, write_predictions
from m4ser.inference.results import Failure, Prediction, Segment

SEGMENTS = [
    Segment(0.0, 1.0, "calm", {"calm": 0.75, "very angry": 0.25}, "well"),
    Segment(1.5, 2.0, "very angry", {"calm": 0.125, "very angry": 0.875}, "no, no"),
]
PREDICTION = Prediction(
    "a call.wav", "calm", {"calm": 0.54, "very angry": 0.46}, "well no, no", 0.9, 2.0, SEGMENTS, {"read": 0.1}
)
EXPECTED = {
    "table": [
        "calm        0.540  a call.wav  well no, no",
        "      0.00 -     1.00 s  calm        0.750  well",
        "      1.50 -     2.00 s  very angry  0.875  no, no",
    ],
    "csv": [
        "name,start,end,label,p_calm,p_very angry,text",
        "a call.wav,0.000,1.000,calm,0.750000,0.250000,well",
        'a call.wav,1.500,2.000,very angry,0.125000,0.875000,"no, no"',
    ],
    "rttm": [
        "SPEAKER a_call 1 0.000 1.000 <NA> <NA> calm 0.7500 <NA>",
        "SPEAKER a_call 1 1.500 0.500 <NA> <NA> very_angry 0.8750 <NA>",
    ],
}


@pytest.mark.parametrize("form", EXPECTED)
def test_forms(form, capsys):
    show = FORMATS[form](["calm", "very angry"])
    show(PREDICTION)
    show(Failure("b.wav", "is empty"))
    assert capsys.readouterr().out.splitlines() == EXPECTED[form]


def test_json(capsys):
    show = FORMATS["json"](["calm", "very angry"])
    show(PREDICTION)
    show(Failure("b.wav", "is empty"))
    prediction, failure = map(json.loads, capsys.readouterr().out.splitlines())
    assert prediction["segments"][1] == {
        **{"start": 1.5, "end": 2.0, "label": "very angry", "text": "no, no"},
        "probabilities": {"calm": 0.125, "very angry": 0.875},
    }
    assert failure == {"name": "b.wav", "error": "is empty"}


def test_an_input_without_recordings_is_a_failure(loudness_recognizer, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    soundfile.write(tmp_path / "loud.wav", np.full(1600, 0.5), 16000)
    inputs = [str(tmp_path / "empty"), str(tmp_path / "loud.wav")]
    (failure,) = write_predictions(loudness_recognizer, inputs, None, "table")
    assert failure.name == inputs[0] and failure.reason.startswith("no recordings in this folder")
    assert capsys.readouterr().out.split()[0] == "excited"


HOSTILE = {
    b"caf\xe9.wav": "caf\\udce9",
    b"two\nlines\x1b[2J\x07\r.wav": "two\\nlines\\x1b[2J\\x07\\r",
    "right\u202eleft \x9b31m\u2028.wav".encode(): "right\\u202eleft \\x9b31m\\u2028",
    "Straße\u3000日本.wav".encode(): "Straße\u3000日本",
}


@pytest.mark.parametrize("form", FORMATS)
def test_names_that_are_no_text(form, loudness_recognizer, tmp_path, monkeypatch):
    """Names with bytes that are not UTF-8, line breaks, terminal commands: one line each, and nothing but text."""
    for name in HOSTILE:
        soundfile.write(tmp_path / "a.wav", np.full(1600, 0.5), 16000)
        (tmp_path / "a.wav").replace(tmp_path / os.fsdecode(name))
    output = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="strict")
    monkeypatch.setattr("sys.stdout", output)
    assert write_predictions(loudness_recognizer, [str(tmp_path)], None, form) == []
    output.flush()
    lines = output.buffer.getvalue().decode().split("\n")[:-1]
    assert len(lines) == len(HOSTILE) + (form == "csv")
    assert all(c.isprintable() or c == "\u3000" for line in lines for c in line)
    if form == "json":
        names = {os.fsencode(json.loads(line)["name"]).rpartition(b"/")[2] for line in lines}
        assert names == set(HOSTILE)  # none is lost
    else:
        shown = ["_".join(name.split()) if form == "rttm" else name for name in HOSTILE.values()]
        if form == "rttm":  # blanks of any kind part the fields there
            shown = ["caf\\udce9", "two_lines\\x1b[2J\\x07", "right\\u202eleft_\\x9b31m", "Straße_日本"]
        assert all(any(name in line for line in lines) for name in shown)
