"""A recogniser from the options that all commands with a model have."""

import argparse
import contextlib
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from m4ser.inference.recognizer import EmotionRecognizer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which run of an experiment, which recogniser, on what device, and what becomes of long recordings."""
    parser.add_argument("--fold", help="fold of an experiment's model (default: the first)")
    parser.add_argument("--seed", type=int, help="its seed (default: the first)")
    parser.add_argument("--asr", help="another recogniser than the model's own (see m4ser/asr/backends)")
    parser.add_argument("--asr-model", help="its model: offline:NAME, folder or hub id")
    parser.add_argument("--device", default="auto", help="cpu, cuda or cuda:N (default: cuda where there is one)")
    parser.add_argument(
        "--split", type=float, default=30.0, help="split recordings of more seconds at pauses; 0: never (default: 30)"
    )
    parser.add_argument("--pretrained-dir", help="where local copies of models are looked for first")


def load_recognizer(model: str, args: argparse.Namespace, **options: Any) -> "EmotionRecognizer":
    """Load a model; what libraries print while they load goes to the standard error.

    Args:
        model: see :meth:`.EmotionRecognizer.from_pretrained`.
        args: has the options of :func:`add_arguments`, and ``max_duration``.
        options: more of that method's.

    Raises:
        UserError: it is not there, damaged, or needs something that is not installed.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    with contextlib.redirect_stdout(sys.stderr):
        from m4ser.inference.recognizer import EmotionRecognizer

        return EmotionRecognizer.from_pretrained(
            model,
            **{
                "device": args.device,
                "fold": args.fold,
                "seed": args.seed,
                "asr": args.asr,
                "asr_model": args.asr_model,
                "pretrained_dir": args.pretrained_dir,
                "split": args.split,
                "longest": args.max_duration,
                **options,
            },
        )
