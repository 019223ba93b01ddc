"""The plan of an experiment: its folds and seeds and all that its results will name, in ``exp/<tag>/run.json``."""

import argparse
import json
from pathlib import Path
from typing import Any

from m4ser.data.folds import Folds
from m4ser.data.origin import read_origins
from m4ser.models.description import Pipeline, Plan
from m4ser.models.systems import SER
from m4ser.training.configuration import parse_task
from m4ser.training.experiment import choose_folds, parse_seeds, write_plan
from m4ser.training.lists import altered_of, check_inputs, needs, speed_of
from m4ser.training.metrics import NAMES
from m4ser.training.normalising import UNNORMALISED
from m4ser.training.operating_point import AS_TRAINED
from m4ser.training.pipeline import describe
from m4ser.training.settings import NO_TEXT, Settings
from m4ser.utils.errors import UserError


def plan(settings: Settings, folds: Folds) -> None:
    """Write ``run.json``.

    Raises:
        UserError: the configuration cannot be trained, or is another one than that of this experiment's other runs.
    """
    task = parse_task(settings.config, settings.train_args)
    check_inputs(settings, task)
    names = choose_folds(folds, settings.folds)
    seeds = parse_seeds(settings.seeds)
    altered = [folder for folder in settings.perturbed if altered_of(folder, folds.sets)]
    fields: Plan = {
        "tag": Path(settings.exp).name,
        "protocol": folds.protocol,
        "labels": folds.labels,
        "fusion": task.fusion if task.task == SER else task.task,
        "objectives": {name: conf or {} for name, conf in task.objectives.items()},
        "speech_encoder": _encoder(settings, task, "speech"),
        "text_encoder": _encoder(settings, task, "text"),
        "text_source": settings.text_source if needs(task, "text") else NO_TEXT,
        "asr": settings.asr_tag if needs(task, "text") and settings.text_source == "asr" else NO_TEXT,
        "pipeline": pipeline(settings, task, folds),
        "config": Path(settings.config).name,
        "train_args": settings.train_args,
        "init_exp": settings.init_exp or None,
        "speeds": [speed_of(folder, folds.sets) for folder in settings.perturbed if folder not in altered] or None,
        "settings": _settings(task),
        "corpora": read_origins(settings.data),
        "folds": names,
        "seeds": seeds,
    }
    if altered:
        fields["altered_copies"] = len(altered)
    if task.task == SER and task.operating_point != AS_TRAINED:
        fields["operating_point"] = NAMES[task.operating_point]
    if folds.trained_on:
        fields["trained_on"] = folds.trained_on
    write_plan(settings.exp, fields)


def pipeline(settings: Settings, task: argparse.Namespace, folds: Folds) -> Pipeline:
    """What was done to the recordings before training: :mod:`m4ser.inference.frontend` does the same to others."""
    source = settings.text_source if needs(task, "text") else NO_TEXT
    feats = settings.feats if task.speech_encoder == "precomputed" else ""
    described = describe(needs(task, "speech"), source, feats, settings.text, settings.asr_dir, folds.sets)
    if described["speech"] and task.normalise_features != UNNORMALISED:
        described["speech"]["normalised"] = task.normalise_features
    return described


def _settings(task: argparse.Namespace) -> dict[str, Any]:
    """What the configuration says, as plain JSON: changed settings under an old tag are noticed by it."""
    left_out = ("config", "output_dir", "ngpu", "version", "required", "task")
    return json.loads(json.dumps({k: v for k, v in vars(task).items() if k not in left_out}, default=str))


def _encoder(settings: Settings, task: argparse.Namespace, modality: str) -> str:
    """What the results call the encoder: its pretrained model, or its kind where it is trained from scratch."""
    from m4ser.models.build import encoder_model, speech_encoder_choices, text_encoder_choices

    if not needs(task, modality):
        return NO_TEXT
    choices = speech_encoder_choices if modality == "speech" else text_encoder_choices
    encoder, configured = getattr(settings, choices.name), getattr(task, choices.name)
    if configured == "precomputed":
        return encoder
    pretrained = encoder_model(task, choices)
    if encoder and not pretrained:
        raise UserError(
            f"--{modality}-encoder {encoder}: {configured} in {settings.config} is trained from scratch; leave it out"
        )
    return encoder or pretrained or configured
