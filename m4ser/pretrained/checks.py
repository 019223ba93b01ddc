"""The files of a pretrained model, looked at before any library reads them; light, without PyTorch."""

from pathlib import Path, PurePosixPath
from typing import Any

from m4ser.utils.errors import DamagedFileError, UserError, first_line
from m4ser.utils.plain import read_plain_json, refuse_code


def check_files(folder: str | Path) -> None:
    """Search all JSON files of a model's folder for what would run code, or leads out of the folder.

    Raises:
        UserError: there is something, or a file is not JSON.
    """
    for path in sorted(Path(folder).glob("*.json")):
        try:
            value = read_plain_json(path)
        except DamagedFileError as error:
            raise UserError(f"{error}") from None
        refuse_code(value, str(path))
        if path.name == "adapter_config.json":
            raise UserError(f"{path}: refused: names another model; merge the adapter into a model of its own")
        if path.name.endswith(".index.json"):
            shards = value.get("weight_map") if isinstance(value, dict) else None
            if not isinstance(shards, dict) or not all(_is_name(shard) for shard in shards.values()):
                raise UserError(f"{path}: refused: names files outside the folder")


def _is_name(shard: Any) -> bool:
    return isinstance(shard, str) and PurePosixPath(shard).name == shard


def reason(error: Exception) -> str:
    """What an exception says in one line, headed by its type where that is what says it."""
    telling = isinstance(error, OSError | ValueError | RuntimeError)
    return first_line(error)[:300] if telling else f"{type(error).__name__}: {first_line(error)[:300]}"
