"""Pack a trained model with everything that prediction needs into one archive (stage 6)."""

import argparse
from pathlib import Path

from m4ser.utils.cli import boolean, command


def get_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("model", type=Path, help="experiment exp/<tag>, or one of its runs exp/<tag>/fold1/seed1")
    parser.add_argument("--out", type=Path, help="archive to write (default: exp/<tag>/<tag>.m4ser.zip)")
    parser.add_argument("--fold", help="fold of the model to pack (default: the first)")
    parser.add_argument("--seed", type=int, help="its seed (default: the first)")
    parser.add_argument(
        "--include",
        choices=["auto", "all", "none"],
        default="auto",
        help="pretrained speech encoder and recogniser: all go into the archive, none (they are named), or auto: those "
        "that are not on the model hub (default: auto)",
    )
    parser.add_argument("--onnx", type=boolean, default=False, help="add the ONNX graph (default: false)")
    parser.add_argument(
        "--weights",
        choices=["torch", "onnx", "onnx-int8"],
        default="torch",
        help="torch: weights and configuration; onnx: the whole model as an ONNX graph instead, from log-mel features "
        "and pieces of words to logits, which predicts without PyTorch; onnx-int8: the same with 8-bit weights, a "
        "third of the size (default: torch)",
    )
    parser.add_argument(
        "--temperature",
        help="of a whole graph: number that logits are divided by before they become probabilities, or dev: the best "
        "one for the development part, as stage 5 has predicted it (default: 1)",
    )
    parser.add_argument("--licence", type=Path, metavar="FILE", help="terms of use, which go in as LICENSE")
    parser.add_argument(
        "--left-out",
        type=Path,
        metavar="TABLE",
        help="for the card: JSON of the table of corpora that were left out (m4ser table left_out), its .md beside it",
    )
    parser.add_argument(
        "--pages",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="Markdown to stand below that table in the card",
    )
    parser.add_argument("--pretrained-dir", help="where local copies of models are looked for first")
    return parser


@command
def main(cmd: list[str] | None = None) -> None:
    """Run the command."""
    args = get_parser().parse_args(cmd)
    from m4ser.hub.opening import find_model
    from m4ser.hub.pack import default_archive, pack, parse_temperature

    stored = find_model(args.model, args.fold, args.seed)
    archive = args.out or default_archive(stored)
    temperature = parse_temperature(args.temperature, stored)
    description = pack(
        stored,
        archive,
        args.include,
        args.onnx,
        args.pretrained_dir,
        args.weights,
        temperature,
        args.licence,
        args.left_out,
        args.pages,
    )
    print(f"{archive}: fold {stored.fold}, seed {stored.seed}, {archive.stat().st_size / 1e6:.1f} MB")
    if "graph" in description:
        print(f"  temperature: {description['graph']['temperature']:.4g}")
    for name, file in description["files"].items():
        if file["size"] > 1e6:
            print(f"  {name}: {file['size'] / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
