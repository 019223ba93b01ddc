"""One table over several recipes: systems by corpora, as Markdown and JSON.

python -m m4ser.bin.summary --table mini=egs/mini/exp/ablation.json --table RAVDESS=egs/ravdess/exp/ablation.json
"""

import argparse
from pathlib import Path

from m4ser.scoring import report, summary
from m4ser.training.metrics import NAMES
from m4ser.utils.cli import command
from m4ser.utils.errors import UserError
from m4ser.utils.provenance import made_by


def get_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter, allow_abbrev=False)
    parser.add_argument(
        "--table",
        action="append",
        required=True,
        metavar="NAME=JSON",
        help="name of a corpus and the table that compare.sh or run_ablation.sh made of it; once for each column",
    )
    parser.add_argument("--metric", choices=list(NAMES), default="ua", help="score to show (default: ua)")
    parser.add_argument("--out", type=Path, default=Path("summary"), help="writes OUT.md and OUT.json")
    return parser


@command
def main(cmd: list[str] | None = None) -> None:
    """Run the command."""
    args = get_parser().parse_args(cmd)
    sources: dict[str, Path] = {}
    for given in args.table:
        name, equals, path = given.partition("=")
        if not (name and equals and path):
            raise UserError(f"--table {given}: write it as NAME=JSON")
        if name in sources:
            raise UserError(f"--table {given}: there is a column {name} already; give each a name of its own")
        sources[name] = Path(path)
    result = summary.collect(sources, args.metric)
    made = {key: value for key, value in made_by().items() if key != "date"}  # the same tables give the same bytes
    report.write_table(args.out, summary.markdown(result), result, made)


if __name__ == "__main__":
    main()
