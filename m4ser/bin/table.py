"""Result tables: each KIND writes one as Markdown, CSV and JSON (OUT.md, .csv, .json); insert puts it into a page."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from m4ser.scoring.intervals import MIN_CONDITIONS, RESAMPLES
from m4ser.scoring.table import Table
from m4ser.training.metrics import NAMES
from m4ser.utils.cli import boolean, command, row_names, words
from m4ser.utils.errors import UserError


def get_parser() -> argparse.ArgumentParser:
    """Options of all kinds."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    kinds = parser.add_subparsers(title="kinds", metavar="KIND", required=True)

    def kind(name: str, run: Callable[[argparse.Namespace], None], text: str, out: str = "") -> argparse.ArgumentParser:
        one = kinds.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", allow_abbrev=False)
        one.set_defaults(run=run)
        if out:
            one.add_argument("--out", type=Path, default=Path(out), help=f"writes OUT.md, .csv, .json (default: {out})")
        return one

    def rows(one: argparse.ArgumentParser, option: str, text: str) -> None:
        one.add_argument(option, type=Path, nargs="+", required=True, dest="folders", help=text)
        one.add_argument("--names", nargs="+", default=[], help="names of the rows (default: those of the folders)")

    def scored(one: argparse.ArgumentParser) -> None:
        rows(one, "--exp", "folders exp/<tag>, one row each")
        one.add_argument("--data", "--data-dir", type=Path, default=Path("data"), help="folder with folds.json")
        one.add_argument("--audio-dir", type=Path, help="dump/audio: its skipped.tsv says what need not be predicted")
        one.add_argument("--partition", choices=("dev", "test"), default="test", help="part of the folds to score")
        one.add_argument("--seeds", type=words, default=[], help="seeds (default: those of run.json, else all found)")
        one.add_argument("--resamples", type=int, default=RESAMPLES, help="bootstrap resamples")

    one = kind("comparison", _comparison, "several systems, paired tests against one; also OUT.png", "exp/comparison")
    scored(one)
    one.add_argument("--reference", type=Path, help="the one of --exp to compare with (default: the first)")
    one.add_argument("--folds", type=words, help="folds to score (default: all; fewer marks the rows as partial)")
    one.add_argument("--difference", type=words, default=["ua", "wa"], help=f"scores tested, of {' '.join(NAMES)}")

    one = kind("crossed", _crossed, "crossed corpora, from the metrics.json of stage 5; also OUT.png", "exp/crossed")
    one.add_argument("--exp", type=Path, required=True, help="folder exp/<tag>, scored")

    one = kind("crossings", _crossings, "several systems on crossed corpora, as stage 5 scored them", "exp/crossings")
    rows(one, "--exp", "folders exp/<tag>, scored")
    one.add_argument("--rows", choices=("left_out", "all"), default="left_out", help=(
        "left_out: one row each, every corpus tested by the models of most others; all: a row for everything that was "
        "trained on (default: left_out)"
    ))  # fmt: skip

    one = kind("left_out", _left_out, "systems on corpora that they were not trained on", "exp/left_out")
    rows(one, "--exp", "folders exp/<tag> of crossed corpora: the system in question, then others")
    one.add_argument("--data", type=Path, default=Path("data"), help="folder with folds.json (default: data)")
    one.add_argument("--seeds", type=words, default=[], help="seeds of the first (default: those of run.json)")
    one.add_argument("--resamples", type=int, default=RESAMPLES, help="bootstrap resamples")

    one = kind(
        "robustness", _robustness, "systems under several conditions of their text; also OUT.png", "exp/robustness"
    )
    rows(one, "--conditions", "folders, each with a comparison")
    one.add_argument("--comparison", default="comparison", help="name of the comparison in each (default: comparison)")
    one.add_argument("--metric", choices=["weighted_f1", "ua"], help="score to show (default: both)")

    one = kind("summary", _summary, "systems by corpora, from their comparisons", "summary")
    source = "name of a corpus and the table that compare.sh or run_ablation.sh made of it; once for each column"
    one.add_argument("--table", action="append", required=True, metavar="NAME=JSON", help=source)
    one.add_argument("--metric", choices=list(NAMES), default="ua", help="score to show (default: ua)")

    one = kind("objectives", _objectives, "what the objectives learned on the dev set", "exp/objectives")
    rows(one, "--exp", "folders exp/<tag>, one row each")
    one.add_argument("--folds", type=words, default=[], help="folds that count (default: all)")
    one.add_argument("--seeds", type=words, default=[], help="seeds that count (default: all)")

    one = kind("recognisers", _recognisers, "word error rates and speed of recognisers", "exp/asr")
    rows(one, "--asr-dir", "folders dump/asr/<asr>, scored")
    one.add_argument("--sets", type=words, default=[], help="sets, e.g. 'test' (default: all there)")

    one = kind("ranking", _ranking, "area under the ROC curve, wherever thresholds lie", "exp/ranking")
    scored(one)
    against = (
        "tag that each is compared with: the folder of this name beside it; a tag in "
        f"{MIN_CONDITIONS} or more places gets the mean of its differences"
    )
    one.add_argument("--against", default="", help=against)

    one = kind(
        "representations", _representations, "whether the parts of trained models are what they are called",
        "exp/representations",
    )  # fmt: skip
    scored(one)
    one.add_argument("--reference", type=Path, help="the one of --exp whose similarities the others are compared with")
    one.add_argument("--folds", type=words, default=[], help="folds that count (default: all)")

    one = kind("targets", _targets, "what error detection and correction can learn from", "exp/targets")
    rows(one, "--text", "folders dump/text/<asr> of stage 3")
    one.add_argument("--data", type=Path, default=Path("data"), help="folder with folds.json (default: data)")
    one.add_argument("--folds", type=words, default=[], help="folds (default: all)")

    one = kind("tuning", _tuning, "what tune.sh tried for several systems", "exp/tuning")
    one.add_argument("reports", type=Path, nargs="+", help="exp/tune/NAME.json of each system")

    one = kind("insert", _insert, "put a table between the lines 'begin results NAME' and 'end results NAME' of a page")
    one.add_argument("--readme", type=Path, required=True, help="the page")
    one.add_argument("--name", required=True, help="NAME of the markers")
    one.add_argument("--from", dest="source", type=Path, required=True, help="JSON of a table, or metrics.json")
    one.add_argument("--check", type=boolean, default=False, help="true: write nothing, fail if it would change")
    return parser


def _write(table: Table, out: Path) -> None:
    print(table.save(out).markdown(aligned=True))


def _comparison(args: argparse.Namespace) -> None:
    from m4ser.data.corpus import Corpus
    from m4ser.scoring import comparison, figures

    if wrong := [name for name in args.difference if name not in NAMES]:
        raise UserError(f"--difference: {wrong[0]} is none of {' '.join(NAMES)}")
    corpus, names = Corpus.read(args.data, args.audio_dir), args.names and row_names(args.names, args.folders)
    chosen = (args.partition, args.seeds, args.folds, args.difference, args.resamples)
    table = comparison.table(args.folders, corpus, names, args.reference, *chosen)
    _write(figures.illustrated(table, args.out, figures.comparison), args.out)


def _crossed(args: argparse.Namespace) -> None:
    from m4ser.scoring import crossed, figures

    result = crossed.read(args.exp / "metrics.json")
    _write(figures.illustrated(crossed.headline(result), args.out, figures.crossed), args.out)


def _crossings(args: argparse.Namespace) -> None:
    from m4ser.scoring import crossed, crossings

    results = {
        name: crossed.read(folder / "metrics.json")
        for name, folder in zip(row_names(args.names, args.folders), args.folders, strict=True)
    }
    _write(crossings.table(results, args.rows == "all"), args.out)


def _left_out(args: argparse.Namespace) -> None:
    from m4ser.data.corpus import Corpus
    from m4ser.scoring import left_out

    names = args.names and row_names(args.names, args.folders)
    _write(left_out.table(args.folders, Corpus.read(args.data), names, args.seeds, args.resamples), args.out)


def _robustness(args: argparse.Namespace) -> None:
    from m4ser.scoring import figures, robustness

    names = row_names(args.names, args.folders, "conditions")
    metrics = [args.metric] if args.metric else robustness.SHOWN
    table = robustness.table(args.folders, names, args.comparison, metrics)
    _write(figures.illustrated(table, args.out, figures.robustness), args.out)


def _summary(args: argparse.Namespace) -> None:
    from m4ser.scoring import summary

    _write(summary.table(summary.sources(args.table), args.metric), args.out)


def _objectives(args: argparse.Namespace) -> None:
    from m4ser.scoring import objectives

    table = objectives.table(args.folders, row_names(args.names, args.folders), args.seeds, args.folds)
    if table is None:
        Table.remove(args.out)  # of other experiments
        print("no experiment has objectives: no table of what they learned")
        return
    _write(table, args.out)


def _recognisers(args: argparse.Namespace) -> None:
    from m4ser.scoring import recognisers

    _write(recognisers.table(args.folders, row_names(args.names, args.folders), args.sets), args.out)


def _ranking(args: argparse.Namespace) -> None:
    from m4ser.data.corpus import Corpus
    from m4ser.scoring import ranking

    corpus, names = Corpus.read(args.data, args.audio_dir), row_names(args.names, args.folders)
    chosen = (args.against, args.partition, args.seeds, args.resamples)
    _write(ranking.table(args.folders, corpus, names, *chosen), args.out)


def _representations(args: argparse.Namespace) -> None:
    from m4ser.data.corpus import Corpus
    from m4ser.scoring import representations

    corpus, names = Corpus.read(args.data, args.audio_dir), row_names(args.names, args.folders)
    chosen = (args.reference, args.partition, args.seeds, args.folds, args.resamples)
    _write(representations.table(args.folders, corpus, names, *chosen), args.out)


def _targets(args: argparse.Namespace) -> None:
    from m4ser.scoring import targets

    _write(targets.table(args.folders, row_names(args.names, args.folders), args.data, args.folds), args.out)


def _tuning(args: argparse.Namespace) -> None:
    from m4ser.stages import tuned

    _write(tuned.table(args.reports), args.out)


def _insert(args: argparse.Namespace) -> None:
    from m4ser.scoring import pages

    pages.update(args.readme, args.name, args.source, args.check)


@command
def main(cmd: Sequence[str] | None = None) -> None:
    """Run the command."""
    args = get_parser().parse_args(cmd)
    args.run(args)


if __name__ == "__main__":
    main()
