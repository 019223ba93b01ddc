import sys
import types

import numpy as np
import pytest

from m4ser.asr.backends import BACKENDS, Backend, Hypothesis, build_backend, parse_settings
from m4ser.asr.backends.base import treated
from m4ser.utils.errors import UserError


class Toy(Backend):
    def __init__(self, model="default", pretrained_dir=None, beam_size: int = 5, rate=0.5, vad=False, language="en"):
        self.arguments = (model, pretrained_dir, beam_size, rate, vad, language)

    def decode(self, batch, utts):
        return [Hypothesis(f"  {utt}\n{len(samples)} ", 0.5) for samples, utt in zip(batch, utts, strict=True)]


@pytest.fixture
def toy(monkeypatch):
    module = types.ModuleType("toy_backend")
    module.Toy = Toy
    monkeypatch.setitem(sys.modules, "toy_backend", module)
    monkeypatch.setitem(BACKENDS, "toy", ("toy_backend", "Toy"))


def test_settings_have_the_types_of_the_defaults(toy):
    words = ["beam_size=3", "rate=1", "vad=true", "language=no"]
    assert parse_settings("toy", words) == {"beam_size": 3, "rate": 1.0, "vad": True, "language": "no"}


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("beam=3", "--asr-conf beam=3: must be NAME=VALUE with a NAME of toy: beam_size, rate, vad, language"),
        ("beam_size", "must be NAME=VALUE"),
        ("model=x", "must be NAME=VALUE"),  # has an option of its own
        ("beam_size=2.5", "--asr-conf beam_size=2.5: must be a whole number"),
        ("rate=fast", "--asr-conf rate=fast: must be a number"),
        ("vad=True", "--asr-conf vad=True: must be true or false"),
    ],
)
def test_bad_settings(toy, word, why):
    with pytest.raises(UserError, match=why):
        parse_settings("toy", [word])


def test_a_backend_gets_what_it_takes(toy):
    made = build_backend("toy", "tiny", "/models", references={"u": "x"}, rate=0.1)
    assert made.arguments == ("tiny", "/models", 5, 0.1, False, "en")
    assert build_backend("toy").arguments[0] == "default"
    with pytest.raises(UserError, match="toy has no such setting"):
        build_backend("toy", beam=1)


def test_unknown_backend():
    with pytest.raises(UserError, match="--asr kaldi: unknown; choose one of faster_whisper, hf, espnet, pocketsphinx"):
        build_backend("kaldi")


def test_missing_package(monkeypatch):
    monkeypatch.setitem(BACKENDS, "gone", ("no_such_package.module", "X"))
    with pytest.raises(UserError, match="--asr gone: needs the Python package no_such_package; run"):
        build_backend("gone")


def test_missing_optional_package(monkeypatch):
    monkeypatch.delitem(sys.modules, "m4ser.asr.backends.pocketsphinx", raising=False)
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    with pytest.raises(UserError, match="needs the Python package pocketsphinx; run: pip install --no-deps pocketsph"):
        build_backend("pocketsphinx")


def test_text_is_one_line_and_without_loops(toy):
    made = build_backend("toy")
    assert made.transcribe(np.zeros(7, np.float32), "utt1") == Hypothesis("utt1 7", 0.5)
    looping = made.transcribe_batch([np.zeros(1)], ["ha " * 30])[0]
    assert looping.text == "ha 1"
    assert looping.untreated == "ha " * 30 + "1"


def test_no_more_words_than_can_be_said(toy):
    found = build_backend("toy").transcribe(np.zeros(2000, np.float32), "a b c d e f")
    assert found == Hypothesis("a b c d e", 0.5, untreated="a b c d e f 2000")


def test_words_that_are_cut_take_their_confidence_along():
    text = "a " + "no " * 9 + "b c"
    hypothesis = treated(Hypothesis(text, 0.5, words=tuple(i / 100 for i in range(12))), 9.0)
    assert (hypothesis.text, hypothesis.words) == ("a no b c", (0.0, 0.01, 0.1, 0.11))
