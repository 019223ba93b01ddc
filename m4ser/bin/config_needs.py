"""What a training configuration asks of stages 1 and 3, as words for ser.sh.

``features=true`` if it reads features of a frozen encoder (speech_encoder: precomputed), ``tokens=N`` for a text
encoder on sentencepiece tokens (0 without one), ``encoder=NAME`` if it names the encoder of its features (key
``features``). Kept quick: neither ESPnet nor torch is loaded.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import yaml

from m4ser.training.configuration import read_config
from m4ser.utils.cli import command, shell_words
from m4ser.utils.errors import UserError

TOKENS = 500  # as in m4ser.models.encoders.transformer_text


def get_parser() -> argparse.ArgumentParser:
    """Options."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--config", type=Path, required=True, help="training configuration (YAML)")
    parser.add_argument("--train-args", default="", help="options that override it, as one argument")
    return parser


@command
def main(cmd: Sequence[str] | None = None) -> None:
    """Print the words."""
    args = get_parser().parse_args(cmd)
    config = read_config(args.config)
    typed = argparse.ArgumentParser(allow_abbrev=False, add_help=False)
    for option in ("--speech_encoder", "--text_encoder"):
        typed.add_argument(option)
    typed.add_argument("--text_encoder_conf", action="append", default=[])
    overrides, _ = typed.parse_known_args(shell_words(args.train_args, "--train-args"))
    speech = overrides.speech_encoder or config.get("speech_encoder", "precomputed")
    text = overrides.text_encoder or config.get("text_encoder", "huggingface")
    conf = dict(config.get("text_encoder_conf") or {})
    for assignment in overrides.text_encoder_conf:
        key, _, value = assignment.partition("=")
        conf[key] = yaml.safe_load(value)
    tokens = conf.get("tokens", TOKENS) if text == "transformer" else 0
    if not isinstance(tokens, int) or tokens < 0:
        raise UserError(f"{args.config}: text_encoder_conf: tokens must be a whole number, not {tokens!r}")
    features = speech == "precomputed"
    encoder = config.get("features") if features else None
    print(f"features={str(features).lower()} tokens={tokens}" + (f" encoder={encoder}" if encoder else ""))


if __name__ == "__main__":
    main()
