"""Blocks of samples as they come: from the standard input, a microphone, or a file to try it with."""

import os
import queue
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np

from m4ser.data.audio import RATE, read_blocks
from m4ser.data.truncation import MOST_CHUNKS, UNKNOWN_LENGTH
from m4ser.utils.cli import note
from m4ser.utils.errors import UserError
from m4ser.utils.extras import missing

STDIN, MICROPHONE = "-", "mic"
AT_ONCE = 1 << 16  # bytes that are read at a time, if as many are there
AHEAD = 256  # blocks that wait while a segment is predicted: at least 8 s of a microphone, at most 16 MB of a pipe
BLOCK = RATE // 2  # samples of a file at a time
HEARD = 512  # samples of a microphone at a time
# (format, bits) of the samples in a WAV header -> type; 24 bits have none
PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
TYPES = {(PCM, 8): "u1", (PCM, 16): "<i2", (PCM, 24): "", (PCM, 32): "<i4", (FLOAT, 32): "<f4", (FLOAT, 64): "<f8"}
T = TypeVar("T")


@dataclass
class Sound:
    """Sound that comes: blocks (samples,) or (samples, channels), and their rate in Hz."""

    rate: int
    blocks: Iterator[np.ndarray]


@dataclass(frozen=True)
class Raw:
    """Samples without a header: 16-bit integers, little-endian, channels one after the other."""

    rate: int
    channels: int = 1

    @classmethod
    def parse(cls, text: str) -> "Raw":
        """From `RATE` or `RATE,CHANNELS`.

        >>> Raw.parse("48000,2")
        Raw(rate=48000, channels=2)

        Raises:
            ValueError: it is neither.
        """
        rate, _, channels = text.partition(",")
        raw = cls(int(rate), int(channels or 1))
        if not (raw.rate > 0 and 0 < raw.channels <= 1024):
            raise ValueError(text)
        return raw


def listen(name: str, raw: Raw | None = None) -> Sound:
    """Open sound: `-` is the standard input, `mic` the microphone, anything else a file.

    Args:
        name: see above.
        raw: of a standard input that has no header.

    Raises:
        UserError: it cannot be used.
    """
    if name == STDIN:
        sound = read_stream(lambda: os.read(sys.stdin.fileno(), AT_ONCE), raw)
        return Sound(sound.rate, ahead(sound.blocks))
    if raw:
        raise UserError(f"{name}: --raw is for the standard input (-); a file says by itself what it holds")
    if name == MICROPHONE and not Path(name).exists():
        return Sound(RATE, ahead(_microphone()))
    blocks = read_blocks(name)
    first, rate = next(blocks)

    def parts() -> Iterator[np.ndarray]:
        for block in _chain(first, (block for block, _ in blocks)):
            for place in range(0, len(block), BLOCK):
                yield block[place : place + BLOCK]

    return Sound(rate, parts())


def _chain(first: np.ndarray, others: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    yield first
    yield from others


def read_stream(read: Callable[[], bytes], raw: Raw | None = None) -> Sound:
    """Sound from a stream of bytes: WAV, or without a header as `raw` says.

    Args:
        read: returns the next bytes, as many as are there; none at the end.
        raw: see above.

    Raises:
        UserError: it is not WAV with samples of a usual type.
    """
    stream = _Bytes(read)
    if raw:
        return Sound(raw.rate, _samples(stream, "<i2", raw.channels, None))
    dtype, channels, rate, length = _header(stream)
    return Sound(rate, _samples(stream, dtype, channels, length))


class _Bytes:
    """A stream of bytes with its next ones at hand."""

    def __init__(self, read: Callable[[], bytes]) -> None:
        self._read, self._held = read, b""

    def some(self) -> bytes:
        """What is there, at least one byte; nothing at the end."""
        held, self._held = self._held, b""
        return held or self._read()

    def exactly(self, count: int) -> bytes:
        """The next bytes; fewer at the end."""
        while len(self._held) < count and (more := self._read()):
            self._held += more
        content, self._held = self._held[:count], self._held[count:]
        return content


def _header(stream: _Bytes) -> tuple[str, int, int, int | None]:
    """Type of the samples, channels, rate and number of bytes, None where the header does not know it."""
    if (head := stream.exactly(12))[:4] != b"RIFF" or head[8:] != b"WAVE":
        raise UserError(
            "-: the standard input is no WAV stream; send one, such as arecord's, or say what its samples are: "
            "--raw 16000 for 16-bit ones of one channel"
        )
    form = b""
    for _ in range(MOST_CHUNKS):
        name, size = stream.exactly(4), stream.exactly(4)
        if len(size) < 4:
            break
        (length,) = struct.unpack("<I", size)
        if name == b"data":
            if len(form) < 16:
                break
            tag, channels, rate, _, _, bits = struct.unpack("<HHIIHH", form[:16])
            if tag == EXTENSIBLE and len(form) >= 26:
                (tag,) = struct.unpack("<H", form[24:26])
            if (tag, bits) not in TYPES or not 0 < channels <= 1024:
                raise UserError(f"-: WAV samples of type {tag} with {bits} bits cannot be read; send 16-bit ones")
            return TYPES[tag, bits], channels, rate, length if 0 < length < UNKNOWN_LENGTH else None
        if length > AT_ONCE:
            break
        content = stream.exactly(length + length % 2)
        form = content if name == b"fmt " else form
    raise UserError("-: the WAV stream holds no samples")


def _samples(stream: _Bytes, dtype: str, channels: int, length: int | None) -> Iterator[np.ndarray]:
    """Blocks (samples, channels) of what is there; the bytes of a sample that is not complete wait for the rest."""
    size = channels * (np.dtype(dtype).itemsize if dtype else 3)
    rest = b""
    while length is None or length > 0:
        content = stream.some()
        if not content:
            return
        if length is not None:
            content = content[:length]
            length -= len(content)
        content = rest + content
        whole = len(content) // size * size
        rest = content[whole:]
        if whole:
            yield _numbers(content[:whole], dtype).reshape(-1, channels)


def _numbers(content: bytes, dtype: str) -> np.ndarray:
    if dtype:
        return np.frombuffer(content, dtype)
    bytes_of = np.frombuffer(content, np.uint8).reshape(-1, 3)
    padded = np.zeros((len(bytes_of), 4), np.uint8)  # 24 bits as the upper ones of 32
    padded[:, 1:] = bytes_of
    return padded.reshape(-1).view("<i4")


def _microphone() -> Iterator[np.ndarray]:
    """Blocks (samples, 1) of the default microphone at 16 kHz.

    Raises:
        UserError: there is none, or sounddevice is not installed.
    """
    try:
        import sounddevice
    except ModuleNotFoundError as error:
        raise UserError(f"{MICROPHONE}: {missing(error)}") from None
    except OSError as error:  # it is a part of sounddevice's own package everywhere but on Linux
        raise UserError(f"{MICROPHONE}: {error}; install PortAudio (Debian: apt install libportaudio2)") from None
    try:
        stream = sounddevice.InputStream(samplerate=RATE, channels=1, dtype="int16", blocksize=HEARD)
    except (sounddevice.PortAudioError, ValueError) as error:
        raise UserError(f"{MICROPHONE}: no microphone can be opened ({error})") from None

    def blocks() -> Iterator[np.ndarray]:
        try:
            with stream:
                while True:
                    block, overflowed = stream.read(HEARD)
                    if overflowed:
                        note("the microphone was faster than the model; some of its sound is lost")
                    yield block
        except sounddevice.PortAudioError as error:
            raise UserError(f"{MICROPHONE}: the microphone has stopped ({error})") from None

    return blocks()


@dataclass
class _End(Generic[T]):
    error: BaseException | None


def ahead(blocks: Iterator[T], most: int = AHEAD) -> Iterator[T]:
    """The same blocks, read in a thread of its own while the caller is busy, up to `most` of them; then it waits."""
    waiting: queue.Queue[T | _End[T]] = queue.Queue(most)

    def run() -> None:
        error = None
        try:
            for block in blocks:
                waiting.put(block)
        except BaseException as caught:  # is raised where the blocks are used
            error = caught
        waiting.put(_End(error))

    threading.Thread(target=run, name="m4ser-listen", daemon=True).start()
    while not isinstance(block := waiting.get(), _End):
        yield block
    if block.error:
        raise block.error
