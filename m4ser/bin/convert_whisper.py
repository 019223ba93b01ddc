"""Convert the packaged Whisper model to a Hugging Face folder (done once, by the installer)."""

import argparse
from collections.abc import Sequence

from m4ser.pretrained import default_dir, resolve
from m4ser.pretrained.convert_whisper import convert
from m4ser.utils.cli import command


def get_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--ct2-dir", default="offline:whisper-tiny.en-ct2", help="CTranslate2 model: folder or name")
    parser.add_argument("--output-dir", help="folder to write (default: where m4ser looks for offline:whisper-tiny.en)")
    return parser


@command
def main(cmd: Sequence[str] | None = None) -> None:
    """Run the command."""
    args = get_parser().parse_args(cmd)
    output_dir = args.output_dir or default_dir() / "whisper-tiny.en"
    convert(resolve(args.ct2_dir), output_dir)
    print(f"wrote {output_dir}")


if __name__ == "__main__":
    main()
