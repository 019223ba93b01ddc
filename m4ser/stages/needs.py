"""What a training configuration asks of stages 1 and 3. Kept quick: neither ESPnet nor torch is loaded."""

from dataclasses import dataclass

from m4ser.training.checks import Parser
from m4ser.training.configuration import read_config
from m4ser.utils.cli import shell_words
from m4ser.utils.errors import UserError
from m4ser.utils.yaml_text import parse_yaml

TOKENS = 500  # as in m4ser.models.encoders.transformer_text


@dataclass(frozen=True)
class Needs:
    """What stages 1 and 3 have to make.

    Attributes:
        features: stage 1 extracts features of a frozen encoder (``speech_encoder: precomputed``).
        tokens: size of the sentencepiece models of stage 3; 0 without a text encoder on such tokens.
        encoder: the features that the configuration is for (key ``features``); "" if it leaves them open.
    """

    features: bool
    tokens: int
    encoder: str


def needs(config: str, train_args: str = "") -> Needs:
    """What a configuration with ``train_args``, training options that override it, asks for.

    Raises:
        UserError: the configuration cannot be read, or has no whole number of tokens.
    """
    configuration = read_config(config)
    typed = Parser(allow_abbrev=False, add_help=False)
    for option in ("--speech_encoder", "--text_encoder"):
        typed.add_argument(option)
    typed.add_argument("--text_encoder_conf", action="append", default=[])
    overrides, _ = typed.parse_known_args(shell_words(train_args, "--train-args"))
    features = (overrides.speech_encoder or configuration.get("speech_encoder", "precomputed")) == "precomputed"
    text = overrides.text_encoder or configuration.get("text_encoder", "huggingface")
    stated = configuration.get("text_encoder_conf")
    conf = dict(stated) if isinstance(stated, dict) else {}
    for assignment in overrides.text_encoder_conf:
        key, _, value = assignment.partition("=")
        conf[key] = parse_yaml(value, "--train-args: --text_encoder_conf")
    tokens = conf.get("tokens", TOKENS) if text == "transformer" else 0
    if not isinstance(tokens, int) or isinstance(tokens, bool) or tokens < 0:
        raise UserError(f"{config}: text_encoder_conf: tokens must be a whole number, not {tokens!r}")
    return Needs(features, tokens, str(configuration.get("features") or "") if features else "")
