"""Try a model in the browser: record or choose a file, see emotion, probabilities and transcript.

The page is served to this machine only, unless --host says otherwise; recordings are not kept.
"""

import argparse
import contextlib
import os
import sys
import webbrowser

from m4ser.utils.cli import boolean, command
from m4ser.utils.errors import UserError


def get_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "model", nargs="?", help="exp/<tag>, one of its runs, an archive, an unpacked one, or a hub id org/name"
    )
    parser.add_argument("--fold", help="fold of an experiment's model (default: the first)")
    parser.add_argument("--seed", type=int, help="its seed (default: the first)")
    parser.add_argument("--asr", help="another recogniser than the model's own (see m4ser/asr/backends)")
    parser.add_argument("--asr-model", help="its model: offline:NAME, folder or hub id")
    parser.add_argument("--device", default="auto", help="cpu, cuda or cuda:N (default: cuda where there is one)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (default: 127.0.0.1, this machine)")
    parser.add_argument("--port", type=int, default=7860, help="port; 0 takes a free one (default: 7860)")
    parser.add_argument("--open", type=boolean, default=False, help="open the page in the browser (default: false)")
    parser.add_argument("--max-mb", type=float, default=50.0, help="largest upload, MB (default: 50)")
    parser.add_argument("--max-duration", type=float, default=600.0, help="longest recording, seconds (default: 600)")
    parser.add_argument(
        "--split", type=float, default=30.0, help="split recordings of more seconds at pauses; 0: never (default: 30)"
    )
    parser.add_argument("--pretrained-dir", help="where local copies of models are looked for first")
    return parser


@command
def main(cmd: list[str] | None = None) -> None:
    """Run the command."""
    args = get_parser().parse_args(cmd)
    if args.max_mb <= 0 or args.max_duration <= 0:
        raise UserError("--max-mb and --max-duration must be more than 0")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from m4ser.demo.server import DemoServer, is_loopback
    from m4ser.hub.opening import default_model

    model = args.model or default_model()
    # The port first: whether it is free should be known before the model is loaded.
    with DemoServer(None, args.host, args.port, int(args.max_mb * 1e6)) as server:
        server.recognizer = _load(model, args)
        if not is_loopback(args.host):
            print("note: everyone who can reach this machine can use the page; browsers do not record there, because "
                  "it is not encrypted, but files can be chosen", file=sys.stderr)  # fmt: skip
        print(f"Model {model}; open {server.address} in a browser; Ctrl-C ends it", flush=True)
        if args.open:
            webbrowser.open(server.address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("ended", file=sys.stderr)


def _load(model: str, args: argparse.Namespace):
    """The recogniser; what libraries print while they load goes to stderr."""
    with contextlib.redirect_stdout(sys.stderr):
        from m4ser import EmotionRecognizer

        return EmotionRecognizer.from_pretrained(
            model,
            device=args.device,
            fold=args.fold,
            seed=args.seed,
            asr=args.asr,
            asr_model=args.asr_model,
            pretrained_dir=args.pretrained_dir,
            split=args.split,
            longest=args.max_duration,
        )


if __name__ == "__main__":
    main()
