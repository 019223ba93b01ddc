"""The folder of a Hugging Face Space that shows the page: everything in it but the packages of `requirements.txt`."""

import contextlib
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

import yaml

import m4ser
from m4ser.demo.answer import TITLE
from m4ser.hub.archive import CARD
from m4ser.hub.header import check_card
from m4ser.hub.opening import IN_THE_BOX, open_model
from m4ser.utils.errors import UserError

PACKAGE = Path(m4ser.__file__).resolve().parent
ARCHIVE = "model.m4ser.zip"
LICENCE = ("license", "license_name", "license_link")  # keys of a card's header
LARGE = ("*.zip", "*.opus")  # what hubs keep beside git
APP = '''"""The page of `m4ser demo`, as a Hugging Face Space starts it."""

import os
from pathlib import Path

from m4ser.bin.demo import main

here = Path(__file__).resolve().parent
# A Space says where to listen. Started by hand, the page is for this machine only.
host, port = os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1"), os.environ.get("GRADIO_SERVER_PORT", "7860")
main([{model}"--host", host, "--port", port])
'''
ABOUT = """
# {title}

Record or upload speech: the page shows its emotion, what was said and, of a long recording, a timeline. Labels:
{labels}.

The model chooses among these labels for every recording, also where none of them fits. An emotion that is expressed is
not one that is felt; do not decide about people by it. Recordings are deleted once they have been answered.

Made by `m4ser demo --space`, m4ser {version}. `python app.py` starts the page on your own machine; the command
`hf upload ORG/NAME . --repo-type space` in this folder puts it on the hub.
"""


@dataclass
class Shown:
    """The model of a Space.

    Attributes:
        option: words of the command line that name it; nothing for the model that comes with the package.
        extras: of m4ser that it needs.
        labels: its emotions, if they are known.
        header: what its card says of the licence.
        archive: to be copied.
        hub: its id.
    """

    option: str = ""
    extras: Sequence[str] = ("words",)
    labels: Sequence[str] = ()
    header: dict[str, str] = field(default_factory=dict)
    archive: Path | None = None
    hub: str | None = None


def write_space(folder: Path, model: str) -> None:
    """Write the folder.

    Args:
        folder: must not exist, or be empty.
        model: an archive, a hub id ``org/name``, or the model that comes with the package.

    Raises:
        UserError: the folder is not empty, or the model is something else or damaged.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder}: is there already; choose another folder, or delete it")
    shown = find_shown(model)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _whole(folder) as temporary:
        shutil.copytree(PACKAGE, temporary / "m4ser", ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        if shown.archive:
            shutil.copyfile(shown.archive, temporary / ARCHIVE)
        files = {
            "app.py": APP.format(model=shown.option),
            "requirements.txt": "\n".join(requirements(metadata.requires("m4ser") or [], shown.extras)) + "\n",
            "README.md": readme(shown),
            ".gitattributes": "".join(f"{name} filter=lfs diff=lfs merge=lfs -text\n" for name in LARGE),
            "LICENSE": _licence(),
        }
        for name, text in files.items():
            (temporary / name).write_text(text, encoding="utf-8")


def find_shown(model: str) -> Shown:
    """What is to be known of a model.

    Raises:
        UserError: it is no archive and no hub id, or damaged.
    """
    path = Path(model).expanduser()
    if not path.exists() and model.count("/") == 1 and not model.startswith((".", "/", "~")):
        return Shown(f'"--model", "{model}", ', ("torch", "words"), hub=model)
    if not path.is_file():
        raise UserError(f"{model}: a Space needs an archive or a hub id org/name; make an archive with m4ser pack")
    with open_model(path) as stored:
        card = stored.folder / CARD
        data = check_card(card.read_text(encoding="utf-8"), f"{model}: {CARD}").to_dict() if card.is_file() else {}
        extras = ("words",) if "graph" in stored.about else ("torch", "words")
        header = {key: str(data[key]) for key in LICENCE if data.get(key)}
        shown = Shown(extras=extras, labels=stored.labels, header=header)
    if path.resolve() != IN_THE_BOX:
        shown.option, shown.archive = f'"--model", str(here / "{ARCHIVE}"), ', path
    return shown


def requirements(declared: Iterable[str], extras: Sequence[str]) -> list[str]:
    """Lines of `requirements.txt`: what m4ser declares, with the versions that are installed here.

    >>> requirements(["no-such-package>=2; extra == 'words'", "ruff; extra == 'test'"], ["words"])
    ['no-such-package>=2']

    Args:
        declared: as the package's metadata have it.
        extras: those that are needed.
    """
    from packaging.requirements import Requirement

    lines = ["--extra-index-url https://download.pytorch.org/whl/cpu"] if "torch" in extras else []
    for text in declared:
        one = Requirement(text)
        if one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            one.marker = None
            with contextlib.suppress(metadata.PackageNotFoundError):
                one = Requirement(f"{one.name}=={metadata.version(one.name).partition('+')[0]}")
            lines.append(str(one))
    return list(dict.fromkeys(lines))


def readme(shown: Shown) -> str:
    """The page of the Space, with the header that the hub reads."""
    header = {
        "title": TITLE,
        "emoji": "🗣️",
        "colorFrom": "blue",
        "colorTo": "gray",
        "sdk": "gradio",
        "sdk_version": metadata.version("gradio"),
        "python_version": f"{sys.version_info.major}.{sys.version_info.minor}",
        "app_file": "app.py",
        "short_description": "Emotions in speech and its words",
        "pinned": False,
        "tags": ["speech-emotion-recognition", "m4ser"],
        **({"models": [shown.hub]} if shown.hub else {}),
        **shown.header,
    }
    labels = ", ".join(shown.labels) or "those of the model"
    text = ABOUT.format(title=TITLE, labels=labels, version=m4ser.__version__)
    return f"---\n{yaml.safe_dump(header, sort_keys=False, allow_unicode=True)}---\n{text}"


def _licence() -> str:
    """The licence of the code, which goes with every copy of it."""
    return metadata.distribution("m4ser").read_text("licenses/LICENSE") or (PACKAGE.parent / "LICENSE").read_text()


@contextlib.contextmanager
def _whole(folder: Path) -> Iterator[Path]:
    """A folder to fill, which becomes `folder` when the block ends well and is deleted otherwise."""
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as place:
        temporary = Path(place) / "made"
        temporary.mkdir()
        yield temporary
        if folder.exists():
            folder.rmdir()
        temporary.rename(folder)
