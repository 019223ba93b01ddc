"""Load the weights of pretrained models whole, or say in one line what is wrong with their folder."""

from typing import Any

import torch
import transformers
from safetensors import SafetensorError

from m4ser.utils.errors import UserError, first_line

# Parts that checkpoints may lack: they are not used, or only by an option that trains them.
OPTIONAL = ("pooler.", "masked_spec_embed", "position_ids")


def load_config(folder: str) -> transformers.PretrainedConfig:
    """Configuration of the model in ``folder``.

    Raises:
        UserError: there is none, or it is of an unknown model type.
    """
    try:
        return transformers.AutoConfig.from_pretrained(folder)
    except (OSError, ValueError, KeyError) as error:
        raise unusable(folder, error) from None


def load_model(model_class: Any, folder: str, **change: Any) -> transformers.PreTrainedModel:
    """A model of one of transformers' classes, automatic ones too, in float32.

    ``change`` overrides fields of the configuration.

    Raises:
        UserError: weights are missing, damaged or those of another architecture. transformers itself would start such
            layers from random numbers with a warning.
    """
    logging = transformers.utils.logging
    verbosity, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        model, report = model_class.from_pretrained(folder, dtype=torch.float32, output_loading_info=True, **change)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise unusable(folder, error) from None
    finally:
        logging.set_verbosity(verbosity)
        if bar:
            logging.enable_progress_bar()
    missing = sorted(name for name in report["missing_keys"] if not any(part in name for part in OPTIONAL))
    if missing:
        raise UserError(
            f"{folder}: its weights lack {len(missing)} tensors of the model, e.g. {missing[0]}; put it there again"
        )
    return model


def unusable(folder: str, error: Exception) -> UserError:
    """The error for a model folder that transformers cannot read."""
    return UserError(f"{folder}: cannot be loaded as a Hugging Face model ({first_line(error)}); put it there again")
