"""Reading audio of any common format, rate and channel count, and saying clearly why a file cannot be used."""

import io
import math
import re
import struct
from pathlib import Path

import numpy as np
import soundfile
import soxr

from m4ser.data.video import VideoError, decode, is_container
from m4ser.utils.errors import UserError

RATE = 16000
# A segment may end this many seconds after its recording does: corpora round their times.
OVERSHOOT = 0.5
# Sampling rates beyond this are damaged headers: resampling would take any amount of memory.
SLOWEST, FASTEST = 1000, 1_000_000
BLOCK = 1 << 20  # frames read at a time: memory grows with what a file holds, not with what its header promises
# Some programs count the header itself (44 bytes) as audio; a file that lacks no more than that is whole.
HEADER_BYTES = 44
# Programs that write WAV to a pipe cannot go back to fill in the length; they leave 0 or about the largest number.
UNKNOWN_LENGTH = 0x7FFFF000


class AudioError(UserError):
    """One recording is missing or unusable. `--skip-bad-audio true` leaves such recordings out."""

    def __init__(self, path: str | Path, reason: str, remedy: str) -> None:
        super().__init__(f"{path}: {reason}; {remedy}, or leave it out with --skip-bad-audio true")
        self.path, self.reason = Path(path), reason


def read_audio(
    path: str | Path, start: float | None = None, end: float | None = None, longest: float = math.inf
) -> tuple[np.ndarray, int]:
    """Read a recording, or its part from `start` to `end` (seconds), as the mean of its channels.

    Returns:
        Samples in -1..1, shape (samples,) float32, and the sampling rate in Hz.

    Raises:
        AudioError: the file is missing, empty, truncated, not audio, all zero, has NaN or infinite samples, or lasts
            more than `longest` seconds.
    """
    path = Path(path)
    try:
        if not path.is_file():
            fault = (
                "no such file" if not path.exists() else "is a folder" if path.is_dir() else "is not an ordinary file"
            )
            raise AudioError(path, fault, "copy it there or correct wav.scp")
        if path.stat().st_size == 0:
            raise AudioError(path, "the file is empty (0 bytes)", "copy it again")
        _check_complete(path)
        channels, rate = _decode(path, start, end, longest)
    except (OSError, MemoryError) as error:
        raise AudioError(path, f"cannot be read ({error_text(error)})", "copy it again") from None
    try:
        return as_samples(channels, path), rate
    except SampleError as error:
        raise AudioError(path, error.reason, error.remedy) from None


class SampleError(UserError):
    """Samples that cannot be used."""

    def __init__(self, name: str | Path, reason: str, remedy: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.reason, self.remedy = reason, remedy


def as_samples(channels: np.ndarray, name: str | Path = "array") -> np.ndarray:
    """Mean of the channels of (samples,) or (samples, channels): (samples,) float32 in -1..1.

    Integers are scaled by their type's range.

    Raises:
        SampleError: nothing in it, all zero, NaN or infinite samples, or values far beyond -1..1.
    """
    if channels.ndim not in (1, 2):
        raise SampleError(name, f"has {channels.ndim} dimensions", "give (samples,) or (samples, channels)")
    if channels.dtype.kind in "iu":
        scale = float(np.iinfo(channels.dtype).max) + 1.0
        offset = scale / 2 if channels.dtype.kind == "u" else 0.0
        channels = (channels - offset) / (offset or scale)
    if channels.dtype.kind != "f":
        raise SampleError(name, f"has values of type {channels.dtype}", "give numbers")
    channels = channels.astype(np.float32, copy=False)
    if channels.ndim == 1:
        channels = channels[:, None]
    if channels.size == 0:
        raise SampleError(name, "holds no samples", "copy it again")
    if not np.isfinite(channels).all():
        raise SampleError(name, "has samples that are NaN or infinite", "convert it again from its source")
    peak = float(np.abs(channels).max())
    if peak > 100:  # integers stored as floats would become a square wave
        raise SampleError(name, f"has samples up to {peak:.0f} instead of -1..1", "divide them by 32768")
    samples = channels.mean(axis=1)
    if not samples.any():
        raise SampleError(name, "all samples are zero", "copy it again from its source")
    return samples


def resample(samples: np.ndarray, rate: int, target: int = RATE) -> np.ndarray:
    """Resample (samples,) float32 from `rate` to `target` Hz with soxr's very-high-quality filter (linear phase)."""
    if rate == target:
        return samples
    return soxr.resample(samples, rate, target, quality="VHQ")


def load_16k(
    path: str | Path, start: float | None = None, end: float | None = None, longest: float = math.inf
) -> np.ndarray:
    """Read as :func:`read_audio` does and resample to 16 kHz: shape (samples,) float32."""
    return resample(*read_audio(path, start, end, longest))


def at_speed(samples: np.ndarray, factor: float) -> np.ndarray:
    """Play (samples,) float32 `factor` times faster: resampled, so that pitch and formants move too (sox `speed`)."""
    return samples if factor == 1 else soxr.resample(samples, factor, 1.0, quality="VHQ")


def to_16_bit(samples: np.ndarray) -> np.ndarray:
    """(samples,) float32 -> int16; samples beyond -1..1 are clipped. 16-bit sources survive bit for bit."""
    return np.clip(np.rint(samples * 32768.0), -32768, 32767).astype(np.int16)


def as_stage_1(samples: np.ndarray) -> np.ndarray:
    """16 kHz samples as they are read from the 16-bit files of stage 1: (samples,) float32 -> (samples,) float32."""
    return to_16_bit(samples).astype(np.float32) / 32768.0


def write_flac(path: str | Path, samples: np.ndarray, rate: int = RATE, source: str | Path = "") -> None:
    """Write mono 16-bit FLAC, see :func:`to_16_bit`.

    Raises:
        AudioError: naming `source`, if nothing is left of it in 16 bit.
        OSError: the disk is full.
    """
    whole = to_16_bit(samples)
    if not whole.any():
        raise AudioError(source or path, "is so quiet that all samples are zero in 16 bit", "amplify it")
    content = io.BytesIO()  # libsndfile would not say that the disk is full
    soundfile.write(content, whole, rate, format="FLAC", subtype="PCM_16")
    Path(path).write_bytes(content.getvalue())


def error_text(error: Exception) -> str:
    """What an exception says, on one line."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split()) or type(error).__name__


def _decode(path: Path, start: float | None, end: float | None, longest: float) -> tuple[np.ndarray, int]:
    """Decode to (frames, channels) float32 and the rate in Hz.

    libsndfile reads wav, flac, ogg, opus, mp3, aiff, au, sphere, caf ...; the sound of video files comes from PyAV.
    """
    try:
        with soundfile.SoundFile(_repaired(path)) as file:
            if file.format == "RAW":  # libsndfile takes anything called .au, .snd or .vox for audio without a header
                raise AudioError(path, "is not audio that can be decoded", "copy or convert it again")
            if not SLOWEST <= file.samplerate <= FASTEST:
                raise AudioError(path, f"has a sampling rate of {file.samplerate} Hz", "convert it again")
            first, count = _span(path, file.frames, file.samplerate, start, end)
            _check_duration(path, count / file.samplerate, longest)
            if first:
                file.seek(first)
            channels = _read(file, count)
            # Not every sample: the length of an MP3 file may be an estimate.
            if len(channels) < 0.9 * count:
                raise _truncated(path, f"{len(channels)} of {count} samples")
            return channels, file.samplerate
    except soundfile.LibsndfileError:
        if is_container(path):
            return _decode_video(path, start, end, longest)
        # libsndfile's own words mislead ("File does not exist" for a damaged MP3).
        fault = "is a truncated or damaged FLAC file" if _is_flac(path) else "is not audio that can be decoded"
        raise AudioError(path, fault, "copy or convert it again") from None


def _read(file: soundfile.SoundFile, count: int) -> np.ndarray:
    """Read up to `count` frames: (frames, channels) float32."""
    blocks = []
    while count > 0:
        blocks.append(file.read(min(BLOCK, count), dtype="float32", always_2d=True))
        count -= len(blocks[-1])
        if len(blocks[-1]) < BLOCK:
            break
    return np.concatenate(blocks) if blocks else np.zeros((0, file.channels), np.float32)


def _check_duration(path: Path, seconds: float, longest: float) -> None:
    if seconds > longest:
        raise AudioError(path, f"lasts {seconds:.0f} s, more than the limit of {longest:g} s", "cut it")


def _decode_video(path: Path, start: float | None, end: float | None, longest: float) -> tuple[np.ndarray, int]:
    try:
        channels, rate = decode(path, longest)
    except VideoError as error:
        raise AudioError(path, str(error), "copy it again") from None
    first, count = _span(path, len(channels), rate, start, end)
    _check_duration(path, count / rate, longest)
    return channels[first : first + count], rate


def _span(path: Path, frames: int, rate: int, start: float | None, end: float | None) -> tuple[int, int]:
    """First frame and number of frames to read."""
    if frames > 1 << 40:
        raise AudioError(path, "does not say how long it is (FLAC written to a pipe)", "convert it again to a file")
    first = round((start or 0.0) * rate)
    last = frames if end is None else round(end * rate)
    if first >= frames > 0 or last > frames + OVERSHOOT * rate:
        wanted = f"{start or 0:.2f} to {'its end' if end is None else format(end, '.2f')} s"
        raise AudioError(path, f"lasts {frames / rate:.2f} s, but segments asks for {wanted}", "correct segments")
    return first, max(0, min(last, frames) - first)


def _truncated(path: Path, held: str) -> AudioError:
    return AudioError(path, f"is truncated: it holds {held} that its header promises", "copy it again")


def _is_flac(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"fLaC"


def _wav_data(path: Path) -> tuple[int, int] | None:
    """Where the samples of a WAV file start, and how many bytes its header promises; None if it is not WAV.

    libsndfile takes a cut file for a shorter one without a word, so this has to be looked at here.
    """
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] not in (b"RIFF", b"RIFX", b"RF64") or head[8:12] not in (b"WAVE", b""):
            return None
        order = ">I" if head[:4] == b"RIFX" else "<I"
        long_size = None  # of RF64, which has no room for it where WAV has its size
        while len(chunk := file.read(8)) == 8:
            (size,) = struct.unpack(order, chunk[4:])
            if chunk[:4] == b"data":
                return file.tell(), size if long_size is None else long_size
            if chunk[:4] == b"ds64":
                content = file.read(size + size % 2)
                _, long_size = struct.unpack("<QQ", content[:16].ljust(16, b"\0"))
                continue
            file.seek(size + size % 2, 1)
    raise _truncated(path, "none of the samples")


def _check_complete(path: Path) -> None:
    data = _wav_data(path) or _other_data(path)
    if data is None:
        return
    start, promised = data
    held = path.stat().st_size - start
    if held < promised - HEADER_BYTES and promised < UNKNOWN_LENGTH:
        raise _truncated(path, f"{held} of {promised} bytes")


def _other_data(path: Path) -> tuple[int, int] | None:
    """As :func:`_wav_data` for AIFF, AU, W64 and NIST SPHERE: a place in the file and how many bytes follow it."""
    with path.open("rb") as file:
        head = file.read(1024)
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return 8, struct.unpack(">I", head[4:8])[0]
    if head[:4] == b".snd" and len(head) >= 12:
        return struct.unpack(">II", head[4:12])
    if head[:4] == b"riff" and len(head) >= 24:
        return 0, struct.unpack("<Q", head[16:24])[0]
    if head[:7] == b"NIST_1A":
        fields = dict(re.findall(rb"(\w+) -[is]\d* (\S+)", head))
        if fields.get(b"sample_coding", b"pcm") == b"pcm" and b"sample_count" in fields:  # not packed
            samples = int(fields[b"sample_count"]) * int(fields.get(b"channel_count", 1))
            return int(head[8:16]), samples * int(fields.get(b"sample_n_bytes", 2))
    return None


def _repaired(path: Path) -> Path | io.BytesIO:
    """The file itself, or if it is a WAV file whose length was never filled in (0), its content with the length."""
    data = _wav_data(path)
    if data is None or data[1] != 0:
        return path
    content = bytearray(path.read_bytes())
    content[4:8] = struct.pack("<I", len(content) - 8)
    content[data[0] - 4 : data[0]] = struct.pack("<I", len(content) - data[0])
    return io.BytesIO(content)
