"""Write the model as an ONNX graph; it is compared with PyTorch before it is kept."""

import argparse
from pathlib import Path

from m4ser.utils.cli import command


def get_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("model", help="experiment, run, archive, unpacked archive or hub id")
    parser.add_argument("--out", type=Path, default=Path("model.onnx"), help="file to write (default: model.onnx)")
    parser.add_argument("--fold", help="fold of the model (default: the first)")
    parser.add_argument("--seed", type=int, help="its seed (default: the first)")
    parser.add_argument("--int8", action="store_true", help="weights of matrix products as 8-bit integers")
    part = parser.add_mutually_exclusive_group()
    part.add_argument("--head", action="store_true", help="fusion and classifier only, from the encoders' states")
    part.add_argument(
        "--whole",
        action="store_true",
        help="with the speech encoder, from log-mel features: predicts without PyTorch (m4ser pack --weights onnx "
        "makes an archive of it)",
    )
    parser.add_argument("--pretrained-dir", help="where local copies of models are looked for first")
    return parser


@command
def main(cmd: list[str] | None = None) -> None:
    """Run the command."""
    args = get_parser().parse_args(cmd)
    from m4ser.hub.opening import open_model
    from m4ser.hub.pack import export_stored

    with open_model(args.model, args.fold, args.seed) as stored:
        graph = export_stored(stored, args.out, args.int8, args.head, args.whole, args.pretrained_dir)
    print(
        f"{args.out}: {graph.size / 1e6:.1f} MB, inputs {', '.join(graph.inputs)}; "
        f"logits differ from PyTorch's by at most {graph.difference:.1e} on random input"
    )


if __name__ == "__main__":
    main()
