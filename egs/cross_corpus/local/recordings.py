#!/usr/bin/env python3
"""How many recordings of a speaker it takes: a system that normalises by speaker, given some of each tested one only.

Every corpus is tested by the model that was trained on most others. Each of its utterances is normalised over itself
and other recordings of its speaker at random, whatever their emotion, as `m4ser predict --speakers` would with so many.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from m4ser.data.corpus import Corpus
from m4ser.data.features import load_features, read_feats_scp
from m4ser.data.folds import JOIN
from m4ser.data.normalising import normalised, statistics, sums
from m4ser.models.batches import Collate, logits
from m4ser.models.checkpoint import load_run
from m4ser.models.systems import EmotionModel
from m4ser.scoring.evaluation import pooled
from m4ser.scoring.runs import Answers
from m4ser.scoring.table import Row, Score, Table, columns
from m4ser.utils import cli
from m4ser.utils.errors import UserError

BATCH = 64
ALL = 0  # as a number of recordings


def folds_left_out(corpus: Corpus) -> dict[str, str]:
    """For each corpus the fold whose model was trained on most others, and not on it.

    Raises:
        UserError: the corpora were not crossed.
    """
    if not corpus.folds.trained_on:
        raise UserError(f"{corpus.path / 'folds.json'}: is of one corpus; this table is for crossed ones")
    rows = {fold: row.split(JOIN) for fold, row in corpus.folds.trained_on.items()}
    others = {name: [fold for fold in rows if name not in rows[fold]] for name in corpus.folds.corpora}
    return {name: max(folds, key=lambda fold: len(rows[fold])) for name, folds in others.items() if folds}


def normalised_with_others(
    matrices: Mapping[str, np.ndarray], speaker: Mapping[str, str], number: int, random: np.random.Generator
) -> Iterator[tuple[str, np.ndarray]]:
    """Each utterance as it is with so many recordings of its speaker, itself among them."""
    measured = {utt: sums(matrix) for utt, matrix in matrices.items()}
    spoken: dict[str, list[str]] = {}
    for utt in matrices:
        spoken.setdefault(speaker[utt], []).append(utt)
    for utts in spoken.values():
        for utt in utts:
            others = [other for other in utts if other != utt]
            some = random.choice(others, min(number - 1, len(others)), replace=False) if number != ALL else others
            yield utt, normalised(matrices[utt], statistics([measured[utt], *(measured[other] for other in some)]))


@torch.no_grad()
def said(model: EmotionModel, speech: Iterator[tuple[str, np.ndarray]]) -> dict[str, int]:
    """Class index of each utterance."""
    answers, collate = {}, Collate()
    every = [(utt, {"speech": matrix.astype(np.float32)}) for utt, matrix in speech]
    every.sort(key=lambda entry: len(entry[1]["speech"]))  # of similar length: little padding
    for start in range(0, len(every), BATCH):
        utts, batch = collate(every[start : start + BATCH])
        answers.update(zip(utts, logits(model, batch).argmax(1).tolist(), strict=True))
    return answers


def measure(run: Path, corpus: Corpus, name: str, numbers: Sequence[int], draws: int) -> list[Score]:
    """UA of the run's model on a corpus, for each number of recordings; mean over draws."""
    model, _ = load_run(run)
    positions = read_feats_scp(run / "data" / "test" / "feats.scp")
    utts = [utt for utt in positions if corpus.domain[utt] == name]
    matrices = {utt: load_features(positions[utt]) for utt in utts}
    labels = corpus.folds.labels
    ref = np.array([labels.index(corpus.emotion[utt]) for utt in utts])
    speakers = np.array([corpus.speaker[utt] for utt in utts])
    scores = []
    for number in numbers:
        hyp = []
        for draw in range(1 if number in (1, ALL) else draws):
            answers = said(model, normalised_with_others(matrices, corpus.speaker, number, np.random.default_rng(draw)))
            hyp.append([answers[utt] for utt in utts])
        ua = pooled(Answers(labels, speakers, ref, np.array(hyp)))["ua"]
        scores.append(Score(ua["mean"], None, ua["ci"]))
    return scores


@cli.command
def main(cmd: Sequence[str] | None = None) -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("exp", type=Path, help="folder exp/<tag> of a system that normalises by speaker")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder with folds.json (default: data)")
    parser.add_argument("--numbers", type=int, nargs="+", default=[1, 2, 5, 10, 20], help="of recordings")
    parser.add_argument("--draws", type=int, default=3, help="of the other recordings (default: 3)")
    parser.add_argument("--seed", type=int, default=1, help="of the training (default: 1)")
    parser.add_argument("--out", type=Path, default=Path("results/recordings"), help="OUT.md, .csv, .json")
    args = parser.parse_args(cmd)
    corpus = Corpus.read(args.data)
    numbers = [*args.numbers, ALL]
    scores_of = {
        name: measure(args.exp / f"fold{fold}" / f"seed{args.seed}", corpus, name, numbers, args.draws)
        for name, fold in folds_left_out(corpus).items()
    }
    rows: list[Row] = [
        [str(number or "all"), *(scores[index] for scores in scores_of.values())]
        for index, number in enumerate(numbers)
    ]
    caption = (
        f"UA in per cent [95 % confidence interval] of {args.exp.name}, protocol `{corpus.folds.protocol}`, each "
        f"corpus by the model of all others; mean over {args.draws} draws of the recordings."
    )
    notes = [
        "Intervals resample the speakers of the tested corpus; of fewer than five, utterances: they are too narrow."
    ]
    table = Table(columns("recordings of a speaker", *scores_of), rows, caption=caption, notes=notes)
    print(table.save(args.out).markdown(aligned=True))


if __name__ == "__main__":
    main()
