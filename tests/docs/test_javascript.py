"""The example in JavaScript (docs/examples/javascript): from a WAV file to the same numbers as in Python."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from m4ser import EmotionRecognizer
from m4ser.data.audio import load_16k
from m4ser.hub.archive import unpack

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(voice_archive, tmp_path_factory):
    return unpack(voice_archive, tmp_path_factory.mktemp("model") / "model").folder


def run(javascript_example, *words):
    return subprocess.run(
        ["node", str(javascript_example / "predict.mjs"), *map(str, words)],
        capture_output=True,
        text=True,
    )


def predicted(javascript_example, model, *files):
    done = run(javascript_example, "--json", model, *files)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Real files: 16 kHz of several types and lengths, and other rates and channels."""
    folder = tmp_path_factory.mktemp("clips")
    speech = load_16k(ROOT / "egs/mini/corpus/f01/f01-000.opus")
    soundfile.write(folder / "a.wav", speech, 16000)
    soundfile.write(folder / "b.wav", speech[:5000], 16000, subtype="FLOAT")
    soundfile.write(folder / "c.wav", np.stack([speech, 0.2 * speech], 1), 16000, subtype="PCM_24")
    soundfile.write(folder / "d.wav", np.tile(speech, 12), 16000, subtype="PCM_32")  # over 30 s: two pieces
    soundfile.write(folder / "e.wav", speech[:200], 16000, subtype="PCM_U8")
    return folder


def test_the_numbers_are_those_of_python(javascript_example, model, clips):
    files = sorted(clips.iterdir())
    recognizer = EmotionRecognizer.from_pretrained(model, split=0)
    found = predicted(javascript_example, model, *files)
    expected = recognizer(list(files))
    assert expected[3].duration > 30
    for one, other in zip(found, expected, strict=True):
        assert (one["name"], one["label"]) == (other.name, other.label)
        assert one["probabilities"] == pytest.approx(other.probabilities, abs=1e-5)
    assert np.ptp([list(one["probabilities"].values()) for one in found], axis=0).max() > 1e-4  # they do differ


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
def test_other_rates_are_resampled(javascript_example, model, clips, rate, tmp_path):
    """By another filter than in Python, so the numbers are nearly the same."""
    samples, _ = soundfile.read(clips / "a.wav", dtype="float32")
    from m4ser.data.audio import resample

    soundfile.write(tmp_path / "a.wav", resample(samples, 16000, rate), rate)
    (found,) = predicted(javascript_example, model, tmp_path / "a.wav")
    expected = EmotionRecognizer.from_pretrained(model)(tmp_path / "a.wav")
    assert found["probabilities"] == pytest.approx(expected.probabilities, abs=2e-3)


def test_for_people_and_faults(javascript_example, model, clips, tmp_path):
    expected = EmotionRecognizer.from_pretrained(model)(clips / "a.wav")
    done = run(javascript_example, model, clips / "a.wav")
    probability = expected.probabilities[expected.label]
    assert done.stdout == f"{expected.label}  {probability:.3f}  {clips / 'a.wav'}\n"
    (tmp_path / "x.wav").write_bytes(b"no")
    for words, says in {
        (model, tmp_path / "x.wav"): f"error: {tmp_path / 'x.wav'}: is not a WAV file",
        (model, tmp_path / "none.wav"): "error: ",
        (tmp_path, clips / "a.wav"): f"error: {tmp_path}: ENOENT",
    }.items():
        done = run(javascript_example, *words)
        assert done.returncode == 1 and done.stderr.startswith(says) and done.stderr.count("\n") == 1
    assert run(javascript_example).returncode == 2
