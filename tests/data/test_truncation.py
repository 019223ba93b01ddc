"""Files that were cut, of the kinds whose decoders do not notice."""

import os
import struct

import av
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from m4ser.data.audio import AudioError, load_16k, read_audio
from m4ser.data.truncation import DamagedError, check_complete

SECONDS = 6
NOISE = np.random.default_rng(0).normal(0, 0.1, SECONDS * 48000).astype(np.float32)


def write_ogg(path):
    soundfile.write(path, NOISE, 48000)


def write_opus(path):
    soundfile.write(path, NOISE, 48000, format="OGG", subtype="OPUS")


def write_av(path, form, codec, picture=False, options=None):
    """The noise in any container; a picture makes it a video."""
    with av.open(str(path), "w", format=form, options=options or {}) as file:
        sound = file.add_stream(codec, rate=48000, layout="mono")
        sound.bit_rate = 64000
        video = None
        if picture:
            video = file.add_stream("mpeg4", rate=10)
            video.width, video.height, video.pix_fmt = 32, 32, "yuv420p"
        convert = av.AudioResampler(format=sound.format, layout="mono", rate=48000, frame_size=None)
        size, images = sound.codec_context.frame_size or 1024, 0
        for start in range(0, len(NOISE) - size + 1, size):
            if video and start * 10 >= images * 48000:
                image = av.VideoFrame.from_ndarray(np.full((32, 32, 3), images % 256, np.uint8), format="rgb24")
                image.pts, images = images, images + 1
                file.mux(video.encode(image))
            frame = av.AudioFrame.from_ndarray(NOISE[None, start : start + size].copy(), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 48000, start
            for converted in convert.resample(frame):
                file.mux(sound.encode(converted))
        file.mux(sound.encode(None))
        if video:
            file.mux(video.encode(None))


KINDS = {
    "a.ogg": write_ogg,
    "a.opus": write_opus,
    "ffmpeg.ogg": lambda path: write_av(path, "ogg", "libopus"),
    "a.avi": lambda path: write_av(path, "avi", "mp3", picture=True),
    "pcm.avi": lambda path: write_av(path, "avi", "pcm_s16le", picture=True),
    "sound.avi": lambda path: write_av(path, "avi", "mp3"),
    "a.mkv": lambda path: write_av(path, "matroska", "aac", picture=True),
    "a.webm": lambda path: write_av(path, "webm", "libopus"),
    "a.aac": lambda path: write_av(path, "adts", "aac"),
    "a.wma": lambda path: write_av(path, "asf", "wmav2"),
}


@pytest.mark.parametrize("name", KINDS)
def test_cut_anywhere(tmp_path, name):
    path = tmp_path / name
    KINDS[name](path)
    assert len(read_audio(path)[0]) == pytest.approx(len(NOISE), rel=0.02)
    content = path.read_bytes()
    for cut in [*(int(len(content) * share) for share in (0.98, 0.95, 0.7, 0.5, 0.31, 0.1, 0.03)), len(content) - 50]:
        path.write_bytes(content[:cut])
        with pytest.raises(AudioError, match=r"is truncated|can be decoded"):
            read_audio(path)
    path.write_bytes(content[: int(len(content) * 0.7)])
    with pytest.raises(AudioError, match=r"is truncated: (it holds|its last (page|frame) is not complete)"):
        read_audio(path, 0.0, 1.0)  # a part that is there


def pages(content):
    """The pages of an Ogg stream."""
    parts = content.split(b"OggS")[1:]
    return [b"OggS" + part for part in parts]


@pytest.mark.parametrize("write", [write_ogg, write_opus])
def test_ogg_cut_between_pages(tmp_path, write):
    """As a stream that was recorded live and never ended looks."""
    path = tmp_path / "a.ogg"
    write(path)
    parts = pages(path.read_bytes())
    assert len(parts) > 4
    for kept in range(3, len(parts)):
        path.write_bytes(b"".join(parts[:kept]))
        with pytest.raises(AudioError, match=r"truncated: nothing marks its end; if it was recorded live"):
            read_audio(path)


def test_ogg_with_a_damaged_last_page(tmp_path):
    path = tmp_path / "a.ogg"
    write_ogg(path)
    content = bytearray(path.read_bytes())
    content[-10] ^= 1
    path.write_bytes(content)
    with pytest.raises(AudioError, match="its last page is not complete"):
        read_audio(path)


@pytest.mark.parametrize("write", [write_ogg, write_opus])
def test_ogg_with_damage_in_the_middle(tmp_path, write):
    """A decoder skips such a page and gives a shorter recording, or noise."""
    path = tmp_path / "a.ogg"
    write(path)
    parts = pages(path.read_bytes())
    for number in range(len(parts) - 1):
        page = bytearray(parts[number])
        page[len(page) // 2] ^= 4
        path.write_bytes(b"".join([*parts[:number], page, *parts[number + 1 :]]))
        place = sum(map(len, parts[:number]))
        with pytest.raises(AudioError, match=f"is damaged: its page at byte {place} is not as it was written"):
            read_audio(path)


@pytest.mark.parametrize("write", [write_ogg, write_opus])
def test_ogg_with_a_hole(tmp_path, write):
    """Pages have numbers; without one, or in another order, they are not the recording."""
    path = tmp_path / "a.ogg"
    write(path)
    parts = pages(path.read_bytes())
    for number in range(len(parts) - 1):
        before, after = parts[:number], parts[number + 1 :]
        exchanged = [*before, after[0], parts[number], *after[1:]]
        for damaged in (before + after, exchanged, [*before, parts[number], *parts[number:]] if number else after):
            path.write_bytes(b"".join(damaged))
            with pytest.raises(AudioError, match=r"is damaged: a page is missing before byte \d+; if it was recorded"):
                read_audio(path, 0.0, 0.1)


def test_ogg_that_changes_is_looked_at_again(tmp_path):
    path = tmp_path / "a.ogg"
    write_ogg(path)
    content = bytearray(path.read_bytes())
    assert len(read_audio(path)[0]) == len(NOISE)
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(AudioError, match="is damaged"):
        read_audio(path)


def test_ogg_streams_behind_and_beside_one_another(tmp_path):
    """Chained and multiplexed streams: each has numbers of its own."""
    for name, write in (("a.ogg", write_ogg), ("b.ogg", write_opus)):
        write(tmp_path / name)
    first, second = (pages((tmp_path / name).read_bytes()) for name in ("a.ogg", "b.ogg"))
    for parts in (first + first, first + second, [first[0], second[0], *first[1:], *second[1:]]):
        (tmp_path / "c.ogg").write_bytes(b"".join(parts))
        check_complete(tmp_path / "c.ogg")
    (tmp_path / "c.ogg").write_bytes(b"".join([first[0], second[0], *first[1:], second[2], *second[3:]]))
    with pytest.raises(DamagedError, match="a page is missing"):
        check_complete(tmp_path / "c.ogg")


@pytest.fixture(scope="module")
def streams(tmp_path_factory):
    """A second of Vorbis and of Opus, a file to try with."""
    path = tmp_path_factory.mktemp("ogg") / "a.ogg"
    contents = []
    for subtype in ("VORBIS", "OPUS"):
        soundfile.write(path, NOISE[:48000], 48000, format="OGG", subtype=subtype)
        contents.append(path.read_bytes())
    return path, contents


@pytest.mark.slow
@given(
    st.integers(0, 1),
    st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(1, 255)), min_size=1, max_size=5, unique_by=lambda c: c[0]),
)
@settings(max_examples=int(os.environ.get("M4SER_FUZZ", "0")) or 100)
def test_no_changed_byte_of_ogg_goes_unnoticed(streams, kind, changes):
    path, found = streams
    content = bytearray(found[kind])
    for place, bits in changes:
        content[place % len(content)] ^= bits
    path.write_bytes(content)
    if content == found[kind]:
        assert len(read_audio(path)[0]) == 48000
    else:
        with pytest.raises(AudioError):
            read_audio(path)


@pytest.mark.slow
@given(st.integers(0, 1), st.data())
@settings(max_examples=int(os.environ.get("M4SER_FUZZ", "0")) or 100)
def test_pages_of_ogg_are_all_there_in_their_order(streams, kind, data):
    path, found = streams
    parts = pages(found[kind])
    every = list(range(len(parts)))
    chosen = data.draw(st.lists(st.sampled_from(every), max_size=len(every) + 1) | st.permutations(every))
    path.write_bytes(b"".join(parts[number] for number in chosen))
    if list(chosen) == every:
        assert len(read_audio(path)[0]) == 48000
    else:
        with pytest.raises(AudioError):
            read_audio(path)


def test_whole_ogg_with_something_behind_it(tmp_path):
    path = tmp_path / "a.ogg"
    write_opus(path)
    whole = load_16k(path)
    path.write_bytes(path.read_bytes() + bytes(1000))
    assert np.array_equal(load_16k(path), whole)


def test_avi_and_matroska_from_a_pipe_do_not_say_how_long_they_are(tmp_path):
    path = tmp_path / "a.avi"
    KINDS["pcm.avi"](path)
    content = bytearray(path.read_bytes())
    content[4:8] = struct.pack("<I", 0)
    path.write_bytes(content)
    assert len(read_audio(path)[0]) == pytest.approx(len(NOISE), rel=0.01)
    write_av(tmp_path / "a.webm", "webm", "libopus", options={"live": "1"})  # as browsers record
    assert len(read_audio(tmp_path / "a.webm")[0]) == pytest.approx(len(NOISE), rel=0.01)


def test_aac_with_a_tag_behind_it_is_whole(tmp_path):
    path = tmp_path / "a.aac"
    KINDS["a.aac"](path)
    whole = load_16k(path)
    path.write_bytes(path.read_bytes() + b"TAG" + bytes(125))
    assert len(load_16k(path)) == len(whole)


@pytest.mark.parametrize(("magic", "kind", "size", "rate"), [(b"#!AMR\n", 7, 32, 8000), (b"#!AMR-WB\n", 8, 61, 16000)])
def test_amr(tmp_path, magic, kind, size, rate):
    """Nothing here writes AMR; frames of any bits are noise."""
    frames = [bytes([kind << 3 | 4]) + np.random.default_rng(i).bytes(size - 1) for i in range(50)]
    path = tmp_path / "a.amr"
    path.write_bytes(magic + b"".join(frames))
    samples, found = read_audio(path)
    assert (len(samples), found) == (50 * rate // 50, rate)
    path.write_bytes(magic + b"".join(frames)[: size * 30 + 7])
    with pytest.raises(AudioError, match="its last frame is not complete"):
        read_audio(path)


def test_wav_header_without_end(tmp_path):
    """Chunks of no bytes for ever, and one that says it is larger than the memory."""
    with open(tmp_path / "a.wav", "wb") as file:
        file.write(b"RIFF" + struct.pack("<I", 0xFFFFFFF0) + b"WAVE")
        file.truncate(1 << 36)
    with pytest.raises(AudioError, match="none of the samples"):
        read_audio(tmp_path / "a.wav")
    with open(tmp_path / "b.wav", "wb") as file:
        file.write(b"RF64" + struct.pack("<I", 0xFFFFFFFF) + b"WAVEds64" + struct.pack("<I", 0xFFFFFFF0))
        file.truncate(1 << 36)
    with pytest.raises(AudioError, match="none of the samples"):
        read_audio(tmp_path / "b.wav")
