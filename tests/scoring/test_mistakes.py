"""Confident mistakes by hand, differences of words, and sound that a browser can play."""

import base64
import io

import numpy as np
import pytest
import soundfile

from m4ser.scoring.mistakes import clip, most_confident
from m4ser.scoring.runs import Experiment
from m4ser.utils.errors import UserError


def experiment(ref, probabilities):
    """Seeds x utterances x classes."""
    probabilities = np.array(probabilities, dtype=float)
    known = ~np.isnan(probabilities).any(-1)
    count = len(ref)
    return Experiment(
        path=None, run={}, partition="test", labels=["a", "b"], seeds=["1", "2"][: len(probabilities)], folds=["1"],
        missing=[], items=[f"u{i}" for i in range(count)], fold=np.array(["1"] * count),
        speakers=np.array(["s"] * count), ref=np.array(ref),
        hyp=np.where(known, np.nan_to_num(probabilities).argmax(-1), -1), probabilities=probabilities,
    )  # fmt: skip


def test_most_confident_first_and_mean_over_seeds():
    """u0 is right in the mean, u1 wrong by 0.7, u2 wrong by 0.8 although seed 2 did not predict it, u3 right."""
    none = [np.nan, np.nan]
    found = most_confident(
        experiment([0, 0, 0, 1], [[[0.4, 0.6], [0.2, 0.8], [0.2, 0.8], [0.1, 0.9]],
                                  [[0.9, 0.1], [0.4, 0.6], none, [0.1, 0.9]]]), 5
    )  # fmt: skip
    assert [mistake.utt for mistake in found] == ["u2", "u1"]
    assert (found[0].agreed, found[0].seeds) == (1, 1) and (found[1].agreed, found[1].seeds) == (2, 2)
    assert found[1].ref == "a" and found[1].hyp == "b"
    assert found[1].probabilities == pytest.approx({"a": 0.3, "b": 0.7})


def test_count_and_ties():
    wrong = experiment([0, 0, 0], [[[0.1, 0.9]] * 3])
    assert [mistake.utt for mistake in most_confident(wrong, 2)] == ["u0", "u1"]
    assert most_confident(wrong, 0) == []
    assert most_confident(experiment([1], [[[0.1, 0.9]]]), 3) == []


def test_clip_is_an_mp3_of_limited_length(tmp_path):
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(3 * 16000) / 16000)
    soundfile.write(tmp_path / "tone.flac", tone, 16000)
    address, seconds, whole = clip(tmp_path / "tone.flac", max_seconds=2)
    assert (seconds, whole) == (2.0, 3.0)
    kind, content = address.split(",")
    assert kind == "data:audio/mpeg;base64"
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(content)))
    assert len(samples) / rate == pytest.approx(2.0, abs=0.2)
    assert np.abs(np.fft.rfft(samples)).argmax() * rate / len(samples) == pytest.approx(440, abs=2)
    with pytest.raises(UserError, match="no such file"):
        clip(tmp_path / "gone.flac")
