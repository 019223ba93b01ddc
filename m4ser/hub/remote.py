"""Models on the Hugging Face hub: download and upload. Access tokens are huggingface_hub's own affair."""

import tempfile
from pathlib import Path

from m4ser.hub.archive import CARD, check_folder, unpack
from m4ser.hub.header import check_card
from m4ser.hub.stored import StoredModel
from m4ser.utils.errors import UserError, first_line

# What an archive can hold; anything else in a repository is not fetched.
PATTERNS = [
    "m4ser.json",
    "config.yaml",
    "README.md",
    "LICENSE",
    "metrics.json",
    "*.safetensors",
    "model.onnx",
    "tokenizer/*",
    "asr/*",
]


def download(name: str) -> StoredModel:
    """The model `org/name`, from the hub's cache or the hub; checked as an archive is.

    Raises:
        UserError: it cannot be had, or is not a model that m4ser has packed.
    """
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(name, allow_patterns=PATTERNS))
    except (OSError, ValueError) as error:
        raise UserError(
            f"{name}: neither a folder or archive here nor to be had from the hub ({first_line(error)})"
        ) from None
    return check_folder(folder)


def prepare(archive: str | Path, folder: str | Path) -> StoredModel:
    """Write to `folder`, which must not exist, what :func:`upload` puts into a repository: the files of an archive.

    Raises:
        UserError: the archive is not intact, or its card has a header that the hub does not take.
    """
    stored = unpack(archive, folder)
    card = stored.folder / CARD
    if not card.is_file():
        raise UserError(f"{archive}: has no model card ({CARD}); pack the model again")
    check_card(card.read_text(encoding="utf-8"), f"{archive}: {CARD}")
    return stored


def upload(archive: str | Path, name: str, private: bool = True) -> str:
    """Put the files of an archive into the hub's repository `org/name`, which is made if need be; returns its address.

    Raises:
        UserError: see :func:`prepare`, or the hub refuses.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

    if name.count("/") != 1:
        raise UserError(f"--hub-repo {name}: must be a hub id org/name")
    with tempfile.TemporaryDirectory(prefix="m4ser-") as folder:
        stored = prepare(archive, Path(folder) / "model")
        api = HfApi()
        try:
            address = api.create_repo(name, private=private, exist_ok=True)
            api.upload_folder(
                repo_id=name,
                folder_path=stored.folder,
                commit_message=f"m4ser {Path(archive).name}",
                delete_patterns=[pattern for pattern in PATTERNS if pattern != "README.md"],  # of an earlier model
            )
        except LocalTokenNotFoundError:
            raise UserError(f"{name}: not logged in to the hub; run `hf auth login`, or set HF_TOKEN") from None
        except (HfHubHTTPError, OSError, ValueError) as error:
            raise UserError(
                f"{name}: cannot be uploaded ({first_line(error)}); run `hf auth login` if you are not logged in"
            ) from None
    return str(address)
