"""Streams: the segments of a file, whatever blocks it comes in, as soon as they have ended, in bounded memory."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import soundfile

from m4ser import EmotionRecognizer
from m4ser.asr.backends import Hypothesis
from m4ser.data.audio import load_16k, resample
from m4ser.inference.live import LiveStream
from m4ser.utils.errors import UserError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def recognizer(toy_run):
    """A real model without a recogniser: its words say how many samples it was given."""
    model = EmotionRecognizer.from_pretrained(toy_run, device="cpu", split=1.0)

    class Counter:
        def transcribe_batch(self, batch):
            return [Hypothesis(f"{len(samples)} samples", 0.5) for samples in batch]

    model.frontend.recogniser = Counter()
    return model


@pytest.fixture(scope="module")
def speech():
    """Six clips of two synthetic voices with pauses, in a little noise, 16 kHz."""
    rng = np.random.default_rng(0)
    paths = [
        *sorted((ROOT / "egs/mini/corpus/f01").glob("*.opus"))[:3],
        *sorted((ROOT / "egs/mini/corpus/m01").glob("*.opus"))[:2],
    ]
    parts = [
        part for path in paths for part in (np.zeros(int(rng.uniform(0.8, 2) * 16000), np.float32), load_16k(path))
    ]
    samples = np.concatenate(parts)
    return samples + (rng.standard_normal(len(samples)) * 1e-3).astype(np.float32)


def blocks(samples, sizes):
    place = 0
    for size in sizes:
        yield samples[place : place + size]
        place += size
        if place >= len(samples):
            return
    yield samples[place:]


def same(found, expected):
    """Places, labels and texts are the same; probabilities but for the batches they were computed in."""
    assert [(s.start, s.end, s.label, s.text) for s in found] == [(s.start, s.end, s.label, s.text) for s in expected]
    for a, b in zip(found, expected, strict=True):
        assert a.probabilities == pytest.approx(b.probabilities, abs=1e-6)


@pytest.mark.parametrize("rate", [16000, 8000, 44100, 48000])
def test_a_file_and_its_blocks_agree(recognizer, speech, tmp_path, rate):
    """At several rates and channels, in blocks of random sizes with empty ones among them."""
    samples = speech if rate == 16000 else resample(speech, 16000, rate)
    both = np.stack([samples, 0.5 * samples], 1) if rate == 48000 else samples
    soundfile.write(tmp_path / "a.wav", both, rate, subtype="FLOAT")
    expected = recognizer(tmp_path / "a.wav").segments
    assert len(expected) >= 4
    for seed, most in enumerate((100_000, 3000)):
        sizes = np.random.default_rng(seed).integers(0, most, 2 * len(samples) // most + 10)
        same(list(recognizer.live(blocks(both, sizes), rate)), expected)


@pytest.mark.slow
def test_blocks_of_one_sample(recognizer, speech, tmp_path):
    samples = speech[: 5 * 16000]
    soundfile.write(tmp_path / "a.wav", samples, 16000, subtype="FLOAT")
    expected = recognizer(tmp_path / "a.wav").segments
    assert expected
    same(list(recognizer.live((samples[i : i + 1] for i in range(len(samples))), 16000)), expected)


def test_integers_are_scaled_by_their_range(recognizer, speech):
    whole = np.rint(speech * 32768).astype(np.int16)
    same(list(recognizer.live([whole])), list(recognizer.live([speech])))


def test_a_segment_comes_as_soon_as_its_pause_has_lasted(recognizer, speech):
    """Not before the 0.5 s of silence that end it, and then within three windows (0.1 s) of samples."""
    stream, when = LiveStream(recognizer), []
    for place in range(0, len(speech), 160):
        when += [((place + 160) / 16000, segment) for segment in stream.push(speech[place : place + 160])]
    assert len(when) >= 3
    for known, segment in when:
        spoken = segment.end - 0.1  # without the margin
        assert 0.5 <= known - spoken <= 0.5 + 0.064 + 0.04
    rest = stream.finish()
    same([*(segment for _, segment in when), *rest], list(recognizer.live([speech])))


def test_memory_is_bounded_and_speech_without_end_is_cut(loudness_recognizer, monkeypatch):
    """Ten minutes of what is all speech to the detector: parts of at most 12 s, of which the stream forgets the old."""

    class Network:
        def __call__(self, windows):
            return np.ones(len(windows), np.float32)

    monkeypatch.setattr("m4ser.inference.timeline._Network", Network)
    stream, lengths = LiveStream(loudness_recognizer), []
    block = np.full(16000, 0.5, np.float32)
    for _ in range(600):
        lengths += [segment.end - segment.start for segment in stream.push(block)]
        assert stream._recent._store.nbytes < 4 * 16000 * 60
    assert len(lengths) == 50 and max(lengths) <= 12.0


def test_silence_is_forgotten(loudness_recognizer):
    stream = LiveStream(loudness_recognizer)
    for _ in range(90):
        assert stream.push(np.zeros(16000, np.float32)) == []
    assert stream._recent._store.nbytes < 4 * 16000 * 8 and stream.finish() == []


def test_long_segments_of_a_model_that_takes_less(recognizer, speech, monkeypatch, tmp_path):
    soundfile.write(tmp_path / "a.wav", speech, 16000, subtype="FLOAT")
    monkeypatch.setattr(recognizer, "piece", 1.5)
    expected = recognizer(tmp_path / "a.wav").segments
    assert max(segment.end - segment.start for segment in expected) <= 1.5
    same(list(recognizer.live([speech])), expected)


@pytest.mark.parametrize(
    ("block", "says"),
    [
        (np.array([0.1, np.nan], np.float32), "NaN or infinite"),
        (np.full(4, 12000.0), "instead of -1..1"),
        (np.zeros((2, 2, 2)), "3 dimensions"),
        (np.array(["a"]), "values of type"),
    ],
)
def test_a_bad_block_is_refused_and_the_stream_goes_on(recognizer, speech, block, says):
    stream = LiveStream(recognizer)
    found = stream.push(speech[:100_000])
    with pytest.raises(UserError, match=f"stream: .*{says}"):
        stream.push(block)
    found += stream.push(speech[100_000:]) + stream.finish()
    same(found, list(recognizer.live([speech])))


def test_a_segment_that_cannot_be_predicted_is_left_out(recognizer, speech, monkeypatch):
    expected = list(recognizer.live([speech]))
    stream, found, failed = LiveStream(recognizer), [], 0
    for place in range(0, len(speech), 1600):
        with monkeypatch.context() as patch:
            if not failed:
                patch.setattr(recognizer, "forward", lambda batch: 1 / 0)
            try:
                found += stream.push(speech[place : place + 1600])
            except UserError as error:
                assert "stream: the model cannot predict it (ZeroDivisionError" in str(error)
                failed += 1
    assert failed == 1
    same(found + stream.finish(), expected[1:])


def test_a_rate_that_cannot_be(recognizer):
    with pytest.raises(UserError, match="a sampling rate of 10 Hz cannot be right"):
        LiveStream(recognizer, 10)


def test_segments_are_plain_values(recognizer, speech):
    segment = next(recognizer.live([speech]))
    assert set(dataclasses.asdict(segment)) == {"start", "end", "label", "probabilities", "text"}
