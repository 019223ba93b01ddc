"""Compare several experiments: one table as Markdown, CSV, JSON and a figure, with paired tests against one of them."""

import argparse
import sys
from pathlib import Path

from m4ser.scoring import comparison, figures, report
from m4ser.scoring.bootstrap import RESAMPLES
from m4ser.scoring.experiment import Corpus, collect
from m4ser.training.metrics import NAMES
from m4ser.utils.cli import command, words
from m4ser.utils.errors import UserError
from m4ser.utils.files import atomic_write, write_json
from m4ser.utils.provenance import made_by


def get_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--exp", type=Path, nargs="+", required=True, help="folders exp/<tag>, one row each")
    parser.add_argument("--names", nargs="+", help="names of the rows, as many as --exp (default: the tags)")
    parser.add_argument("--reference", type=Path, help="the one of --exp to compare with (default: the first)")
    parser.add_argument("--data", "--data-dir", type=Path, default=Path("data"), help="data directory with folds.json")
    parser.add_argument("--audio-dir", type=Path, help="dump/audio: its skipped.tsv says what need not be predicted")
    parser.add_argument(
        "--out", type=Path, default=Path("exp/comparison"), help="writes OUT.md, OUT.csv, OUT.json, OUT.png"
    )
    parser.add_argument("--partition", choices=("dev", "test"), default="test", help="part of the folds to score")
    parser.add_argument("--seeds", type=words, help="seeds to score (default: those of run.json, else all found)")
    parser.add_argument("--folds", type=words, help="folds to score (default: all; fewer marks the rows as partial)")
    parser.add_argument(
        "--difference", type=words, default=["ua", "wa"], help=f"scores tested in the table, of {' '.join(NAMES)}"
    )
    parser.add_argument("--resamples", type=int, default=RESAMPLES, help="bootstrap resamples")
    return parser


@command
def main(cmd: list[str] | None = None) -> None:
    """Run the command."""
    parser = get_parser()
    args = parser.parse_args(cmd)
    if wrong := [name for name in args.difference if name not in NAMES]:
        parser.error(f"--difference: {wrong[0]} is none of {' '.join(NAMES)}")
    if args.names and len(args.names) != len(args.exp):
        parser.error(f"--names has {len(args.names)} names for {len(args.exp)} folders")
    folders = [path.resolve() for path in args.exp]
    if args.reference and args.reference.resolve() not in folders:
        raise UserError(f"{args.reference}: is not one of --exp; add it there")
    reference = folders.index(args.reference.resolve()) if args.reference else 0

    corpus = Corpus.read(args.data, args.audio_dir)

    def note(line: str) -> None:
        print(f"note: {line}", file=sys.stderr)

    experiments = [collect(path, corpus, args.partition, args.seeds, args.folds, note) for path in args.exp]
    result = comparison.compare(experiments, corpus, reference, args.names, args.resamples)
    paths = {end: args.out.with_name(f"{args.out.name}.{end}") for end in ("md", "csv", "json", "png")}
    figures.comparison(result, paths["png"])
    table = comparison.markdown(result, args.difference)
    made = {key: value for key, value in made_by().items() if key != "date"}  # the same runs give the same bytes
    report.write_markdown(paths["md"], f"{table}\n![comparison]({paths['png'].name})\n", made)
    with atomic_write(paths["csv"]) as file:
        file.write(comparison.comma_separated(result))
    write_json(paths["json"], {**result, "shown_differences": args.difference, "made_by": made})
    print(table)
    print("Written: " + " ".join(map(str, paths.values())))


if __name__ == "__main__":
    main()
