import types

import av
import numpy as np
import pytest
import soundfile

from m4ser.data.audio import AudioError, load_16k, read_audio
from m4ser.data.video import is_container


def tone(seconds=1.0, rate=48000, hertz=440.0):
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


def test_three_channels_become_mono_16k(tmp_path, write_mp4):
    path = tmp_path / "dia0 é.mp4"
    left, right, centre = tone(hertz=300), tone(hertz=500), tone(hertz=700)
    write_mp4(path, np.stack([left, right, centre]), layout="3.0")
    samples, rate = read_audio(path)
    assert (rate, samples.dtype, samples.ndim) == (48000, np.float32, 1)
    assert 48000 <= len(samples) < 48000 + 1024  # AAC works in blocks of 1024
    mean = (left + right + centre) / 3
    assert np.corrcoef(samples[:48000], mean)[0, 1] > 0.99
    assert abs(len(load_16k(path)) - 16000) < 400


def test_part_of_a_video(tmp_path, write_mp4):
    path = tmp_path / "a.mp4"
    sweep = np.concatenate([tone(hertz=300), tone(hertz=600)])
    write_mp4(path, sweep[None])
    whole, part = read_audio(path)[0], read_audio(path, 0.5, 1.25)[0]
    assert np.array_equal(part, whole[24000:60000])
    with pytest.raises(AudioError, match=r"lasts 2\.\d+ s, but segments asks for 3\.00 to 4\.00 s"):
        read_audio(path, 3.0, 4.0)


def test_m4a_and_avi(tmp_path, write_mp4):
    write_mp4(tmp_path / "a.m4a", tone()[None], picture=False)
    assert len(read_audio(tmp_path / "a.m4a")[0]) >= 48000
    (tmp_path / "a.avi").write_bytes(b"RIFF\0\0\0\0AVI LIST")
    assert is_container(tmp_path / "a.avi")
    soundfile.write(tmp_path / "a.wav", tone(), 48000)
    assert not is_container(tmp_path / "a.wav")


def test_damage_is_named(tmp_path, write_mp4):
    good, cut = tmp_path / "good.mp4", tmp_path / "cut.mp4"
    write_mp4(good, tone(4.0)[None])
    cut.write_bytes(good.read_bytes()[: good.stat().st_size // 2])  # the index, at the end, is gone
    with pytest.raises(AudioError, match="is not a video that can be decoded"):
        read_audio(cut)
    write_mp4(good, tone(4.0)[None], movflags="faststart")  # the index comes first
    cut.write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    with pytest.raises(AudioError, match=r"is truncated: it holds \d\.\d+ of 4\.\d+ s of sound; copy it again"):
        read_audio(cut)
    write_mp4(good, None)
    with pytest.raises(AudioError, match="has no audio track"):
        read_audio(good)
    write_mp4(good, np.zeros((1, 48000), np.float32))
    with pytest.raises(AudioError, match="all samples are zero"):
        read_audio(good)


def test_matroska_tells_its_length_elsewhere(tmp_path):
    """No stream has a length there, only the whole; what a browser records has none at all."""
    whole, cut = tmp_path / "a.webm", tmp_path / "cut.webm"
    with av.open(str(whole), "w", format="webm") as file:
        stream = file.add_stream("libopus", rate=48000, layout="mono")
        stream.bit_rate = 64000
        noise = np.random.default_rng(0).normal(0, 0.1, (1, 8 * 48000)).astype(np.float32)
        for start in range(0, noise.shape[1], 960):
            sound = av.AudioFrame.from_ndarray(noise[:, start : start + 960].copy(), format="fltp", layout="mono")
            sound.sample_rate, sound.pts = 48000, start
            file.mux(stream.encode(sound))
        file.mux(stream.encode(None))
    assert len(read_audio(whole)[0]) == pytest.approx(8 * 48000, rel=0.01)
    with pytest.raises(AudioError, match="more than the limit of 5 s"):
        read_audio(whole, longest=5)
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(AudioError, match=r"is truncated: it holds [34]\.\d+ of 8\.\d+ s of sound"):
        read_audio(cut)


def test_a_bad_packet_is_a_gap(tmp_path, write_mp4):
    path = tmp_path / "a.mp4"
    write_mp4(path, tone(4.0)[None], movflags="faststart")
    content = bytearray(path.read_bytes())
    middle = len(content) - len(content) // 4
    content[middle : middle + 40] = b"\xff" * 40
    path.write_bytes(content)
    assert len(read_audio(path)[0]) > 0.9 * 4 * 48000


@pytest.mark.parametrize("kind", [b"mhm1", b"ac-4", b"zzzz"])
def test_sound_of_a_kind_without_a_decoder(tmp_path, kind):
    path = tmp_path / "a.mov"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("pcm_s16le", rate=48000, layout="mono")
        samples = (tone()[None] * 32768).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate = 48000
        file.mux(stream.encode(frame))
    assert len(read_audio(path)[0]) == 48000
    path.write_bytes(path.read_bytes().replace(b"sowt", kind))
    with pytest.raises(AudioError, match="has sound of a kind that cannot be decoded; "):
        read_audio(path)


def test_kinds_of_frames_may_change(tmp_path, monkeypatch):
    """Decoders of AAC find out late that there are two channels; another rate cannot be used."""
    path = tmp_path / "a.mp4"
    path.write_bytes(b"\0\0\0\x18ftypmp42")

    def frame(channels, rate):
        made = av.AudioFrame.from_ndarray(np.full((channels, 480), 0.25, np.float32), format="fltp",
                                          layout="mono" if channels == 1 else "stereo")  # fmt: skip
        made.sample_rate = rate
        return made

    class Opened:
        duration = None

        def __enter__(self):
            stream = types.SimpleNamespace(codec_context=1, duration=None, time_base=None)
            self.streams = types.SimpleNamespace(audio=[stream], video=[])
            return self

        def __exit__(self, *error):
            return None

    monkeypatch.setattr("m4ser.data.video.av.open", lambda *args, **kwargs: Opened())
    monkeypatch.setattr("m4ser.data.video._frames", lambda *args: iter([frame(1, 48000), frame(2, 48000)]))
    assert read_audio(path)[0].tolist() == [0.25] * 960
    monkeypatch.setattr("m4ser.data.video._frames", lambda *args: iter([frame(1, 48000), frame(1, 24000)]))
    with pytest.raises(AudioError, match="changes its sampling rate from 48000 to 24000 Hz"):
        read_audio(path)
