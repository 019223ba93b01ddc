"""Fetching corpora whose licence allows it: continued after a cut, checked, and extracted nowhere but in its folder."""

import functools
import hashlib
import http.client
import re
import shutil
import stat
import tarfile
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from m4ser.utils.errors import UserError, first_line
from m4ser.utils.progress import track

CHUNK = 1 << 20
WAITS = (1, 5, 15, 30)  # seconds before each further try
LFS_POINTER = re.compile(rb"version https://git-lfs\.github\.com/spec/v1\noid sha256:([0-9a-f]{64})\nsize (\d+)\n")


@dataclass(frozen=True)
class Archive:
    """A zip or tar file on the web.

    Args:
        url: address; its last part is the name of the file.
        checksum: `md5:...` or `sha256:...` as its publisher gives it, "" if none is known (zip has a CRC per file).
        only: pattern of the members to extract, as :func:`re.match` takes it.
    """

    url: str
    checksum: str = ""
    only: str = ""


def fetch_archives(folder: Path, archives: Sequence[Archive]) -> None:
    """Fetch and extract archives into `folder`; one that was extracted there before is not fetched again.

    Raises:
        UserError: see :func:`fetch` and :func:`extract`.
    """
    for archive in archives:
        name = PurePosixPath(urllib.parse.urlsplit(archive.url).path).name
        done = folder / f".{name}.extracted"
        if not done.exists():
            fetch(archive.url, folder / name, archive.checksum)
            extract(folder / name, folder, archive.only)
            done.write_text(f"{archive.url} {archive.checksum}\n", encoding="utf-8")
            (folder / name).unlink()


def fetch(url: str, path: Path, checksum: str = "", waits: Sequence[float] = WAITS, show: bool = True) -> None:
    """Download to `path`, which appears when it is complete and correct; until then its content is `path`.part.

    What an earlier, interrupted try has left there is continued if the server can do so.

    Raises:
        UserError: not to be had, the connection was cut again and again, or the checksum is another one.
    """
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    for wait in (*waits, None):
        try:
            if _continue(url, part, show):
                break
            problem = "the connection was cut"
        except urllib.error.HTTPError as error:
            if error.code < 500 and error.code != 429:
                raise UserError(f"{url}: HTTP status {error.code} ({error.reason}); {_BY_HAND}") from None
            problem = f"HTTP status {error.code} ({error.reason})"
        except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError) as error:
            problem = str(getattr(error, "reason", error))
        if wait is None:
            raise UserError(f"{url}: {problem}; run the same command again to continue, or {_BY_HAND}")
        time.sleep(wait)
    if checksum:
        algorithm, _, expected = checksum.partition(":")
        with part.open("rb") as file:
            digest = hashlib.new(algorithm)
            for chunk in iter(lambda: file.read(CHUNK), b""):
                digest.update(chunk)
        if digest.hexdigest() != expected:
            part.unlink()
            raise UserError(
                f"{url}: {algorithm} is {digest.hexdigest()} instead of {expected}; run again, or {_BY_HAND}"
            )
    part.replace(path)


_BY_HAND = "download it by hand and give its folder as --corpus-dir"


def _continue(url: str, part: Path, show: bool) -> bool:
    """Append what is missing to `part`; whether it is whole now."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "m4ser"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        response = urllib.request.urlopen(request, timeout=60)
    except urllib.error.HTTPError as error:
        if error.code != 416:
            raise
        if error.headers.get("Content-Range") == f"bytes */{have}":
            return True
        part.unlink()  # left by another version of the file
        return False
    with response:
        if response.status != 206:
            have = 0  # the server starts again from the beginning
        length = response.headers.get("Content-Length")
        total = have + int(length) if length else None
        chunks: Iterator[bytes] = iter(lambda: response.read(CHUNK), b"")
        if show:
            what = f"download {part.name.removesuffix('.part')} (MiB)"
            chunks = track(chunks, what, total=(total - have) // CHUNK + 1 if total else None)
        with part.open("ab" if have else "wb") as file:
            for chunk in chunks:
                file.write(chunk)
    return total is None or part.stat().st_size == total


def extract(archive: Path, folder: Path, only: str = "") -> None:
    """Extract a zip or tar file into `folder`; what is there is replaced when everything has been extracted.

    Raises:
        UserError: damaged, encrypted, larger than the disk, or with a member that is a link or lies outside.
    """
    temporary = folder / f".{archive.name}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        members, close = _members(archive)
        with close:
            chosen = [(_safe(archive, member.name), member) for member in members if re.match(only, member.name)]
            need, free = sum(member.size for _, member in chosen), shutil.disk_usage(folder).free
            if need > free:
                raise UserError(f"{archive}: needs {need >> 20} MiB, the disk has {free >> 20}; free some space")
            for name, member in track(chosen, f"extract {archive.name}"):
                target = temporary / name
                target.parent.mkdir(parents=True, exist_ok=True)
                with member.open() as source, target.open("wb") as file:
                    shutil.copyfileobj(source, file)
        if not chosen:
            raise UserError(f"{archive}: has none of the expected files; {_BY_HAND}")
        for entry in temporary.iterdir():
            target = folder / entry.name
            if target.is_dir():
                shutil.rmtree(target)
            entry.replace(target)
    except (zipfile.BadZipFile, zlib.error, tarfile.TarError, EOFError, RuntimeError, NotImplementedError) as error:
        reason = first_line(error)
        raise UserError(
            f"{archive}: cannot be extracted ({reason}); delete it and run the same command again"
        ) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


class Member(NamedTuple):
    """A regular file in an archive: its name there, bytes, and a function that opens it."""

    name: str
    size: int
    open: Callable[[], IO[bytes]]


def _members(archive: Path) -> tuple[list[Member], zipfile.ZipFile | tarfile.TarFile]:
    """The files of an archive, and what to close afterwards."""
    return _zip_members(archive) if zipfile.is_zipfile(archive) else _tar_members(archive)


def _zip_members(archive: Path) -> tuple[list[Member], zipfile.ZipFile]:
    file = zipfile.ZipFile(archive)
    members = []
    for info in file.infolist():
        file_type = stat.S_IFMT(info.external_attr >> 16)
        if file_type and not stat.S_ISREG(file_type) and not stat.S_ISDIR(file_type):
            raise _refused(archive, info.filename)
        if not info.is_dir():
            members.append(Member(info.filename, info.file_size, functools.partial(file.open, info)))
    return members, file


def _tar_members(archive: Path) -> tuple[list[Member], tarfile.TarFile]:
    file = tarfile.open(archive)  # noqa: SIM115  # the caller closes it
    members = []
    for info in file.getmembers():
        if not info.isfile() and not info.isdir():
            raise _refused(archive, info.name)
        if info.isfile():
            members.append(Member(info.name, info.size, functools.partial(_opened, file, info)))
    return members, file


def _refused(archive: Path, name: str) -> UserError:
    return UserError(f"{archive}: {name!r} is a link or device; not extracted: {_BY_HAND}")


def _opened(tar: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    file = tar.extractfile(info)
    assert file is not None  # a regular file
    return file


def _safe(archive: Path, name: str) -> PurePosixPath:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or re.match(r"[A-Za-z]:", name) or "\0" in name:
        raise UserError(f"{archive}: {name!r} would be written outside of the folder; not extracted: {_BY_HAND}")
    return path


def is_lfs_pointer(path: Path) -> bool:
    """Whether a file is only the stand-in that Git leaves where its Large File Storage was not fetched."""
    return path.stat().st_size < 300 and LFS_POINTER.match(path.read_bytes()) is not None


def fill_lfs_pointers(folder: Path, url: str, jobs: int = 8) -> None:
    """Replace the Git LFS pointers in `folder` by the files they stand for, from `url`/NAME, checked by their sha256.

    Raises:
        UserError: see :func:`fetch`; run again, it goes on where it stopped.
    """
    pointers = [path for path in sorted(folder.iterdir()) if path.is_file() and is_lfs_pointer(path)]

    def fill(pointer: Path) -> None:
        match = LFS_POINTER.match(pointer.read_bytes())
        assert match is not None
        whole = pointer.with_name(f".{pointer.name}")
        fetch(f"{url}/{pointer.name}", whole, f"sha256:{match[1].decode()}", show=False)
        whole.replace(pointer)

    with ThreadPoolExecutor(jobs) as pool:
        try:
            list(track(pool.map(fill, pointers), f"download {folder.name}", total=len(pointers)))
        finally:
            pool.shutdown(cancel_futures=True)
