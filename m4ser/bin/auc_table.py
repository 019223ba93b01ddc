"""How well systems rank, wherever their thresholds lie: macro AUC of several experiments in one table."""

import argparse
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from m4ser.scoring import auc, report, tables
from m4ser.scoring.across import MIN_CONDITIONS, mean_interval
from m4ser.scoring.bootstrap import RESAMPLES, clusters, percentiles
from m4ser.scoring.experiment import Corpus, Experiment, collect
from m4ser.utils import cli
from m4ser.utils.errors import UserError

NOTE = (
    "AUC: area under the ROC curve of one class against the rest, mean over classes, all folds pooled, in per cent, "
    "mean over seeds (± sd where several); 50 is chance. The last column tells how often the class is answered that is "
    "most frequent in the references."
)

MEAN_NOTE = (
    "Mean of a tag's differences in several places: with Student's interval over the places; it does not tell what "
    "other speakers would change."
)


def get_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--exp", type=Path, nargs="+", required=True, help="folders exp/<tag>, one row each")
    parser.add_argument("--names", nargs="+", default=[], help="names of the rows (default: those of the folders)")
    parser.add_argument(
        "--against",
        help="tag that each is compared with: the folder of this name beside it; a tag in "
        f"{MIN_CONDITIONS} or more places gets the mean of its differences",
    )
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder with folds.json (default: data)")
    parser.add_argument("--audio-dir", type=Path, help="dump/audio: its skipped.tsv says what need not be predicted")
    parser.add_argument("--partition", choices=("dev", "test"), default="test", help="part of the folds to score")
    parser.add_argument("--seeds", type=cli.words, default=[], help="seeds (default: those of run.json)")
    parser.add_argument("--resamples", type=int, default=RESAMPLES, help="bootstrap resamples")
    parser.add_argument("--out", type=Path, default=Path("exp/auc"), help="writes OUT.md and OUT.json")
    return parser


def table(folders: Sequence[Path], names: Sequence[str], corpus: Corpus, args: argparse.Namespace) -> dict[str, Any]:
    """The table as data.

    Raises:
        UserError: an experiment or one of its runs is missing.
    """

    @functools.cache  # what others are compared with is read once
    def read(folder: Path) -> tuple[Experiment, np.ndarray, np.ndarray]:
        """Answers, macro AUC of each seed, and mean over seeds in resamples."""
        one = collect(folder, corpus, args.partition, args.seeds)
        if one.partial:
            seed, fold = one.missing[0]
            raise UserError(f"{folder}/fold{fold}/seed{seed}: is missing; run stages 4 and 5 for it")
        given = one.ref, one.probabilities
        return one, auc.values(*given), auc.distribution(one.speakers, *given, args.resamples)

    first, *_ = read(folders[0])
    frequent = int(np.bincount(first.ref).argmax())
    lines: list[list[str]] = []
    differences: dict[str, list[float]] = {}
    for name, folder in zip(names, folders, strict=True):
        one, own, drawn = read(folder)
        sd = float(own.std(ddof=1)) if len(own) > 1 else None
        cells = [name, f"{tables.plus_minus(own.mean(), sd)} {tables.interval(percentiles(drawn))}"]
        if args.against == folder.name:
            cells.append("reference")
        elif args.against:
            _, theirs, theirs_drawn = read(folder.parent / args.against)
            difference = own.mean() - theirs.mean()
            differences.setdefault(folder.name, []).append(difference)
            cells.append(f"{tables.signed(difference)} {tables.interval(percentiles(drawn - theirs_drawn))}")
        lines.append([*cells, tables.percent((one.hyp == frequent).mean())])
    means = {tag: values for tag, values in differences.items() if len(values) >= MIN_CONDITIONS}
    for tag, values in means.items():
        mean, ends = mean_interval(values)
        lines.append([f"mean of {len(values)}, {tag}", "", f"{tables.signed(mean)} {tables.interval(ends)}", ""])
    header = ["system", "macro AUC [95 % CI]", f'answers "{first.labels[frequent]}"']
    if args.against:
        header.insert(2, f"Δ to {args.against} [95 % CI]")
    _, unit = clusters(first.speakers)
    paired = ", that of a difference paired and not corrected for the number of rows" if args.against else ""
    across = f" {MEAN_NOTE}" if means else ""
    share = tables.percent((first.ref == frequent).mean())
    note = (
        f"{NOTE} There it is {share} %. Interval: bootstrap over {unit}s{paired}.{across} "
        f"Protocol `{corpus.folds.protocol}`, {args.partition}. Seeds {' '.join(first.seeds)}."
    )
    return {"kind": tables.KIND, "header": header, "rows": lines, "note": note}


@cli.command
def main(cmd: Sequence[str] | None = None) -> None:
    """Run the command."""
    args = get_parser().parse_args(cmd)
    corpus = Corpus.read(args.data, args.audio_dir)
    result = table(args.exp, cli.row_names(args.names, args.exp), corpus, args)
    report.write_table(args.out, tables.markdown(result), result)


if __name__ == "__main__":
    main()
