"""Where somebody speaks: as faster-whisper finds it in the whole recording, whatever blocks it comes in."""

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from faster_whisper import vad

from m4ser.data.audio import load_16k
from m4ser.inference import timeline
from m4ser.inference.timeline import VoiceActivity, speech_spans

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = {"min_silence_duration_ms": 500, "min_speech_duration_ms": 300, "speech_pad_ms": 100}


def in_blocks(samples, sizes, longest=timeline.PART):
    activity, spans, place = VoiceActivity(longest), [], 0
    for size in sizes:
        spans += activity.push(samples[place : place + size])
        place += size
        assert activity.needed >= max((end for _, end in spans), default=0) - 2 * 1600  # old samples can be forgotten
    assert place >= len(samples)
    return spans + activity.finish()


def by_faster_whisper(samples, longest=timeline.PART):
    options = vad.VadOptions(max_speech_duration_s=longest, **OPTIONS)
    spans = vad.get_speech_timestamps(samples, options, sampling_rate=16000)
    return [(span["start"], span["end"]) for span in spans if span["end"] > span["start"]]


def test_speech_is_found_between_silence():
    """Bursts like syllables are speech to the detector or not, silence and a steady hiss are not."""
    assert speech_spans(np.zeros(16000, np.float32)) == []
    assert speech_spans((np.random.default_rng(0).standard_normal(32000) * 1e-3).astype(np.float32)) == []
    assert speech_spans(np.zeros(0, np.float32)) == []


@pytest.fixture
def script(monkeypatch):
    """A function that makes both sides hear given probabilities, one for each window."""

    def hear(probabilities):
        heard = np.append(probabilities, 0.0).astype(np.float32)

        class Network:
            place = 0

            def __call__(self, windows):
                self.place += len(windows)
                return heard[self.place - len(windows) : self.place]

        monkeypatch.setattr(timeline, "_Network", Network)
        monkeypatch.setattr(vad, "get_vad_model", lambda: lambda audio: heard[: len(audio) // 512])

    return hear


@pytest.mark.parametrize("seed", range(150))
def test_the_rules_are_those_of_faster_whisper(script, seed):
    """Of any probabilities, in runs of speech, doubt and silence of all lengths, with parts of any longest length."""
    rng = np.random.default_rng(seed)
    levels = rng.choice([0.0, 0.2, np.float32(0.35), 0.4, 0.5, 0.9, 1.0], int(rng.integers(1, 120)))
    runs = np.repeat(levels, rng.integers(1, 2 + int(rng.choice([3, 10, 40])), len(levels)))
    count = len(runs) * 512 + int(rng.choice([0, 1, 511]))
    samples = np.zeros(count, np.float32)
    script(runs)
    longest = float(rng.choice([1.0, 2.0, 12.0]))
    expected = by_faster_whisper(samples, longest)
    assert speech_spans(samples, longest) == expected
    sizes = rng.integers(0, 3000, count // 500 + 10)
    assert in_blocks(samples, [*sizes, count], longest) == expected


def test_real_speech_in_blocks_of_any_size():
    """Six clips of a synthetic voice with pauses: as faster-whisper finds it in the whole, down to the sample."""
    clips = [load_16k(path) for path in sorted((ROOT / "egs/mini/corpus/f01").glob("*.opus"))[:6]]
    rng = np.random.default_rng(0)
    pauses = [np.zeros(int(rng.uniform(0.3, 2.5) * 16000), np.float32) for _ in clips]
    samples = np.concatenate([part for pair in zip(pauses, clips, strict=True) for part in pair])
    samples += (rng.standard_normal(len(samples)) * 1e-3).astype(np.float32)
    expected = by_faster_whisper(samples)
    assert len(expected) >= 3
    assert speech_spans(samples) == expected
    assert in_blocks(samples, rng.integers(0, 4000, len(samples) // 1000)) == expected


def test_a_stretch_is_known_as_soon_as_its_pause_has_lasted(script):
    """Speech in windows 10 to 39, silence from sample 20480 on: 0.5 s of it are over with window 56, 0.51 s later."""
    script(np.repeat([0.0, 1.0, 0.0], [10, 30, 100]))
    activity = VoiceActivity()
    assert activity.push(np.zeros(56 * 512, np.float32)) == []
    assert activity.push(np.zeros(511, np.float32)) == []
    assert activity.push(np.zeros(1, np.float32)) == [(10 * 512 - 1600, 40 * 512 + 1600)]
    assert activity.needed == 57 * 512 - 1600


def test_speech_without_end_is_cut(script):
    """12 s less the margins and a window are cut without a pause; what is kept of the recording stays bounded."""
    script(np.ones(4000))
    activity, spans = VoiceActivity(), []
    for place in range(0, 4000, 10):
        spans += activity.push(np.zeros(5120, np.float32))
        assert (place + 10) * 512 - activity.needed < 14 * 16000
    lengths = {end - start for start, end in spans[1:]}
    assert len(spans) > 9 and max(lengths) <= 12 * 16000
    assert all(b[0] - a[1] <= 512 for a, b in itertools.pairwise(spans))


@pytest.mark.slow
def test_speech_is_found_without_importing_the_recogniser():
    """In a fresh process: faster-whisper only lends the network's file."""
    code = "import sys, numpy; from m4ser.inference.timeline import speech_spans; speech_spans(numpy.zeros(999, 'f'));"
    code += "assert not {'faster_whisper', 'ctranslate2', 'torch'} & set(sys.modules); print('found')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("found\n", 0), done.stderr
