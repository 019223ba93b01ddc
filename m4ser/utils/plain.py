"""JSON and YAML that somebody else has written: read within bounds, and searched for what would run code."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from m4ser.utils.errors import DamagedFileError, UserError, first_line
from m4ser.utils.yaml_text import STORED, read_yaml

MOST_JSON = 64 << 20  # bytes of a file
# Keys by which transformers imports Python files or compiled kernels, by which it searches with code that is kept on a
# hub, and by which others call what a file names; with the values that are harmless.
NOTHING = (None, False)
CODE = {
    **dict.fromkeys(("auto_map", "trust_remote_code", "code_revision", "custom_pipelines", "custom_generate"), NOTHING),
    **dict.fromkeys(("kernel_config", "use_kernels", "quantization_config", "compile_config", "_target_"), NOTHING),
    **dict.fromkeys(("penalty_alpha", "dola_layers", "force_words_ids"), NOTHING),
    "num_beam_groups": (None, 0, 1),
}
# How attention is computed: anything but PyTorch's own ways is a kernel to be loaded, by name from a hub, too.
ATTENTION = ("attn_implementation", "experts_implementation")
PLAIN_ATTENTION = (None, "eager", "sdpa")
# Models made of models of any type, named inside.
COMPOSED = ("encoder-decoder", "dual-encoder", "rag")


def code_in(value: Any) -> str | None:
    """What in a value of JSON or YAML would run code, at any depth; None where nothing does.

    A mapping to whole numbers alone is a vocabulary, whose words are free.

    >>> code_in({"encoder": [{"auto_map": {"AutoModel": "org/name--model.Model"}}]})
    'auto_map'
    >>> code_in({"attn_implementation": "org/kernel"}), code_in({"attn_implementation": "sdpa"})
    ('attn_implementation: org/kernel', None)
    """
    for mapping in _mappings(value):
        if all(type(item) is int for item in mapping.values()):
            continue
        for key, harmless in CODE.items():
            if mapping.get(key) not in harmless:
                return key
        for key, item in mapping.items():
            if isinstance(key, str) and key.startswith("_") and key.lstrip("_").startswith(ATTENTION):
                key = key.lstrip("_")
            if isinstance(key, str) and key.startswith(ATTENTION):
                ways = item.values() if isinstance(item, Mapping) else (item,)
                for way in ways:
                    if not isinstance(way, bool) and way not in PLAIN_ATTENTION:
                        return f"{key}: {' '.join(str(way).split())[:80]}"
        model_type = mapping.get("model_type")
        if isinstance(model_type, str) and model_type.replace("_", "-").lower().endswith(COMPOSED):
            return f"model_type: {' '.join(model_type.split())[:80]}"
    return None


def _mappings(value: Any) -> Iterator[Mapping[Any, Any]]:
    """All mappings in a value, each once, however often it is referred to."""
    waiting, seen = [value], set()
    while waiting:
        value = waiting.pop()
        if not isinstance(value, dict | list) or id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, dict):
            yield value
            value = value.values()
        waiting.extend(item for item in value if isinstance(item, dict | list))


def read_plain_json(path: Path) -> Any:
    """A JSON file of any content.

    Raises:
        DamagedFileError: it is none, or far too large.
    """
    if path.stat().st_size > MOST_JSON:
        raise DamagedFileError(f"{path}: has more than {MOST_JSON >> 20} MB, which no description of a model has")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise DamagedFileError(f"{path}: is not JSON ({first_line(error)}); get it again") from None


def read_stored_yaml(path: Path) -> dict[str, Any]:
    """A configuration as a program has written it.

    Raises:
        UserError: it is something else.
    """
    value = read_yaml(path, STORED)
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise UserError(f"{path}: is not a configuration: it has no keys and values")
    return value


def refuse_code(value: Any, where: str) -> None:
    """Raises a UserError if anything in a value would run code."""
    if code := code_in(value):
        raise UserError(f"{where}: refused: asks for code ({code}), which no model here needs")
