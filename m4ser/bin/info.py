"""Show what a trained model is: labels, what it reads, how it was trained, how it was tested."""

import argparse
import json

from m4ser.utils.cli import command


def get_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("model", nargs="?", help="experiment, run, archive, unpacked archive or hub id")
    parser.add_argument("--fold", help="fold of an experiment (default: the first)")
    parser.add_argument("--seed", type=int, help="its seed (default: the first)")
    parser.add_argument("--json", action="store_true", help="everything that is known, as JSON")
    return parser


@command
def main(cmd: list[str] | None = None) -> None:
    """Run the command."""
    args = get_parser().parse_args(cmd)
    from m4ser.hub.card import described, summary
    from m4ser.hub.opening import default_model, open_model

    model = args.model or default_model()
    with open_model(model, args.fold, args.seed) as stored:
        about, rows = described(stored), [("model", model)]
        if args.json:
            print(json.dumps(about, indent=1, ensure_ascii=False))
            return
        rows += summary(about, stored.pipeline)
    for name, value in rows:
        print(f"{name:18}{value}")


if __name__ == "__main__":
    main()
