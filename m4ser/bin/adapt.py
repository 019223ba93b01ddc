"""Adapt a trained model to recordings and labels of one's own: a table of a few of them is enough."""

import argparse
from pathlib import Path

from m4ser.utils.cli import command

EXAMPLES = """examples:
  m4ser adapt --labels my.csv                        the model that comes with m4ser; writes my.m4ser.zip
  m4ser adapt exp/voice --labels my.csv --out mine   another one, to a folder
  m4ser predict --model my.m4ser.zip call.wav        the adapted model is used as any other

the table: columns file (relative to the table) and emotion, optionally speaker, text, and split (train or test)"""


def get_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "model", nargs="?", help="exp/<tag>, one of its runs, an archive, an unpacked one, or a hub id org/name"
    )
    parser.add_argument(
        "--labels", type=Path, required=True, metavar="TABLE", help="CSV with a line for each recording"
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="PATH",
        help="archive *.m4ser.zip, or a new folder (default: TABLE's name.m4ser.zip)",
    )
    parser.add_argument("--audio-dir", type=Path, help="folder that files are relative to (default: that of the table)")
    parser.add_argument("--fold", help="fold of an experiment's model (default: the first)")
    parser.add_argument("--seed", type=int, help="its seed (default: the first)")
    parser.add_argument("--asr", help="another recogniser than the model's own (see m4ser/asr/backends)")
    parser.add_argument("--asr-model", help="its model: offline:NAME, folder or hub id")
    parser.add_argument("--device", default="auto", help="cpu, cuda or cuda:N (default: cuda where there is one)")
    parser.add_argument("--pretrained-dir", help="where local copies of models are looked for first")
    return parser


@command
def main(cmd: list[str] | None = None) -> None:
    """Run the command."""
    args = get_parser().parse_args(cmd)
    from m4ser.adaptation.adapt import adapt
    from m4ser.adaptation.source import Choice
    from m4ser.hub.opening import default_model
    from m4ser.utils.cli import quiet_libraries

    model = args.model or default_model()
    choice = Choice(model, args.fold, args.seed, args.asr, args.asr_model, args.pretrained_dir, args.device)
    with quiet_libraries():
        adaptation = adapt(choice, args.labels, args.out, args.audio_dir)
    for line in adaptation.lines:
        print(line)
    print(f"written: {adaptation.path}")


if __name__ == "__main__":
    main()
