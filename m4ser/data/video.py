"""The sound of video files (mp4, mov, mkv, webm, avi) and of m4a, which libsndfile does not read."""

import math
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from av.error import FFmpegError

# Less of its promised length than this, and a file counts as cut off. Not 1: lengths of containers are rounded.
COMPLETE = 0.9


class VideoError(Exception):
    """Why a file cannot be used, in a few words."""


def is_container(path: Path) -> bool:
    """Whether a file begins like MP4/MOV/M4A, Matroska/WebM or AVI."""
    with path.open("rb") as file:
        head = file.read(12)
    return head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip") or (
        head[:4] == b"\x1aE\xdf\xa3" or (head[:4] == b"RIFF" and head[8:] == b"AVI ")
    )


def decode(path: Path, longest: float = math.inf) -> tuple[np.ndarray, int]:
    """Decode the first audio track: shape (samples, channels) float32 and its rate in Hz.

    Raises:
        VideoError: damaged, cut off, without sound, or with more than `longest` seconds of it.
    """
    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise VideoError("has no audio track")
            stream = container.streams.audio[0]
            promised = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else 0.0
            if not promised and container.duration and not container.streams.video:  # Matroska, WebM: of the whole
                promised = container.duration / av.time_base
            rate = stream.rate
            _check_duration(promised, longest)
            resampler = av.AudioResampler(format="fltp")  # sample format only: layout and rate stay
            frames, count = [], 0
            for frame in _frames(container, stream):
                frames += resampler.resample(frame)
                count += frame.samples
                _check_duration(count / rate, longest)  # before the rest of it fills the memory
    except FFmpegError as error:
        raise VideoError(f"is not a video that can be decoded ({error.strerror})") from None
    if not frames:
        return np.zeros((0, 1), np.float32), rate
    samples = np.concatenate([frame.to_ndarray() for frame in frames], axis=1).T
    if len(samples) < COMPLETE * promised * rate:
        raise VideoError(f"is truncated: it holds {len(samples) / rate:.2f} of {promised:.2f} s of sound")
    return np.ascontiguousarray(samples, dtype=np.float32), rate


def _check_duration(seconds: float, longest: float) -> None:
    if seconds > longest:
        raise VideoError(f"lasts {seconds:.0f} s or more, more than the limit of {longest:g} s")


def _frames(container: av.container.InputContainer, stream: av.AudioStream) -> Iterator[av.AudioFrame]:
    for packet in container.demux(stream):
        try:
            yield from packet.decode()
        except FFmpegError:  # one bad packet is a gap of 20 ms; many of them make the file incomplete
            continue
