import io
import os
import struct

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from m4ser.data.audio import AudioError, as_stage_1, at_speed, load_16k, read_audio, resample, write_flac
from m4ser.utils.errors import UserError


def tone(seconds=0.5, rate=16000, hertz=440.0):
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "kwargs"),
    [
        ("a.wav", {}),
        ("a.wav", {"subtype": "FLOAT"}),
        ("a.wav", {"subtype": "PCM_24"}),
        ("a.wav", {"subtype": "PCM_U8"}),
        ("a.wav", {"format": "RF64"}),
        ("a.wav", {"endian": "BIG"}),
        ("a.flac", {}),
        ("a.ogg", {}),
        ("a.opus", {"format": "OGG", "subtype": "OPUS"}),
        ("a.mp3", {}),
        ("a.aiff", {}),
        ("a.sph", {"format": "NIST"}),
    ],
)
def test_formats(tmp_path, name, kwargs):
    path = tmp_path / f"Straße und {name}"
    soundfile.write(path, tone(), 16000, **kwargs)
    samples, rate = read_audio(path)
    assert rate == 16000
    assert samples.dtype == np.float32
    assert samples.shape == (8000,)
    assert np.corrcoef(samples[1000:-1000], tone()[1000:-1000])[0, 1] > 0.98


@pytest.mark.parametrize("channels", [1, 2, 3, 6])
def test_channels_are_averaged(tmp_path, channels):
    each = np.stack([tone() * (number + 1) / 8 for number in range(channels)], axis=1)
    soundfile.write(tmp_path / "a.wav", each, 16000, subtype="FLOAT")
    np.testing.assert_allclose(read_audio(tmp_path / "a.wav")[0], each.mean(axis=1), atol=1e-7)


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000, 96000])
def test_any_rate_becomes_16k(tmp_path, rate):
    soundfile.write(tmp_path / "a.wav", tone(1, rate), rate, subtype="FLOAT")
    samples = load_16k(tmp_path / "a.wav")
    assert len(samples) == pytest.approx(16000, abs=1)
    np.testing.assert_allclose(samples[800:15200], tone(1)[800:15200], atol=2e-3)


def test_16k_is_left_alone():
    samples = tone()
    assert resample(samples, 16000) is samples


@given(st.lists(st.integers(-32768, 32767), min_size=1, max_size=200).filter(any))
@settings(max_examples=30)
def test_16_bit_samples_survive_bit_for_bit(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("audio") / "a.flac"
    write_flac(path, np.array(values, np.float32) / 32768)
    assert soundfile.read(path, dtype="int16")[0].tolist() == values
    assert (read_audio(path)[0] * 32768).tolist() == values


def test_flac_is_clipped_and_silence_refused(tmp_path):
    write_flac(tmp_path / "a.flac", np.array([2.0, -2.0, 0.5], np.float32))
    assert soundfile.read(tmp_path / "a.flac", dtype="int16")[0].tolist() == [32767, -32768, 16384]
    with pytest.raises(AudioError, match=r"src.wav: is so quiet"):
        write_flac(tmp_path / "b.flac", np.full(10, 1e-6, np.float32), source="src.wav")
    assert not (tmp_path / "b.flac").exists()


def test_full_disk_is_an_error():
    with pytest.raises(OSError, match="No space left"):
        write_flac("/dev/full", tone())


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg"])
def test_segments(tmp_path, name):
    ramp = np.linspace(-0.9, 0.9, 16000, dtype=np.float32)
    soundfile.write(tmp_path / name, ramp, 16000)
    samples, _ = read_audio(tmp_path / name, 0.25, 0.5)
    assert samples.shape == (4000,)
    np.testing.assert_allclose(samples, ramp[4000:8000], atol=1e-4 if name != "a.ogg" else 0.05)
    assert len(read_audio(tmp_path / name, 0.75, 1.2)[0]) == 4000  # times may be rounded up a little
    for start, end in ((0.5, 1.6), (1.0, 1.1), (7.0, None)):
        with pytest.raises(AudioError, match=r"lasts 1.00 s, but segments asks for"):
            read_audio(tmp_path / name, start, end)


def wav(samples, data_size=None, riff_size=None):
    """Bytes of a 16-bit WAV file whose header may lie."""
    data = (samples * 32767).astype("<i2").tobytes()
    size = len(data) if data_size is None else data_size
    riff = size + 36 if riff_size is None else riff_size
    return b"RIFF" + struct.pack("<I4s4sIHHIIHH4sI", riff & 0xFFFFFFFF, b"WAVE", b"fmt ", 16, 1, 1, 16000, 32000, 2, 16,
                                 b"data", size) + data  # fmt: skip


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFF000, 0])
def test_wav_from_a_pipe_is_not_truncated(tmp_path, size):
    (tmp_path / "a.wav").write_bytes(wav(tone(), size, size))
    np.testing.assert_allclose(read_audio(tmp_path / "a.wav")[0], tone(), atol=1e-4)


def test_wav_header_that_counts_itself_is_accepted(tmp_path):
    (tmp_path / "a.wav").write_bytes(wav(tone(), 16000 + 44))
    assert len(read_audio(tmp_path / "a.wav")[0]) == 8000


@pytest.mark.parametrize("share", [0.001, 0.5, 0.99])
@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
def test_truncated(tmp_path, name, share):
    noise = np.random.default_rng(0).standard_normal(16000).astype(np.float32) * 0.1
    soundfile.write(tmp_path / name, noise, 16000)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: int(len(content) * share)])
    with pytest.raises(AudioError, match=r"truncated") as error:
        read_audio(tmp_path / name)
    assert str(error.value).startswith(f"{tmp_path / name}: ")
    assert "--skip-bad-audio true" in str(error.value)
    assert "\n" not in str(error.value)


def test_truncated_header_and_mp3(tmp_path):
    (tmp_path / "a.wav").write_bytes(wav(tone())[:20])
    with pytest.raises(AudioError, match=r"truncated"):
        read_audio(tmp_path / "a.wav")
    soundfile.write(tmp_path / "a.mp3", tone(3), 16000)
    content = (tmp_path / "a.mp3").read_bytes()
    (tmp_path / "a.mp3").write_bytes(content[: len(content) // 2])
    with pytest.raises(AudioError, match=r"truncated"):
        read_audio(tmp_path / "a.mp3")


@pytest.mark.parametrize("kind", ["RF64", "W64", "AIFF", "AU", "NIST"])
def test_truncated_files_of_other_kinds(tmp_path, kind):
    path = tmp_path / "a.bin"
    soundfile.write(path, tone(2), 16000, format=kind, subtype="PCM_16")
    assert len(read_audio(path)[0]) == 32000
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(AudioError, match=r"is truncated: it holds \d+ of \d+ bytes"):
        read_audio(path)


def claiming_flac() -> bytes:
    """A FLAC file of one second whose header promises the most that it can, 2^36 - 1 samples: 256 GiB as floats."""
    content = io.BytesIO()
    soundfile.write(content, tone(), 16000, format="FLAC")
    head = bytearray(content.getvalue())
    head[21] |= 0x0F
    head[22:26] = b"\xff" * 4
    return bytes(head)


@pytest.mark.parametrize("name", ["a.au", "a.snd", "a.vox"])
def test_noise_is_not_audio_without_a_header(tmp_path, name):
    (tmp_path / name).write_bytes(bytes(range(256)) * 50)
    with pytest.raises(AudioError, match="is not audio"):
        read_audio(tmp_path / name)


def test_longest(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(2), 16000)
    assert len(read_audio(tmp_path / "a.wav", longest=2)[0]) == 32000
    with pytest.raises(AudioError, match=r"lasts 2 s, more than the limit of 1\.5 s"):
        read_audio(tmp_path / "a.wav", longest=1.5)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: None, "no such file"),
        (lambda path: path.mkdir(), "is a folder"),
        (lambda path: os.mkfifo(path), "is not an ordinary file"),
        (lambda path: path.symlink_to(path), "no such file"),
        (lambda path: path.write_bytes(claiming_flac()), "truncated or damaged FLAC"),
        (lambda path: soundfile.write(path, tone(), 1), "sampling rate of 1 Hz"),
        (lambda path: path.write_bytes(b""), "empty (0 bytes)"),
        (lambda path: path.write_text("404: not found\n" * 100), "is not audio"),
        (lambda path: path.write_bytes(bytes(range(256)) * 50), "is not audio"),
        (lambda path: soundfile.write(path, np.zeros(100), 16000), "all samples are zero"),
        (lambda path: soundfile.write(path, np.zeros((0, 1)), 16000), "holds no samples"),
        (lambda path: soundfile.write(path, np.array([0.1, np.nan]), 16000, subtype="FLOAT"), "NaN or infinite"),
        (lambda path: soundfile.write(path, np.array([0.1, -np.inf]), 16000, subtype="FLOAT"), "NaN or infinite"),
        (lambda path: soundfile.write(path, tone() * 32767, 16000, subtype="FLOAT"), "divide them by 32768"),
        (
            lambda path: soundfile.write(path, np.stack([tone(), -tone()], 1), 16000, subtype="FLOAT"),
            "all samples are zero",
        ),
    ],
)
def test_unusable_file_is_named_with_the_reason_and_a_remedy(tmp_path, make, reason):
    path = tmp_path / "bad ü.wav"
    make(path)
    with pytest.raises(AudioError) as error:
        read_audio(path)
    assert isinstance(error.value, UserError)
    assert str(error.value).startswith(f"{path}: ")
    assert reason in str(error.value)
    assert "; " in str(error.value)
    assert "\n" not in str(error.value)


def test_silent_segment(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.concatenate([np.zeros(8000), tone()]), 16000)
    assert len(read_audio(tmp_path / "a.wav")[0]) == 16000
    with pytest.raises(AudioError, match=r"all samples are zero"):
        read_audio(tmp_path / "a.wav", 0.0, 0.4)


@pytest.mark.parametrize("factor", [0.9, 1.25])
def test_speed_moves_length_and_pitch(factor):
    tone = np.sin(2 * np.pi * 400 * np.arange(16000) / 16000).astype(np.float32)
    changed = at_speed(tone, factor)
    assert changed.dtype == np.float32 and len(changed) == pytest.approx(16000 / factor, abs=1)
    peak = np.abs(np.fft.rfft(changed)).argmax() * 16000 / len(changed)
    assert peak == pytest.approx(400 * factor, abs=2)
    assert at_speed(tone, 1.0) is tone


def test_audio_is_what_stage_1_writes(tmp_path):
    samples = (np.random.default_rng(0).standard_normal(1000) * 0.5).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", samples, 16000, subtype="FLOAT")
    write_flac(tmp_path / "a.flac", load_16k(tmp_path / "a.wav"))
    np.testing.assert_array_equal(as_stage_1(load_16k(tmp_path / "a.wav")), load_16k(tmp_path / "a.flac"))
