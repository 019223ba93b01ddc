"""Sound as it comes: WAV streams in pieces of any size, samples without a header, files, a microphone."""

import io
import itertools
import struct
import sys
import threading
import time
import types

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from m4ser.data.audio import read_audio
from m4ser.inference.listening import AHEAD, Raw, ahead, listen, read_stream
from m4ser.utils.errors import UserError

SAMPLES = (np.random.default_rng(0).uniform(-0.5, 0.5, (2000, 2)) * 32768).astype(np.int16)


def in_pieces(content, sizes=(1, 3, 5, 700)):
    """A function that reads `content` in pieces of these sizes, again and again."""
    file, size = io.BytesIO(content), itertools.cycle(sizes)
    return lambda: file.read(next(size))


def wav(subtype, samples=SAMPLES, rate=22050, form="WAV"):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, subtype=subtype, format=form)
    return file.getvalue()


def heard(sound):
    return np.concatenate(list(sound.blocks))


def scaled(block):
    return block if block.dtype.kind == "f" else block / 2.0 ** (8 * block.dtype.itemsize - 1)


@pytest.mark.parametrize("form", ["WAV", "WAVEX"])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "PCM_U8"])
def test_wav_streams(subtype, form):
    sound = read_stream(in_pieces(wav(subtype, form=form)))
    assert sound.rate == 22050
    found = heard(sound)
    expected, _ = soundfile.read(io.BytesIO(wav(subtype, form=form)), always_2d=True)
    if subtype == "PCM_U8":
        found = found.astype(np.int16) - 128
        np.testing.assert_array_equal(found / 128, expected)
    else:
        np.testing.assert_array_equal(scaled(found), expected)


@pytest.mark.parametrize("length", [0, 0x7FFFFFFF - 36, 0xFFFFFFFF])
def test_a_header_that_does_not_know_the_length(length):
    """As arecord, sox and ffmpeg write it to a pipe: everything that comes is sound."""
    content = wav("PCM_16")
    place = content.index(b"data") + 4
    content = content[:place] + struct.pack("<I", length) + content[place + 4 :]
    np.testing.assert_array_equal(heard(read_stream(in_pieces(content))), SAMPLES)


def test_what_follows_the_samples_is_no_sound_and_half_a_sample_is_none():
    content = wav("PCM_16") + b"LIST\x04\0\0\0abcd"
    np.testing.assert_array_equal(heard(read_stream(in_pieces(content))), SAMPLES)
    np.testing.assert_array_equal(heard(read_stream(in_pieces(wav("PCM_16")[:-5]))), SAMPLES[:-2])


def test_samples_without_a_header():
    found = read_stream(in_pieces(SAMPLES.astype("<i2").tobytes()), Raw.parse("8000,2"))
    assert found.rate == 8000
    np.testing.assert_array_equal(heard(found), SAMPLES)
    assert Raw.parse("16000") == Raw(16000, 1)


@pytest.mark.parametrize("text", ["", "x", "0", "-1", "16000,0", "16000,2,2", "16000,1025"])
def test_what_is_no_rate(text):
    with pytest.raises(ValueError):
        Raw.parse(text)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no WAV stream; send one"),
        (b"OggS" + bytes(100), "no WAV stream; send one"),
        (b"RIFF\0\0\0\0WAVE", "holds no samples"),
        (b"RIFF\0\0\0\0WAVEdata\0\0\0\0", "holds no samples"),
        (b"RIFF\0\0\0\0WAVEfmt \xff\xff\xff\x7f" + bytes(50), "holds no samples"),
        (wav("ULAW"), "type 7 with 8 bits"),
    ],
)
def test_streams_that_cannot_be_read(content, says):
    with pytest.raises(UserError, match=says):
        read_stream(in_pieces(content))


def test_a_file_comes_in_blocks(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.tile(SAMPLES, (20, 1)), 22050)
    sound = listen(str(tmp_path / "a.wav"))
    parts = list(sound.blocks)
    assert sound.rate == 22050 and max(map(len, parts)) <= 8000
    np.testing.assert_array_equal(np.concatenate(parts), read_audio(tmp_path / "a.wav")[0])
    with pytest.raises(UserError, match="--raw is for the standard input"):
        listen(str(tmp_path / "a.wav"), Raw(16000))
    with pytest.raises(UserError, match="no such file"):
        listen(str(tmp_path / "b.wav"))


def test_reading_ahead_keeps_order_and_waits():
    taken = []

    def numbers():
        for number in range(10 * AHEAD):
            taken.append(number)
            yield number

    reader = ahead(numbers())
    assert next(reader) == 0
    time.sleep(0.3)
    assert AHEAD <= len(taken) <= AHEAD + 3  # no more than that are read while nobody asks
    assert list(reader) == list(range(1, 10 * AHEAD))


def test_an_error_of_what_is_read_ahead_comes_after_its_blocks():
    def broken():
        yield 1
        raise UserError("gone")

    reader = ahead(broken())
    assert next(reader) == 1
    with pytest.raises(UserError, match="gone"):
        next(reader)
    assert not [thread for thread in threading.enumerate() if thread.name == "m4ser-listen" and thread.is_alive()]


@pytest.fixture
def microphone(monkeypatch):
    """PortAudio's place, which needs hardware: a module that hears three blocks of ones, then is unplugged."""

    class PortAudioError(Exception):
        pass

    class InputStream:
        count = 0

        def __init__(self, samplerate, channels, dtype, blocksize):
            assert (samplerate, channels, dtype) == (16000, 1, "int16")

        def __enter__(self):
            return self

        def __exit__(self, *error):
            return None

        def read(self, frames):
            self.count += 1
            if self.count > 3:
                raise PortAudioError("device unavailable")
            return np.ones((frames, 1), np.int16), self.count == 2

    module = types.SimpleNamespace(InputStream=InputStream, PortAudioError=PortAudioError)
    monkeypatch.setitem(sys.modules, "sounddevice", module)
    return module


def test_a_microphone(microphone, capsys):
    sound, found = listen("mic"), []
    with pytest.raises(UserError, match=r"mic: the microphone has stopped \(device unavailable\)"):
        found.extend(sound.blocks)
    assert (sound.rate, [block.shape for block in found]) == (16000, [(512, 1)] * 3)
    assert "some of its sound is lost" in capsys.readouterr().err


def test_no_microphone(microphone, monkeypatch):
    def none(**options):
        raise microphone.PortAudioError("Error querying device -1")

    monkeypatch.setattr(microphone, "InputStream", none)
    with pytest.raises(UserError, match=r"mic: no microphone can be opened \(Error querying device -1\)"):
        listen("mic")
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(UserError, match=r"mic: needs the Python package sounddevice; run: pip install 'm4ser\[live\]'"):
        listen("mic")


HEAD = wav("PCM_16")[:44]


@given(st.data(), st.binary(max_size=200))
def test_any_bytes_are_sound_or_refused_in_one_line(data, rest):
    """Random changes of a header, random bytes after it, cut anywhere."""
    head = bytearray(HEAD)
    for place in data.draw(st.lists(st.integers(8, 43), max_size=6)):
        head[place] = data.draw(st.integers(0, 255))
    content = bytes(head)[: data.draw(st.integers(0, 44))] + rest
    try:
        for block in read_stream(in_pieces(content)).blocks:
            assert block.ndim == 2 and len(block)
    except UserError as error:
        assert str(error).startswith("-: ") and "\n" not in str(error)
