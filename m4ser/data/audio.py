"""Reading audio of any common format, rate and channel count, and saying clearly why a file cannot be used."""

import io
import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
import soxr

from m4ser.data.truncation import UNKNOWN_LENGTH, TruncatedError, check_complete, wav_data
from m4ser.data.video import VideoError, decode, is_container
from m4ser.utils.errors import UserError

RATE = 16000
# A segment may end this many seconds after its recording does: corpora round their times.
OVERSHOOT = 0.5
# Sampling rates beyond this are damaged headers: resampling would take any amount of memory.
SLOWEST, FASTEST = 1000, 1_000_000
BLOCK = 1 << 20  # samples of all channels that are decoded at a time
# Frames times channels; more take minutes to decode, and a file of some kilobytes can promise them. A meeting of four
# hours in eight channels of 16 kHz, or two hours in stereo of 96 kHz have less.
MOST_SAMPLES = 2_000_000_000
SHORTEST = 0.01  # seconds; less than that is no sound that anybody hears


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
    blocks, rates = zip(*_blocks(Path(path), start, end, longest), strict=True)
    return np.concatenate(blocks), rates[0]


def read_blocks(path: str | Path) -> Iterator[tuple[np.ndarray, int]]:
    """Read a recording block by block: the mean of the channels (samples,) float32, and the rate in Hz.

    Raises:
        AudioError: see :func:`read_audio`; some faults are only known after the last block.
    """
    yield from _blocks(Path(path), None, None, math.inf)


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
    mixer = Mixer(name)
    samples = mixer.mix(channels)
    mixer.check()
    return samples


class Mixer:
    """Mean of the channels, block by block; what is wrong with the samples of all blocks."""

    def __init__(self, name: str | Path) -> None:
        self.name, self.count, self.peak, self.silent = name, 0, 0.0, True

    def mix(self, channels: np.ndarray) -> np.ndarray:
        """As :func:`as_samples`, of one block."""
        if channels.ndim not in (1, 2):
            raise SampleError(self.name, f"has {channels.ndim} dimensions", "give (samples,) or (samples, channels)")
        if channels.dtype.kind in "iu":
            scale = float(np.iinfo(channels.dtype).max) + 1.0
            offset = scale / 2 if channels.dtype.kind == "u" else 0.0
            channels = (channels - offset) / (offset or scale)
        if channels.dtype.kind != "f":
            raise SampleError(self.name, f"has values of type {channels.dtype}", "give numbers")
        channels = channels.astype(np.float32, copy=False)
        if channels.ndim == 1:
            channels = channels[:, None]
        if channels.size == 0:
            return np.zeros(0, np.float32)
        if not np.isfinite(channels).all():
            raise SampleError(self.name, "has samples that are NaN or infinite", "convert it again from its source")
        self.peak = max(self.peak, float(np.abs(channels).max()))
        samples = channels.mean(axis=1)
        self.silent = self.silent and not samples.any()
        self.count += len(samples)
        return samples

    def check(self) -> None:
        """Refuse what the blocks make together.

        Raises:
            SampleError: see :func:`as_samples`.
        """
        if not self.count:
            raise SampleError(self.name, "holds no samples", "copy it again")
        self.check_peak()
        if self.silent:
            raise SampleError(self.name, "all samples are zero", "copy it again from its source")

    def check_peak(self) -> None:
        """Refuse values far beyond -1..1.

        Raises:
            SampleError: integers stored as floats, which would become a square wave.
        """
        if self.peak > 100:
            raise SampleError(self.name, f"has samples up to {self.peak:.0f} instead of -1..1", "divide them by 32768")


def resample(samples: np.ndarray, rate: int, target: int = RATE) -> np.ndarray:
    """Resample (samples,) float32 from `rate` to `target` Hz with soxr's very-high-quality filter (linear phase)."""
    if rate == target:
        return samples
    return soxr.resample(samples, rate, target, quality="VHQ")


def load_16k(
    path: str | Path, start: float | None = None, end: float | None = None, longest: float = math.inf
) -> np.ndarray:
    """Read as :func:`read_audio` does and resample to 16 kHz: shape (samples,) float32.

    Memory grows with what is returned, whatever the rate and the channels of the file are.

    Raises:
        AudioError: see there, or it lasts less than 10 ms.
    """
    blocks: list[np.ndarray] = []
    stream: soxr.ResampleStream | None = None
    for block, rate in _blocks(Path(path), start, end, longest):
        if rate != RATE and stream is None:  # gives what `resample` gives of the whole, bit for bit
            stream = soxr.ResampleStream(rate, RATE, 1, dtype="float32", quality="VHQ")
        blocks.append(block if stream is None else stream.resample_chunk(block))
    if stream is not None:
        blocks.append(stream.resample_chunk(np.zeros(0, np.float32), last=True))
    samples = np.concatenate(blocks)
    check_length(samples, path)
    return samples


def check_length(samples: np.ndarray, name: str | Path) -> None:
    """Refuse 16 kHz samples that are too few to be speech.

    Raises:
        AudioError: less than 10 ms.
    """
    if len(samples) < SHORTEST * RATE:
        raise AudioError(name, f"is too short: it lasts {1000 * len(samples) / RATE:.2g} ms", "record it again")


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


def _blocks(path: Path, start: float | None, end: float | None, longest: float) -> Iterator[tuple[np.ndarray, int]]:
    """Decode, average the channels: blocks (samples,) float32, at least one, each with the rate in Hz.

    Raises:
        AudioError: see :func:`read_audio`; some faults are only known after the last block.
    """
    mixer = Mixer(path)
    try:
        if not path.is_file():
            fault = (
                "no such file" if not path.exists() else "is a folder" if path.is_dir() else "is not an ordinary file"
            )
            raise AudioError(path, fault, "copy it there or correct wav.scp")
        if path.stat().st_size == 0:
            raise AudioError(path, "the file is empty (0 bytes)", "copy it again")
        check_complete(path)
        for channels, rate in _decode(path, start, end, longest):
            yield mixer.mix(channels), rate
        mixer.check()
    except TruncatedError as error:
        raise AudioError(path, f"is {error.what}: {error}", "copy it again") from None
    except SampleError as error:
        raise AudioError(path, error.reason, error.remedy) from None
    except (OSError, MemoryError) as error:
        raise AudioError(path, f"cannot be read ({error_text(error)})", "copy it again") from None


def _decode(path: Path, start: float | None, end: float | None, longest: float) -> Iterator[tuple[np.ndarray, int]]:
    """Decode to blocks (frames, channels) float32, each with the rate in Hz.

    libsndfile reads wav, flac, ogg, opus, mp3, aiff, au, sphere, caf ...; the sound of video files comes from PyAV.
    """
    with path.open("rb", buffering=0) as content:
        try:
            # Not by its name: libsndfile takes anything called .au, .snd or .vox for audio without a header.
            file = soundfile.SoundFile(_repaired(path, content), closefd=False)
        except soundfile.LibsndfileError:
            file = None
        if file is not None:
            with file:
                yield from _decode_sound(path, file, start, end, longest)
            return
    if is_container(path):
        yield from _decode_video(path, start, end, longest)
        return
    # libsndfile's own words mislead ("File does not exist" for a damaged MP3).
    fault = "is a truncated or damaged FLAC file" if _is_flac(path) else "is not audio that can be decoded"
    raise AudioError(path, fault, "copy or convert it again")


def _decode_sound(
    path: Path, file: soundfile.SoundFile, start: float | None, end: float | None, longest: float
) -> Iterator[tuple[np.ndarray, int]]:
    if not SLOWEST <= file.samplerate <= FASTEST:
        raise AudioError(path, f"has a sampling rate of {file.samplerate} Hz", "convert it again")
    first, count = _span(path, file.frames, file.samplerate, start, end)
    _check_duration(path, count / file.samplerate, longest)
    if _is_flac(path) and count / 65535 > path.stat().st_size / 10:  # at most 65535 samples in a frame of some bytes
        raise AudioError(path, "is a truncated or damaged FLAC file", "copy or convert it again")
    _check_amount(path, count, file.channels)
    held, size = 0, max(1, BLOCK // file.channels)
    try:
        if first:
            file.seek(first)
        while held < count:
            block_size = min(size, count - held)
            block = file.read(block_size, dtype="float32", always_2d=True)
            held += len(block)
            yield block, file.samplerate
            if len(block) < block_size:
                break
    except soundfile.LibsndfileError:
        fault = "is a truncated or damaged FLAC file" if _is_flac(path) else "is not audio that can be decoded"
        raise AudioError(path, fault, "copy or convert it again") from None
    # Not every sample: the length of an MP3 file may be an estimate.
    if held < 0.9 * count:
        raise TruncatedError(f"it holds {held} of {count} samples that its header promises")


def _check_duration(path: Path, seconds: float, longest: float) -> None:
    if seconds > longest:
        raise AudioError(path, f"lasts {seconds:.0f} s, more than the limit of {longest:g} s", "cut it")


def _check_amount(path: Path, frames: int, channels: int) -> None:
    if frames * channels > MOST_SAMPLES:
        shown = f"has {channels} channels of {frames} samples, together more than the limit of {MOST_SAMPLES}"
        raise AudioError(path, shown, "cut it, or keep one channel")


def _decode_video(
    path: Path, start: float | None, end: float | None, longest: float
) -> Iterator[tuple[np.ndarray, int]]:
    """All of it is decoded, also for a part: only at the end it is known whether it is whole."""
    place, rate, held = 0, RATE, 0
    try:
        for block, rate in decode(path, longest):
            held += block.size
            _check_amount(path, -(-held // block.shape[1]), block.shape[1])
            first = round((start or 0.0) * rate) - place
            last = len(block) if end is None else round(end * rate) - place
            place += len(block)
            if len(part := block[max(0, first) : max(0, last)]):
                yield part, rate
    except VideoError as error:
        raise AudioError(path, str(error), "copy it again") from None
    _, count = _span(path, place, rate, start, end)
    _check_duration(path, count / rate, longest)


def _span(path: Path, frames: int, rate: int, start: float | None, end: float | None) -> tuple[int, int]:
    """First frame and number of frames to read."""
    if frames > 1 << 40:
        raise AudioError(path, "does not say how long it is (FLAC written to a pipe)", "convert it again to a file")
    first = round((start or 0.0) * rate)
    last = frames if end is None else round(end * rate)
    if first >= frames > 0 or last > frames + OVERSHOOT * rate:
        span = f"{start or 0:.2f} to {'its end' if end is None else format(end, '.2f')} s"
        raise AudioError(path, f"lasts {frames / rate:.2f} s, but segments asks for {span}", "correct segments")
    return first, max(0, min(last, frames) - first)


def _is_flac(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"fLaC"


class _Overlaid(io.RawIOBase):
    """A file as it is, but for some bytes at its beginning."""

    def __init__(self, file: BinaryIO, head: bytes) -> None:
        self.file, self.head = file, head

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self.file.seek(offset, whence)

    def tell(self) -> int:
        return self.file.tell()

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        place = self.file.tell()
        count = self.file.readinto(buffer) or 0  # type: ignore[attr-defined]
        overlay = self.head[place : place + count]
        buffer[: len(overlay)] = overlay
        return count


def _repaired(path: Path, file: io.FileIO) -> int | io.RawIOBase:
    """What libsndfile reads: the open file, or if it is a WAV file whose length was never filled in (0), with it."""
    data = wav_data(path)
    if data is None or data[1] != 0 or data[0] > BLOCK:
        return file.fileno()
    size, head = path.stat().st_size, bytearray(file.read(data[0]))
    file.seek(0)
    head[4:8] = struct.pack("<I", min(size - 8, UNKNOWN_LENGTH))
    head[data[0] - 4 :] = struct.pack("<I", min(size - data[0], UNKNOWN_LENGTH))
    return _Overlaid(file, bytes(head))
