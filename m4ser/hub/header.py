"""The header of a model card, as a hub reads it."""

import re
from typing import TYPE_CHECKING

import yaml

from m4ser.data.origin import OTHER
from m4ser.utils.errors import UserError

if TYPE_CHECKING:
    from huggingface_hub import ModelCardData

_LANGUAGE = re.compile(r"[a-z]{2,3}|code|multilingual")


def check_card(text: str, where: object) -> "ModelCardData":
    """The header of a card as a hub would read it; nothing is asked of a hub.

    Raises:
        UserError: it has no header, or one that a hub would not take.
    """
    from huggingface_hub import ModelCard, ModelCardData
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        data = ModelCard(text).data
        if not isinstance(data, ModelCardData) or not data.to_dict():
            raise ValueError("it has no header")
        for name in ("datasets", "base_model"):
            for value in _listed(data.get(name)):
                validate_repo_id(value)
        if data.get("license") == OTHER and not (data.get("license_name") and data.get("license_link")):
            raise ValueError("the licence `other` needs license_name and license_link")
        if wrong := [code for code in _listed(data.get("language")) if not _LANGUAGE.fullmatch(code)]:
            raise ValueError(f"{wrong[0]} is no ISO 639 code of a language")
    except (ValueError, TypeError, yaml.YAMLError, HFValidationError) as error:
        raise UserError(f"{where}: its header is none that a hub takes ({' '.join(str(error).split())})") from None
    return data


def _listed(value: object) -> list[str]:
    """What may be one value, several or none."""
    values = value if isinstance(value, list) else [] if value is None else [value]
    return [str(one) for one in values]
