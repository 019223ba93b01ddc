"""Score one experiment: `exp/<tag>/metrics.json`, `RESULTS.md` and figures from its prediction files.

Of crossed corpora the result is a table of what was trained on by what was tested, in `matrix.csv` as well.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from m4ser.data.corpus import Corpus
from m4ser.scoring import crossed, results
from m4ser.scoring.intervals import RESAMPLES
from m4ser.utils.cli import command, words
from m4ser.utils.errors import UserError


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
def main(cmd: Sequence[str] | None = None) -> None:
    """Run the command."""
    args = get_parser().parse_args(cmd)
    corpus = Corpus.read(args.data, args.audio_dir)
    chosen = (args.seeds, args.folds, args.asr_dir)
    if corpus.folds.trained_on:
        if args.baseline or args.partition != "test":
            raise UserError("--baseline, --partition: crossed corpora are scored on test, without comparison")
        table, files = crossed.score(args.exp, corpus, *chosen, args.resamples)
    else:
        more = (args.normaliser, args.baseline, args.resamples)
        table, files = results.score(args.exp, corpus, args.partition, *chosen, *more)
    print(table.markdown(aligned=True))
    print("Written: " + " ".join(map(str, files)))


if __name__ == "__main__":
    main()
