"""The last steps of making an archive: card, list of files, ZIP file; without PyTorch."""

import zipfile
from pathlib import Path

from m4ser.hub.archive import ALLOWED, CARD, sha256_of
from m4ser.hub.card import model_card
from m4ser.hub.stored import DESCRIPTION
from m4ser.models.description import ArchiveDescription
from m4ser.utils.errors import UserError
from m4ser.utils.files import atomic_path, write_json


def finish_folder(folder: Path, description: ArchiveDescription, source: Path) -> None:
    """Write card and description to a folder that holds everything else; ``files`` of the description are filled in.

    Args:
        folder: with the files of an archive.
        description: without ``files``.
        source: what the model is made of, for messages.

    Raises:
        UserError: the folder holds a file that archives may not hold.
    """
    (folder / CARD).write_text(model_card(description), encoding="utf-8")
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    names.remove(CARD)  # people edit it on a hub, and nothing reads it
    description["files"] = {
        name: {"size": (folder / name).stat().st_size, "sha256": sha256_of(folder / name)} for name in names
    }
    if strange := [name for name in names if not ALLOWED.fullmatch(name)]:
        raise UserError(f"{source}: {strange[0]} is of a kind that archives may not hold; pack with --include none")
    write_json(folder / DESCRIPTION, description)


def zip_folder(folder: Path, archive: Path) -> None:
    """Write the archive of a finished folder, complete or not at all."""
    with atomic_path(archive) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as file:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            file.write(path, path.relative_to(folder))
