"""The sound of video files (mp4, mov, mkv, webm, avi), of m4a, wma, aac and amr, which libsndfile does not read."""

import math
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from av.error import FFmpegError

from m4ser.data.truncation import AMR, ASF, TruncatedError, check_container, is_adts

# Less of its promised length than this, and a file counts as cut off. Not 1: lengths of containers are rounded.
COMPLETE = 0.9


class VideoError(Exception):
    """Why a file cannot be used, in a few words."""


def is_container(path: Path) -> bool:
    """Whether a file begins like MP4/MOV/M4A, Matroska/WebM, AVI, WMA, AMR or raw AAC."""
    return _format_of(path) is not None


def decode(path: Path, longest: float = math.inf) -> Iterator[tuple[np.ndarray, int]]:
    """Decode the first audio track: blocks (samples, channels) float32, each with the rate in Hz.

    Raises:
        VideoError: damaged, without sound, or with more than `longest` seconds of it; after the last block: cut off.
    """
    form, count, rate = _format_of(path), 0, 0
    try:
        with av.open(str(path), format=form, metadata_errors="replace") as container:
            if not container.streams.audio:
                raise VideoError("has no audio track")
            stream = container.streams.audio[0]
            if stream.codec_context is None:
                raise VideoError("has sound of a kind that cannot be decoded")
            promised = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else 0.0
            if not promised and container.duration and not container.streams.video:  # Matroska, WebM: of the whole
                promised = container.duration / av.time_base
            if form in ("aac", "amr"):  # they do not say it, and FFmpeg's guess is from the size of the file
                promised = 0.0
            _check_duration(promised, longest)
            for frame in _frames(container, stream):
                rate = rate or frame.sample_rate
                if frame.sample_rate != rate:
                    raise VideoError(f"changes its sampling rate from {rate} to {frame.sample_rate} Hz")
                count += frame.samples
                _check_duration(count / rate, longest)  # before the rest of it fills the memory
                # The sample format only: layout and rate stay. A new one each time, as the layout may change.
                for planar in av.AudioResampler(format="fltp").resample(frame):
                    yield np.ascontiguousarray(planar.to_ndarray().T, dtype=np.float32), rate
    except FFmpegError as error:
        raise VideoError(f"is not a video that can be decoded ({error.strerror})") from None
    except ValueError as error:
        raise VideoError(f"has sound of a kind that cannot be decoded ({error})") from None
    if count < COMPLETE * promised * rate:
        raise VideoError(f"is truncated: it holds {count / rate:.2f} of {promised:.2f} s of sound")
    if count:
        try:
            check_container(path)
        except TruncatedError as error:
            raise VideoError(f"is truncated: {error}") from None


def _format_of(path: Path) -> str | None:
    """FFmpeg's name for what a file begins like; nothing else is tried, as FFmpeg has readers that open other files."""
    with path.open("rb") as file:
        head = file.read(16)
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip"):
        return "mov"
    if head[:4] == b"\x1aE\xdf\xa3":
        return "matroska"
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "avi"
    if head == ASF:
        return "asf"
    if head.startswith(tuple(AMR)):
        return "amr"
    return "aac" if is_adts(head) else None


def _check_duration(seconds: float, longest: float) -> None:
    if seconds > longest:
        raise VideoError(f"lasts {seconds:.0f} s or more, more than the limit of {longest:g} s")


def _frames(container: av.container.InputContainer, stream: av.AudioStream) -> Iterator[av.AudioFrame]:
    for packet in container.demux(stream):
        try:
            yield from packet.decode()
        except FFmpegError:  # one bad packet is a gap of 20 ms; many of them make the file incomplete
            continue
