#!/usr/bin/env python3
"""What few labelled recordings are enough for: tables of them, and the scores of what was made of them.

draw: from a table of any corpus, some recordings of each emotion to learn from, by half of the speakers, and others to
test with, by the other half. compare: models that `m4ser adapt` has made of such tables beside experiments of run.sh.
"""

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from m4ser.hub.opening import open_model
from m4ser.recipes.table import Row as Line
from m4ser.recipes.table import read_table
from m4ser.scoring.table import Row, Score, Table, columns
from m4ser.utils import cli
from m4ser.utils.errors import UserError
from m4ser.utils.files import atomic_write, read_json

COLUMNS = ("file", "emotion", "speaker", "split")


def draw(lines: Sequence[Line], names: Sequence[str], count: int, tests: int, number: int) -> list[list[str]]:
    """Rows of a table with COLUMNS; `names` are the columns of the lines with file, emotion and speaker.

    Raises:
        UserError: an emotion has too few recordings.
    """
    random = np.random.default_rng(number)
    triples = [[line.values[name.casefold()] for name in names] for line in lines]
    speakers = random.permutation(sorted({speaker for *_, speaker in triples}))
    learning = set(speakers[: len(speakers) // 2].tolist())
    rows = []
    for part, size in (("train", count), ("test", tests)):
        for emotion in sorted({emotion for _, emotion, _ in triples}):
            candidates = [row for row in triples if row[1] == emotion and (row[2] in learning) == (part == "train")]
            if len(candidates) < size:
                raise UserError(f"{emotion}: half of the speakers say it {len(candidates)} times, fewer than {size}")
            rows += [
                [*candidates[place], part] for place in sorted(random.choice(len(candidates), size, replace=False))
            ]
    return rows


def compare(adapted: Sequence[Path], scratch: Sequence[Path]) -> Table:
    """A row for each draw and the mean: UA of adapted models and of experiments on the same tables.

    Raises:
        UserError: there are not as many of both, or a model was not tested.
    """
    if len(adapted) != len(scratch):
        raise UserError(f"{len(adapted)} adapted models and {len(scratch)} experiments: give as many of both")
    values: list[list[float]] = []
    rows: list[Row] = []
    for number, (model, experiment) in enumerate(zip(adapted, scratch, strict=True), 1):
        with open_model(model) as stored:
            about = stored.about["training"]["adapted"]
        if "tested" not in about:
            raise UserError(f"{model}: was not tested; adapt with a table whose column split has test")
        pooled = read_json(experiment / "metrics.json")["pooled"]
        if pooled["utterances"] != about["tested"]["utterances"]:
            raise UserError(f"{experiment}: was tested on other recordings than {model}")
        ours, theirs = about["tested"]["ua"], pooled["ua"]["mean"]
        values.append([ours, theirs, ours - theirs, about["seconds"]])
        sizes = sum(about["counts"].values()), about["tested"]["utterances"]
        difference = Score(ours - theirs, difference=True)
        rows.append([f"draw {number}", *map(str, sizes), Score(ours), Score(theirs), difference, about["seconds"]])
    means = np.mean(values, axis=0).tolist()
    spread = np.std(values, axis=0, ddof=1).tolist() if len(values) > 1 else [None] * 4
    mean = [Score(each, sd, difference=place == 2) for place, (each, sd) in enumerate(zip(means, spread, strict=True))]
    rows.append(["mean", None, None, *mean[:3], means[3]])
    heads = columns("", "learned from", "tested", "UA adapted", "UA from scratch", "Δ", "processor s to adapt")
    notes = [
        "The speakers of the recordings that are tested are not among those that are learned from; ± sd over draws."
    ]
    return Table(heads, rows, caption="UA in per cent.", notes=notes)


@cli.command
def main(cmd: Sequence[str] | None = None) -> None:
    """Draw a table, or compare what was made of such tables."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    kinds = parser.add_subparsers(dest="kind", required=True)
    one = kinds.add_parser("draw", allow_abbrev=False)
    one.add_argument("table", type=Path, help="a table with a line for each recording")
    one.add_argument("--columns", nargs=3, default=COLUMNS[:3], metavar="NAME", help="file, emotion and speaker")
    one.add_argument("--folder", default="", help="put before the names of files")
    one.add_argument("--count", type=int, default=10, help="recordings of each emotion to learn from (default: 10)")
    one.add_argument("--tests", type=int, default=50, help="of each emotion to test with (default: 50)")
    one.add_argument("--draw", type=int, default=1, help="number of the draw (default: 1)")
    one.add_argument("--out", type=Path, required=True, help="table to write")
    two = kinds.add_parser("compare", allow_abbrev=False)
    two.add_argument("--adapted", type=Path, nargs="+", required=True, help="models, draw by draw")
    two.add_argument("--scratch", type=Path, nargs="+", required=True, help="experiments exp/<tag>, likewise")
    two.add_argument("--out", type=Path, required=True, help="OUT.md, .csv, .json")
    args = parser.parse_args(cmd)
    if args.kind == "compare":
        print(compare(args.adapted, args.scratch).save(args.out).markdown(aligned=True))
        return
    lines, _ = read_table(args.table, [name.casefold() for name in args.columns])
    rows = draw(lines, args.columns, args.count, args.tests, args.draw)
    with atomic_write(args.out) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows([str(Path(args.folder, name)), *rest] for name, *rest in rows)
    print(f"{args.out}: {len(rows)} recordings")


if __name__ == "__main__":
    main()
