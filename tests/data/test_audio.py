import io
import os
import struct
import time
import tracemalloc

import av
import numpy as np
import pytest
import soundfile
import soxr
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


def peak_megabytes(call):
    """The most memory that a call held at once, NumPy's arrays included."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()


def test_memory_grows_with_the_result_not_with_rate_and_channels(tmp_path):
    path = tmp_path / "a.flac"  # some kilobytes
    block = np.zeros((96000, 8), np.int16)
    block[100] = 9000
    with soundfile.SoundFile(path, "w", 96000, 8, subtype="PCM_16") as file:
        for _ in range(60):
            file.write(block)
            block = np.zeros_like(block)
    assert path.stat().st_size < 100_000
    # All of it would be 184 MB; the result is 4 MB.
    assert peak_megabytes(lambda: load_16k(path)) < 30
    assert len(load_16k(path)) == 60 * 16000


@pytest.mark.parametrize("size", [100_000_000, 0])
def test_sparse_file_of_many_channels(tmp_path, size):
    path = tmp_path / "a.wav"
    with open(path, "wb") as file:
        file.write(b"RIFF" + struct.pack("<I4s4sIHHIIHH4sI", size and size + 36, b"WAVE", b"fmt ", 16, 1, 1000, 16000,
                                         32_000_000, 2000, 16, b"data", size))  # fmt: skip
        file.write(struct.pack("<1000h", *[500] * 1000))
        file.truncate(44 + 100_000_000)
    assert peak_megabytes(lambda: load_16k(path)) < 30
    samples = load_16k(path)
    assert len(samples) == 50_000 and samples[0] == pytest.approx(500 / 32768) and not samples[1:].any()


def test_limit_of_samples_of_all_channels(tmp_path):
    path = tmp_path / "a.wav"
    with open(path, "wb") as file:
        file.write(b"RIFF" + struct.pack("<I4s4sIHHIIHH4sI", 4_200_000_036, b"WAVE", b"fmt ", 16, 1, 1000, 16000,
                                         32_000_000, 2000, 16, b"data", 4_200_000_000))  # fmt: skip
        file.truncate(44 + 4_200_000_000)
    with pytest.raises(
        AudioError, match=r"has 1000 channels of 2100000 samples, together more than the limit of 2\d+;"
    ):
        load_16k(path)
    with pytest.raises(AudioError, match="all samples are zero"):  # a part of it can be read
        load_16k(path, 1.0, 2.0)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3"])
@pytest.mark.parametrize(("channels", "rate"), [(1, 16000), (2, 44100), (1, 8000)])
def test_blocks_give_what_the_whole_gives(tmp_path, monkeypatch, name, channels, rate):
    noise = np.random.default_rng(0).normal(0, 0.1, (3 * rate + 7, channels))
    soundfile.write(tmp_path / name, noise, rate)
    mean = soundfile.read(tmp_path / name, dtype="float32", always_2d=True)[0].mean(axis=1)
    whole = soxr.resample(mean, rate, 16000, quality="VHQ") if rate != 16000 else mean
    monkeypatch.setattr("m4ser.data.audio.BLOCK", 5000)
    off = 1e-7 if name == "a.mp3" else 0.0  # its decoder depends on where a block begins, in the last bit
    np.testing.assert_allclose(load_16k(tmp_path / name), whole, rtol=0, atol=off)
    np.testing.assert_allclose(read_audio(tmp_path / name)[0], mean, rtol=0, atol=off)


def test_too_short(tmp_path):
    for count in (1, 159):
        soundfile.write(tmp_path / "a.wav", np.full(count, 0.5), 16000)
        with pytest.raises(AudioError, match=r"is too short: it lasts \S+ ms"):
            load_16k(tmp_path / "a.wav")
    soundfile.write(tmp_path / "a.wav", np.full(160, 0.5), 16000)
    assert len(load_16k(tmp_path / "a.wav")) == 160


@pytest.mark.parametrize("name", [b"\xff\xfe caf\xe9.wav", b"line\nbreak\x1b[31m.wav", b"a.raw", b"a.wav "])
def test_names_of_any_kind(tmp_path, name):
    """The content says what a file is; its name may be no text or have any ending."""
    path = tmp_path / os.fsdecode(name)
    path.write_bytes(wav(tone()))
    assert len(read_audio(path)[0]) == 8000
    with av.open(str(tmp_path / "a.mp4"), "w", format="mp4") as file:
        stream = file.add_stream("aac", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(tone()[None, :1024].copy(), format="fltp", layout="mono")
        frame.sample_rate = 16000
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    (tmp_path / "a.mp4").replace(path)
    assert len(read_audio(path)[0]) >= 1024


def containers():
    """A file of each kind, of a tenth of a second."""
    short = tone(0.1)
    for kwargs in ({"format": "WAV"}, {"format": "RF64"}, {"format": "FLAC"}, {"format": "OGG"}, {"format": "MP3"},
                   {"format": "OGG", "subtype": "OPUS"}, {"format": "AIFF"}, {"format": "AU"}, {"format": "NIST"},
                   {"format": "W64"}, {"format": "CAF"}):  # fmt: skip
        content = io.BytesIO()
        soundfile.write(content, short, 16000, **kwargs)
        yield content.getvalue()
    for form, codec in (("mp4", "aac"), ("matroska", "aac"), ("avi", "pcm_s16le"), ("adts", "aac"), ("asf", "wmav2")):
        content = io.BytesIO()
        with av.open(content, "w", format=form) as file:
            stream = file.add_stream(codec, rate=16000, layout="mono")
            stream.bit_rate = 32000
            convert = av.AudioResampler(format=stream.format, layout="mono", rate=16000)
            size = stream.codec_context.frame_size or 1024
            frame = av.AudioFrame.from_ndarray(np.resize(short, (1, size)), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 16000, 0
            for converted in convert.resample(frame):
                file.mux(stream.encode(converted))
            file.mux(stream.encode(None))
        yield content.getvalue()
    yield b"#!AMR\n" + b"<" + bytes(range(31)) * 5


CONTAINERS = list(containers())
FUZZ = int(os.environ.get("M4SER_FUZZ", "0"))  # examples of a long run


@given(
    st.sampled_from(CONTAINERS),
    st.integers(0, 1 << 20),
    st.lists(st.tuples(st.integers(0, 1 << 20), st.binary(min_size=1, max_size=8)), max_size=6),
    st.booleans(),
)
@settings(max_examples=FUZZ or 150)
def test_any_damage_is_one_line_or_none(tmp_path_factory, whole, cut, changes, at_the_head):
    """Bytes changed, at the head or anywhere, and the end cut off: samples or one line, in little time and memory."""
    content = bytearray(whole)
    for place, new in changes:
        place %= min(len(whole), 200) if at_the_head else len(whole)
        content[place : place + len(new)] = new
    if cut % 3 == 0:
        content = content[: cut % len(content)]
    path = tmp_path_factory.getbasetemp() / "fuzzed"
    path.write_bytes(content)
    begin = time.process_time()
    try:
        samples = load_16k(path, longest=7200)
        assert samples.dtype == np.float32 and len(samples) >= 160 and np.isfinite(samples).all()
    except AudioError as error:
        assert str(error).startswith(f"{path}: ") and "\n" not in str(error) and "Error" not in error.reason
    assert time.process_time() - begin < 10
