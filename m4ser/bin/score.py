"""Score one experiment: `exp/<tag>/metrics.json`, `RESULTS.md` and figures from its prediction files.

Of crossed corpora the result is a table of what was trained on by what was tested, in `matrix.csv` as well.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from m4ser.scoring import figures, matrix, report
from m4ser.scoring.bootstrap import RESAMPLES
from m4ser.scoring.comparison import pair
from m4ser.scoring.experiment import Corpus, collect
from m4ser.utils.cli import command, words
from m4ser.utils.errors import UserError
from m4ser.utils.files import atomic_write, write_json


def get_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--exp", type=Path, required=True, help="folder exp/<tag> with fold*/seed*/predictions_*.tsv")
    parser.add_argument("--data", "--data-dir", type=Path, default=Path("data"), help="data directory with folds.json")
    parser.add_argument("--asr-dir", type=Path, help="dump/asr/<asr>: adds the WER and results by WER")
    parser.add_argument("--audio-dir", type=Path, help="dump/audio: its skipped.tsv says what need not be predicted")
    parser.add_argument("--baseline", type=Path, help="another exp/<tag> for a paired test")
    parser.add_argument("--partition", choices=("dev", "test"), default="test", help="part of the folds to score")
    parser.add_argument("--seeds", type=words, help="seeds to score (default: those of run.json, else all found)")
    parser.add_argument("--folds", type=words, help="folds to score (default: all; fewer marks the result as partial)")
    parser.add_argument("--normaliser", default="english", help="text normaliser of the WER: english, basic or none")
    parser.add_argument("--resamples", type=int, default=RESAMPLES, help="bootstrap resamples")
    return parser


@command
def main(cmd: list[str] | None = None) -> None:
    """Run the command."""
    args = get_parser().parse_args(cmd)
    corpus = Corpus.read(args.data, args.audio_dir)

    def note(line: str) -> None:
        print(f"note: {line}", file=sys.stderr)

    if corpus.folds.trained_on:
        if args.baseline or args.partition != "test":
            raise UserError("--baseline, --partition: crossed corpora are scored on test, without comparison")
        result = matrix.evaluate(args.exp, corpus, args.seeds, args.folds, args.asr_dir, note, args.resamples)
        write_matrix(args.exp, result)
        return
    experiment = collect(args.exp, corpus, args.partition, args.seeds, args.folds, note)
    comparison = None
    if args.baseline:
        baseline = collect(args.baseline, corpus, args.partition, None, args.folds, note)
        comparison = pair(experiment, baseline, args.resamples)
    metrics = report.evaluate(experiment, corpus, args.asr_dir, args.normaliser, comparison, args.resamples)
    suffix = "" if args.partition == "test" else f"_{args.partition}"
    drawn = figures.draw(metrics, args.exp, suffix)
    results, numbers = args.exp / f"RESULTS{suffix}.md", args.exp / f"metrics{suffix}.json"
    report.write_markdown(results, report.markdown(metrics, drawn))
    write_json(numbers, metrics)
    print(report.summary(metrics))
    print(f"Table: {results}\nNumbers: {numbers}\nFigures: {' '.join(str(args.exp / name) for name in drawn)}")


def write_matrix(exp: Path, result: dict[str, Any]) -> None:
    """Write the table of crossed corpora."""
    matrix.draw(result, exp / "matrix.png")
    report.write_markdown(exp / "RESULTS.md", matrix.markdown(result, "matrix.png"))
    with atomic_write(exp / "matrix.csv") as file:
        file.write(matrix.comma_separated(result))
    write_json(exp / "metrics.json", result)
    print(matrix.summary(result))
    print(
        "Written: " + " ".join(str(exp / name) for name in ("RESULTS.md", "metrics.json", "matrix.csv", "matrix.png"))
    )


if __name__ == "__main__":
    main()
