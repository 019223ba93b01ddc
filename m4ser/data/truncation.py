"""Whether a file holds all that it promises. Decoders take a cut file for a shorter one without a word."""

import functools
import os
import re
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

# Some programs count the header itself (44 bytes) as audio; a file that lacks no more than that is whole.
HEADER_BYTES = 44
# Programs that write WAV to a pipe cannot go back to fill in the length; they leave 0 or about the largest number.
UNKNOWN_LENGTH = 0x7FFFF000
MOST_CHUNKS = 10_000  # before the samples of a WAV file; more of them are damage
_LIVE = "; if it was recorded live and is whole, convert it to FLAC"
ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")  # how such a file begins
_ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
# How AMR files begin (RFC 4867, section 5), and the bytes of a frame of each kind.
AMR = {
    b"#!AMR\n": (13, 14, 16, 18, 20, 21, 27, 32, 6, 1, 1, 1, 1, 1, 1, 1),
    b"#!AMR-WB\n": (18, 24, 33, 37, 41, 47, 51, 59, 61, 6, 1, 1, 1, 1, 1, 1),
}
_BITS_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class TruncatedError(Exception):
    """What is there and what is missing, in a few words."""

    what = "truncated"


class DamagedError(TruncatedError):
    """Its end is there, and something before it is not."""

    what = "damaged"


def check_complete(path: Path) -> None:
    """Refuse WAV, AIFF, AU, W64, NIST SPHERE, Ogg (Vorbis, Opus), AMR and raw AAC that were cut, Ogg with damage, too.

    Raises:
        TruncatedError: there is less of it than its header promises, or its end is missing.
    """
    with path.open("rb") as file:
        head = file.read(1024)
        size = file.seek(0, 2)
        if head[:4] == b"OggS":
            _check_ogg(path, file)
        elif is_adts(head):
            _check_adts(file, size)
        elif head.startswith(tuple(AMR)):
            _check_amr(file, size, head)
    if data := wav_data(path) or _other_data(head):
        start, promised = data
        if size - start < promised - HEADER_BYTES and promised < UNKNOWN_LENGTH:
            raise TruncatedError(f"it holds {max(0, size - start)} of {promised} bytes that its header promises")


def check_container(path: Path) -> None:
    """The same for AVI, Matroska (WebM) and ASF (WMA), which say how long the file is.

    Raises:
        TruncatedError: see there.
    """
    with path.open("rb") as file:
        head = file.read(12)
        size = file.seek(0, 2)
        promised = 0
        if head[:4] == b"RIFF" and head[8:] == b"AVI ":
            promised = _avi_size(file, size)
        elif head[:4] == b"\x1aE\xdf\xa3":
            promised = _matroska_size(file)
        elif head == ASF[:12]:
            promised = _asf_size(file)
    if size < promised - HEADER_BYTES:
        raise TruncatedError(f"it holds {size} of {promised} bytes that its header promises")


def wav_data(path: Path) -> tuple[int, int] | None:
    """Where the samples of a WAV file start, and how many bytes its header promises; None if it is not WAV.

    Raises:
        TruncatedError: it ends before the samples.
    """
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] not in (b"RIFF", b"RIFX", b"RF64") or head[8:12] not in (b"WAVE", b""):
            return None
        order = ">I" if head[:4] == b"RIFX" else "<I"
        long_size = None  # of RF64, which has no room for it where WAV has its size
        for _ in range(MOST_CHUNKS):
            chunk = file.read(8)
            if len(chunk) < 8:
                break
            (size,) = struct.unpack(order, chunk[4:])
            if chunk[:4] == b"data":
                return file.tell(), size if long_size is None else long_size
            end = file.tell() + size + size % 2
            if chunk[:4] == b"ds64":
                _, long_size = struct.unpack("<QQ", file.read(16).ljust(16, b"\0"))
            file.seek(end)
    raise TruncatedError("it holds none of the samples that its header promises")


def is_adts(head: bytes) -> bool:
    """Whether a file begins as raw AAC (ADTS) does; MP3 has other bits in the second byte."""
    return len(head) >= 7 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0


def _other_data(head: bytes) -> tuple[int, int] | None:
    """As :func:`wav_data` for AIFF, AU, W64 and NIST SPHERE: a place in the file and how many bytes follow it."""
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return 8, struct.unpack(">I", head[4:8])[0]
    if head[:4] == b".snd" and len(head) >= 12:
        return struct.unpack(">II", head[4:12])
    if head[:4] == b"riff" and len(head) >= 24:
        return 0, struct.unpack("<Q", head[16:24])[0]
    if head[:7] == b"NIST_1A":
        fields = dict(re.findall(rb"(\w+) -[is]\d* (\S+)", head))
        if fields.get(b"sample_coding", b"pcm") == b"pcm" and b"sample_count" in fields:  # not packed
            try:
                samples = int(fields[b"sample_count"]) * int(fields.get(b"channel_count", 1))
                return int(head[8:16]), samples * int(fields.get(b"sample_n_bytes", 2))
            except ValueError:  # no numbers: libsndfile refuses it
                return None
    return None


def _check_ogg(path: Path, file: BinaryIO) -> None:
    """All pages of a stream are there and as they were written (RFC 3533, section 6); what is behind them is no matter.

    Decoders skip a page whose checksum is another one, or that is missing, and give a shorter recording. The last page
    is marked as such. A stream that was recorded live may lack the mark, and pages behind its first ones; nothing tells
    it from one that was cut.
    """
    status = os.fstat(file.fileno())
    if fault := _ogg_fault(path, status.st_ino, status.st_size, status.st_mtime_ns):
        raise fault


@functools.lru_cache(maxsize=256)
def _ogg_fault(path: Path, _inode: int, _size: int, _changed: int) -> TruncatedError | None:
    """What is wrong with an Ogg file; kept in memory, as many utterances can be parts of one file."""
    numbers: dict[bytes, int] = {}  # the next page's, by stream
    last = False  # whether the page before is marked as the last of its stream
    with path.open("rb") as file:
        while head := file.read(27):
            place = file.tell() - len(head)
            segments = file.read(head[26]) if len(head) == 27 else b""
            body = file.read(sum(segments))
            page = head + segments + body
            whole = len(head) == 27 and len(segments) == head[26] and len(body) == sum(segments)
            if not (whole and head[:4] == b"OggS" and _ogg_checksum(page) == page[22:26]):
                file.seek(place + 1)
                if b"OggS" in file.read():
                    return DamagedError(f"its page at byte {place} is not as it was written")
                if head[:4] == b"OggS":
                    return TruncatedError("its last page is not complete")
                break  # something else behind the stream, such as a tag
            stream, number = page[14:18], int.from_bytes(page[18:22], "little")
            if page[5] & 2:  # the first page of a stream
                numbers[stream] = number
            if number != numbers.get(stream):
                return DamagedError(f"a page is missing before byte {place}{_LIVE}")
            numbers[stream] = (number + 1) % (1 << 32)
            last = bool(page[5] & 4)
    return None if last else TruncatedError(f"nothing marks its end{_LIVE}")


def _ogg_checksum(page: bytes) -> bytes:
    """CRC-32 of a page, without its own place, as Ogg stores it: zlib's, with the bits of every byte the other way."""
    content = page[:22] + bytes(4) + page[26:]
    value = zlib.crc32(content.translate(_BITS_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{value:032b}"[::-1], 2).to_bytes(4, "little")


def _check_adts(file: BinaryIO, size: int) -> None:
    """Raw AAC has no length of the whole; its frames have one each."""
    place = 0
    while place + 7 <= size:
        file.seek(place)
        head = file.read(7)
        length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
        if not is_adts(head) or length < 7:  # tags at the end
            return
        place += length
    if place != size:
        raise TruncatedError("its last frame is not complete")


def _check_amr(file: BinaryIO, size: int, head: bytes) -> None:
    """AMR has no length of the whole; the first byte of a frame says how long it is."""
    magic = next(magic for magic in AMR if head.startswith(magic))
    place = len(magic)
    while place < size:
        file.seek(place)
        place += AMR[magic][file.read(1)[0] >> 3 & 15]
    if place != size:
        raise TruncatedError("its last frame is not complete")


def _avi_size(file: BinaryIO, size: int) -> int:
    """Bytes of all RIFF chunks (OpenDML has several), 0 if one was never filled in."""
    place = 0
    while place < size:
        file.seek(place)
        head = file.read(8)
        if head[:4] != b"RIFF" or len(head) < 8:
            break
        (length,) = struct.unpack("<I", head[4:])
        if not 0 < length < UNKNOWN_LENGTH:
            return 0
        place += 8 + length + length % 2
    return place


def _asf_size(file: BinaryIO) -> int:
    """Size of the file as its properties have it, 0 if that was never filled in."""
    file.seek(0)
    head = file.read(1 << 16)
    place = head.find(_ASF_PROPERTIES)
    return int.from_bytes(head[place + 40 : place + 48], "little") if place > 0 else 0


def _matroska_size(file: BinaryIO) -> int:
    """Where the segment, which holds all but the first header, ends; 0 if that was never filled in."""
    file.seek(4)
    header = _ebml_size(file)
    if header is None:
        return 0
    file.seek(header, 1)
    if file.read(4) != b"\x18S\x80g":
        return 0
    segment = _ebml_size(file)
    return 0 if segment is None else file.tell() + segment


def _ebml_size(file: BinaryIO) -> int | None:
    """A number of one to eight bytes, of which the first says how many; None for `unknown`, all bits of it set."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    length = 9 - first[0].bit_length()
    value = int.from_bytes(first + file.read(length - 1), "big") & ((1 << 7 * length) - 1)
    return None if value == (1 << 7 * length) - 1 else value
