"""Stage 5, first half: predictions of trained models on the dev and test part of their fold, and what they cost."""

import argparse

from m4ser.utils.cli import command, words


def get_parser() -> argparse.ArgumentParser:
    """Options."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--data", default="data", help="folder with folds.json (default: data)")
    parser.add_argument("--audio", default="dump/audio", help="stage 1 audio, for its duration (default: dump/audio)")
    parser.add_argument("--exp", required=True, help="experiment folder exp/<tag>")
    parser.add_argument("--folds", type=words, default=[], help="folds (default: all)")
    parser.add_argument("--seeds", type=words, default=["1"], help="seeds (default: 1)")
    parser.add_argument("--ngpu", type=int, default=0, help="0 or 1 (default: 0)")
    parser.add_argument("--batch-size", type=int, default=32, help="utterances in a batch (default: 32)")
    parser.add_argument("--parts", type=words, default=["dev", "test"], help="parts to predict (default: dev test)")
    parser.add_argument("--job", type=int, required=True, help="number of the run, as in stage 4")
    return parser


@command
def main(cmd: list[str] | None = None) -> None:
    """Command line entry."""
    args = get_parser().parse_args(cmd)
    from m4ser.training.evaluation import predict_job

    predict_job(**vars(args))


if __name__ == "__main__":
    main()
