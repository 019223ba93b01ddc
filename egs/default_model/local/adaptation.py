#!/usr/bin/env python3
"""How many labelled utterances of a new corpus the models of the others need: table and figure of `m4ser adapt`.

The features are those that the recipes of the corpora have dumped; nothing is computed from recordings again.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from m4ser.adaptation.classifier import Layer
from m4ser.adaptation.curve import COUNTS, DRAWS, Voices, table
from m4ser.data.datadir import DataDir
from m4ser.data.features import Features
from m4ser.models.checkpoint import load_run
from m4ser.models.model import SERModel
from m4ser.recipes.labels import COMMON, to_common
from m4ser.scoring.figures import adaptation, save
from m4ser.utils import cli
from m4ser.utils.errors import UserError

WHAT = (
    "Whisper: mean and deviation over time of all layers of its frozen encoder; openSMILE: the 88 functionals of "
    "eGeMAPSv02."
)


def runs(exp: Path, corpus: str) -> list[Path]:
    """The trained models that do not know a corpus: one for each seed."""
    trained = sorted(path.parent for path in exp.glob(f"fold{corpus}/seed*/model.pth"))
    if not trained:
        raise UserError(f"{exp}/fold{corpus}: no trained model; train as README.md says")
    return trained


def voices(recipe: Path, exp: Path, feats: str, functionals: str, every_label: bool) -> Voices:
    """A recipe's corpus as the models that do not know it see it."""
    name = recipe.resolve().name
    maps = DataDir.read(recipe / "data/all").maps
    frames, smile = (Features(recipe / "dump/feats" / tag / "all/feats.scp") for tag in (feats, functionals))
    labels = {utt: to_common(name, label) or (label if every_label else "") for utt, label in maps["utt2emo"].items()}
    utts = [utt for utt in labels if labels[utt] and utt in frames]
    there = {labels[utt] for utt in utts}
    classes = [*(label for label in COMMON if label in there), *sorted(there - set(COMMON))]
    models = [load_run(run)[0] for run in runs(exp, name)]
    vectors: list[list[np.ndarray]] = [[] for _ in models]
    pooled = []
    with torch.inference_mode():
        for utt in utts:
            values = frames[utt].astype(np.float32)
            pooled.append(np.concatenate([values.mean(0), values.std(0)]))
            batch = {"speech": torch.from_numpy(values)[None], "speech_lengths": torch.tensor([len(values)])}
            for model, rows in zip(models, vectors, strict=True):
                rows.append(model.represent(**batch).utterance[0].numpy())
    return Voices(
        name,
        classes,
        np.array([classes.index(labels[utt]) for utt in utts]),
        np.array([maps["utt2spk"][utt] for utt in utts]),
        [(np.stack(rows), _layer(model)) for rows, model in zip(vectors, models, strict=True)],
        list(models[0].labels),
        {"Whisper": np.stack(pooled), "openSMILE": np.stack([smile[utt][0] for utt in utts])},
    )


def _layer(model: SERModel) -> Layer:
    return Layer(model.classifier.weight.double().numpy(force=True), model.classifier.bias.double().numpy(force=True))


@cli.command
def main(cmd: Sequence[str] | None = None) -> None:
    """Compute the curves and write the table and its figure."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("recipes", type=Path, nargs="+", help="corpora that were left out in turn, at stage 1")
    parser.add_argument("--exp", type=Path, default=Path("exp/voice"), help="their models (default: exp/voice)")
    parser.add_argument("--feats", default="whisper-tiny.en_pool8", help="features of these (dump/feats/...)")
    parser.add_argument("--functionals", default="opensmile_eGeMAPSv02", help="functionals of openSMILE, likewise")
    parser.add_argument("--every-label", action="store_true", help="all labels of the corpora, not the common four")
    parser.add_argument("--draws", type=int, default=DRAWS, help=f"how often examples are drawn (default: {DRAWS})")
    parser.add_argument("--out", type=Path, default=Path("results/adaptation"), help="OUT.md, .csv, .json")
    parser.add_argument("--figure", type=Path, help="PNG to draw of the table")
    args = parser.parse_args(cmd)
    chosen = [voices(recipe, args.exp, args.feats, args.functionals, args.every_label) for recipe in args.recipes]
    curves = table(chosen, COUNTS, args.draws, WHAT)
    print(curves.save(args.out).markdown(aligned=True))
    if args.figure:
        save(adaptation(curves), args.figure)


if __name__ == "__main__":
    main()
