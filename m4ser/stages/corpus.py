"""The folder of a recipe's corpus: given, known from ``db.local.sh``, used before, or to be downloaded."""

import os
import re
from pathlib import Path

from m4ser.stages.declared import here
from m4ser.stages.markers import read_marker
from m4ser.utils.errors import UserError

OPTION = "corpus-dir"  # in the marker of stage 0
DOWNLOADS = "downloads"
_PREPARE = Path("local/prepare.py")


def find_corpus(corpus_dir: str, corpus: str, data: str, download: bool, template: str) -> str:
    """The folder that stage 0 reads, absolute if it is there; it is made if it is to be downloaded to.

    Args:
        corpus_dir: ``--corpus-dir``; else the variable of the corpus, then what the data were made from earlier.
        corpus: name of the corpus; "": that of the recipe's folder.
        data: folder of the data directories.
        download: the corpus is to be fetched if nothing else is known.
        template: folder of ``db.local.sh``, for the message.

    Raises:
        UserError: none of these is known.
    """
    variable = re.sub(r"[^A-Za-z0-9_]", "_", corpus or here().name).upper()
    earlier = read_marker(Path(data, ".done"))
    folder = corpus_dir or os.environ.get(variable, "") or (earlier["options"].get(OPTION, "") if earlier else "")
    if not folder and download:
        folder = DOWNLOADS
    if not folder:
        raise UserError(_not_known(variable, template))
    if download:
        Path(folder).mkdir(parents=True, exist_ok=True)
    return os.path.normpath(here() / folder) if Path(folder).is_dir() else folder


def _not_known(variable: str, template: str) -> str:
    message = f"no corpus folder: give --corpus-dir DIR, or put {variable}=DIR into {template}/db.local.sh"
    program = _PREPARE.read_text(encoding="utf-8") if _PREPARE.is_file() else ""
    if obtain := re.search(r'^OBTAIN = "(.+)"', program, re.MULTILINE):
        message += f"; the corpus is to be had from {obtain[1]}"
    if re.search(r"recipe\.run\(.*download=", program, re.DOTALL):
        message += ", or is fetched with --download true"
    return message
