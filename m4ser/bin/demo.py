"""Try a model in the browser: record, upload or choose an example, see emotion, transcript and timeline.

The page is served to this machine only, unless --host says otherwise; recordings are not kept, and nothing is sent
elsewhere. It needs Gradio: pip install "m4ser[demo]".
"""

import argparse
import shlex
from pathlib import Path

from m4ser.inference.loading import add_arguments, load_recognizer
from m4ser.utils.cli import boolean, command
from m4ser.utils.errors import UserError


def get_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("given", nargs="?", metavar="MODEL", help="the same as --model")
    parser.add_argument("--model", help="exp/<tag>, one of its runs, an archive, an unpacked one, or a hub id org/name")
    add_arguments(parser)
    parser.add_argument(
        "--words",
        type=boolean,
        help="show words where the model reads the voice alone (default: if m4ser's extra `words` is installed)",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (default: 127.0.0.1, this machine)")
    parser.add_argument("--port", type=int, default=7860, help="port; 0 takes a free one (default: 7860)")
    parser.add_argument("--open", type=boolean, default=False, help="open the page in the browser (default: false)")
    parser.add_argument("--max-mb", type=float, default=50.0, help="largest upload, MB (default: 50)")
    parser.add_argument("--max-duration", type=float, default=600.0, help="longest recording, seconds (default: 600)")
    parser.add_argument(
        "--space", type=Path, metavar="FOLDER", help="write the folder of a Hugging Face Space instead of serving"
    )
    return parser


@command
def main(cmd: list[str] | None = None) -> None:
    """Run the command."""
    args = get_parser().parse_args(cmd)
    if args.max_mb <= 0 or args.max_duration <= 0:
        raise UserError("--max-mb and --max-duration must be more than 0")
    from m4ser.demo.server import check_installed, serve
    from m4ser.hub.opening import default_model

    check_installed()
    model = args.model or args.given or default_model()
    if args.space:
        from m4ser.demo.space import write_space

        write_space(args.space, model)
        upload = f"hf upload ORG/NAME {shlex.quote(str(args.space))} --repo-type space"
        print(f"{args.space}: try it with `python app.py` there; then {upload}")
        return
    from m4ser.pretrained import WORDS, packaged_dir

    words = packaged_dir(WORDS) is not None if args.words is None else args.words
    serve(
        model,
        lambda: load_recognizer(model, args, words=words),
        args.host,
        args.port,
        int(args.max_mb * 2**20),
        args.open,
    )


if __name__ == "__main__":
    main()
