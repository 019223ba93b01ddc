"""m4ser: one command for trained models and results. `m4ser COMMAND --help` tells the options of each."""

import importlib
import os
import shlex
import sys

from m4ser.utils.extras import missing

COMMANDS = {
    "predict": ("m4ser.bin.predict", "emotion of files, folders, wav.scp"),
    "adapt": ("m4ser.bin.adapt", "a model with your labels, from a few of your recordings"),
    "info": ("m4ser.bin.info", "what a trained model is"),
    "score": ("m4ser.bin.score", "result table and figures of an experiment"),
    "table": ("m4ser.bin.table", "tables: of several experiments with paired tests, recognisers, ..."),
    "report": ("m4ser.bin.report_html", "one page with everything about an experiment"),
    "config": ("m4ser.bin.config", "a training configuration, merged with what it builds on"),
    "pack": ("m4ser.bin.pack", "one archive of a trained model"),
    "unpack": ("m4ser.bin.unpack", "check an archive and unpack it"),
    "upload": ("m4ser.bin.upload", "put an archive on the model hub"),
    "export-onnx": ("m4ser.bin.export_onnx", "the model as an ONNX graph"),
    "demo": ("m4ser.bin.demo", "a local page to try a model in the browser"),
}
ALIASES = {"compare": ["table", "comparison"]}


def usage() -> str:
    """The list of commands."""
    lines = [f"  {name:14}{what}" for name, (_, what) in COMMANDS.items()]
    return "\n".join(
        ["usage: m4ser COMMAND ...", "", "commands:", *lines, "", "m4ser COMMAND --help tells its options"]
    )


def main(cmd: list[str] | None = None) -> None:
    """Run the command named by the first word."""
    words = sys.argv[1:] if cmd is None else list(cmd)
    words = [*ALIASES.get(words[0], words[:1]), *words[1:]] if words else words
    if words[:1] == ["--version"]:
        import m4ser

        print(m4ser.__version__)
    elif not words or words[0] in ("-h", "--help", "help"):
        print(usage())
        sys.exit(0 if words else 2)
    elif words[0] not in COMMANDS:
        print(f"error: m4ser {words[0]}: no such command\n\n{usage()}", file=sys.stderr)
        sys.exit(2)
    else:
        os.environ.setdefault("M4SER_COMMAND", shlex.join(["m4ser", *words]))
        sys.argv = [f"m4ser {words[0]}", *words[1:]]  # the name that argparse shows
        try:
            module = importlib.import_module(COMMANDS[words[0]][0])
        except ModuleNotFoundError as error:
            if (error.name or "").startswith("m4ser"):
                raise
            sys.exit(f"error: m4ser {words[0]}: {missing(error)}")
        module.main(words[1:])


if __name__ == "__main__":
    main()
