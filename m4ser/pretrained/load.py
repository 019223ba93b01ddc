"""Load pretrained models whole, as data: nothing in their folder runs, or one line says what is wrong with it.

transformers imports Python files or fetches kernels where a configuration says so. Here the types of models are those
of a list, all of them classes of transformers itself; every JSON file of a folder is searched for what names code
before transformers sees it, and nothing is asked at the terminal.
"""

import contextlib
import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoConfig, AutoTokenizer, PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from m4ser.pretrained.checks import check_files, reason
from m4ser.utils.errors import UserError, first_line
from m4ser.utils.plain import PLAIN_ATTENTION, code_in, read_plain_json, refuse_code

# Parts that checkpoints may lack: they are not used, or only by an option that trains them.
OPTIONAL = ("pooler.", "masked_spec_embed", "position_ids")
# Encoders of speech: convolutions on the waveform, then a Transformer; and those of them that recognise words.
WAVEFORM_TYPES = ("hubert", "wav2vec2", "wavlm", "data2vec-audio", "unispeech", "unispeech-sat")
SPEECH_TYPES = ("whisper", *WAVEFORM_TYPES)
CTC_TYPES = (*WAVEFORM_TYPES, "sew", "sew-d", "wav2vec2-conformer")
# Encoders of text. Not those that compile kernels when they are imported or built (MRA, YOSO).
TEXT_TYPES = (
    *("albert", "bert", "bert-generation", "big_bird", "camembert", "convbert", "data2vec-text", "deberta"),
    *("deberta-v2", "distilbert", "electra", "ernie", "esm", "eurobert", "flaubert", "fnet", "funnel", "gte", "ibert"),
    *("jina_embeddings_v3", "longformer", "luke", "megatron-bert", "mobilebert", "modernbert", "mpnet", "nomic_bert"),
    *("nystromformer", "rembert", "roberta", "roberta-prelayernorm", "roc_bert", "roformer", "splinter"),
    *("squeezebert", "xlm", "xlm-roberta", "xlm-roberta-xl", "xlnet", "xmod"),
)
REMEDY = "put it there again"
BLOCK = 1 << 20  # values that are looked at together
LARGEST = 1 << 26  # of the whole numbers in the configuration of an architecture


class UnusableModelError(UserError):
    """A folder that transformers cannot read; ``reason`` is what it says. Whoever knows what it is for names that."""

    def __init__(self, folder: str, error: Exception) -> None:
        self.reason = reason(error)
        super().__init__(f"{folder}: cannot be loaded as a Hugging Face model ({self.reason}); {REMEDY}")


def load_config(folder: str, types: Collection[str], what: str) -> PretrainedConfig:
    """Configuration of the model in ``folder``, after all checks of its files.

    Args:
        folder: of the model.
        types: model types that it may have.
        what: how a model of these types is called.

    Raises:
        UserError: there is none, it is of another model type, or something in the folder asks for code.
    """
    check_files(folder)
    path = Path(folder) / "config.json"
    if not path.is_file():
        raise UnusableModelError(folder, FileNotFoundError("there is no config.json"))
    fields = read_plain_json(path)
    check_type(fields.get("model_type") if isinstance(fields, dict) else None, types, folder, what)
    with readable(folder):
        return AutoConfig.from_pretrained(folder, trust_remote_code=False)


def rebuild_config(fields: dict[str, Any], types: Collection[str], what: str) -> PretrainedConfig:
    """The configuration that ``plain_config`` described; ``types`` and ``what`` as for :func:`load_config`.

    Raises:
        UserError: it is of another model type, does not fit it, or asks for code.
    """
    fields = dict(fields)
    model_type = fields.pop("model_type", None)
    refuse_code(fields, "hf_config")
    check_type(model_type, types, "hf_config", what)
    if strange := [key for key, value in fields.items() if not _is_plausible(value)]:
        raise UserError(f"hf_config: {strange[0]}: is no size of a model ({str(fields[strange[0]])[:40]})")
    try:
        return AutoConfig.for_model(model_type, **fields)
    except Exception as error:  # each configuration class has its own ways to refuse a value
        raise UserError(f"hf_config: is no configuration of {model_type} ({reason(error)})") from None


def _is_plausible(value: Any) -> bool:
    several = value if isinstance(value, list) else [value]
    return all(abs(number) <= LARGEST for number in several if type(number) is int)


def check_type(model_type: Any, types: Collection[str], where: str, what: str) -> None:
    """Raises a UserError for a model type that is not among ``types``."""
    if model_type not in types:
        raise UserError(f"{where}: model type {str(model_type)[:80]!r} is no {what}; use {', '.join(types)}")


def plain_attention(hf_class: Any, config: PretrainedConfig) -> str:
    """How a model computes attention: as its configuration says, else by PyTorch's function where its class can."""
    if (code := code_in(config.to_dict())) is not None:  # what a class makes of its fields, too
        raise UserError(f"{config.model_type}: refused: asks for code ({code})")
    mapping = getattr(hf_class, "_model_mapping", None)
    model_class = mapping[type(config)] if mapping is not None else hf_class
    if isinstance(model_class, tuple):
        model_class = model_class[0]
    attention = getattr(config, "_attn_implementation", None)
    if attention is not None and attention in PLAIN_ATTENTION:
        return attention
    return "sdpa" if model_class._supports_sdpa else "eager"


def build_model(hf_class: Any, config: PretrainedConfig) -> PreTrainedModel:
    """A model with random weights, of one of transformers' automatic classes.

    Raises:
        UserError: the configuration's values do not make a model.
    """
    try:
        return hf_class.from_config(
            config, trust_remote_code=False, attn_implementation=plain_attention(hf_class, config)
        )
    except UserError:
        raise
    except Exception as error:  # sizes that do not divide each other, names of functions that do not exist, ...
        raise UserError(f"hf_config: is no configuration of {config.model_type} ({reason(error)})") from None


def load_model(hf_class: Any, config: PretrainedConfig, folder: str, **change: Any) -> PreTrainedModel:
    """A model of one of transformers' classes, automatic ones too, in float32; arguments as for :func:`load_weights`.

    Raises:
        UserError: weights are missing, damaged, not finite or those of another architecture. transformers itself would
            start such layers from random numbers with a warning.
    """
    model, lacking = load_weights(hf_class, config, folder, dtype=torch.float32, **change)
    if missing := [name for name in lacking if not any(part in name for part in OPTIONAL)]:
        raise UserError(f"{folder}: its weights lack {len(missing)} tensors of the model, e.g. {missing[0]}; {REMEDY}")
    return model


def load_weights(
    hf_class: Any, config: PretrainedConfig, folder: str, dtype: torch.dtype, **change: Any
) -> tuple[Any, list[str]]:
    """A model, and the names of its tensors that its folder has not.

    Args:
        hf_class: one of transformers' classes, automatic ones too.
        config: from :func:`load_config`.
        folder: of the model.
        dtype: of the weights.
        change: overrides fields of the configuration.

    Raises:
        UserError: weights are missing, damaged or not finite.
    """
    logging = transformers.utils.logging
    verbosity, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    options = {
        "dtype": dtype,
        "trust_remote_code": False,
        "attn_implementation": plain_attention(hf_class, config),
        **change,
    }
    try:
        with readable(folder):
            model, report = hf_class.from_pretrained(folder, output_loading_info=True, **options)
    finally:
        logging.set_verbosity(verbosity)
        if bar:
            logging.enable_progress_bar()
    lacking = sorted(report["missing_keys"])
    check_finite({name: value for name, value in model.state_dict().items() if name not in lacking}, folder)
    return model, lacking


def check_finite(weights: Mapping[str, torch.Tensor], where: str | Path) -> None:
    """Raises a UserError for weights that are not numbers: whatever they are multiplied with is none either."""
    for name, value in weights.items():
        # In blocks: of a whole table of words the test alone would need twice its memory.
        if value.is_floating_point() and not all(block.isfinite().all() for block in value.flatten().split(BLOCK)):
            raise UserError(f"{where}: the weights are damaged ({name} is not finite); {REMEDY}")


def load_extractor(extractor_class: Any, folder: str) -> Any:
    """The feature extractor of a model, of the class that is given.

    Raises:
        UserError: its file is missing or damaged.
    """
    with readable(folder):
        return extractor_class.from_pretrained(folder)


def load_tokenizer(folder: str | Path) -> PreTrainedTokenizerBase:
    """The tokenizer in a folder, of a class of transformers.

    Raises:
        UserError: there is none, or something in the folder asks for code.
    """
    check_files(folder)
    try:
        return AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)
    except Exception as error:  # tokenizers, written in Rust, knows no other type of error
        raise UserError(f"{folder}: has no usable tokenizer ({first_line(error)}); put its files there") from None


@contextlib.contextmanager
def only_tensors() -> Iterator[None]:
    """While this lasts, ``torch.load`` runs nothing of a file, whoever calls it and whatever it asks for."""
    switches = ("TORCH_FORCE_WEIGHTS_ONLY_LOAD", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD")
    before = {name: os.environ.pop(name, None) for name in switches}
    os.environ[switches[0]] = "1"
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


@contextlib.contextmanager
def readable(folder: str) -> Iterator[None]:
    """What transformers, safetensors and PyTorch say of a folder, in one line."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # any: a value of the wrong type is met wherever it is first used
        raise UnusableModelError(folder, error) from None
