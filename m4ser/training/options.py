"""The options of one run for its ESPnet task: the configuration and what follows from the data."""

import argparse
from collections import Counter
from pathlib import Path

from m4ser.data.folds import Folds
from m4ser.data.own_names import OWN
from m4ser.data.scp import read_scp
from m4ser.training.experiment import Run
from m4ser.training.lists import data_options, needs
from m4ser.training.merged import write_merged
from m4ser.training.settings import Settings
from m4ser.utils.cli import shell_words
from m4ser.utils.errors import UserError
from m4ser.utils.files import read_json

PARTS = {"train": "train", "dev": "valid"}  # ours and ESPnet's names


def task_command(settings: Settings, task: argparse.Namespace, folds: Folds, run: Run) -> list[str]:
    """Options of :class:`.SERTask` for one run: the configuration and what follows from the data.

    The configuration is merged and written beside the experiment's ``run.json`` first.
    """
    data = run.folder / "data"
    config = write_merged(settings.config, settings.exp)
    options = ["--config", str(config), "--output_dir", str(run.folder), "--seed", str(run.seed)]
    options += ["--ngpu", str(settings.ngpu), "--resume", "true", "--labels", *folds.labels]
    for part, espnet in PARTS.items():
        for triple in data_options(data, part, task):
            if any("," in field for field in triple):
                raise UserError(f"{triple[0]}: ESPnet cannot read paths with a comma; move the recipe")
            options += [f"--{espnet}_data_path_and_name_and_type", ",".join(triple)]
        options += [f"--{espnet}_shape_file", str(data / part / "lengths")]
    if (data / "train" / "feats.scp").exists():
        info = read_json(Path(settings.feats) / folds.sets[0] / "info.json")
        for option, key in (("input_size", "dim"), ("frame_rate", "frame_rate")):
            options += ["--speech_encoder_conf", f"{option}={info[key]}"]
        options += ["--speech_encoder_conf", f"num_layers={len(info['layers'])}"]
        if info["encoder"].startswith(OWN):
            options += _scaled(settings, task, folds)
    for modality, model in (("speech", settings.speech_encoder), ("text", settings.text_encoder)):
        if model and needs(task, modality) and getattr(task, f"{modality}_encoder") != "precomputed":
            options += [f"--{modality}_encoder_conf", f"model={model}"]
    if settings.tokenizers and needs(task, "text"):
        options += ["--tokenizer", str(Path(settings.tokenizers) / f"fold{run.fold}")]
    if settings.pretrained_dir:
        options += ["--pretrained_dir", settings.pretrained_dir]
    if settings.init_exp:
        options += ["--init_param", *initial_weights(Path(settings.init_exp), task, run, folds.labels)]
    options += shell_words(settings.train_args, "--train-args")
    if task.model_conf.get("class_weights") == "balanced":  # the last word, wherever it was asked for
        options += ["--model_conf", f"class_weights={_balanced(data, folds.labels)}"]
    return options


def _scaled(settings: Settings, task: argparse.Namespace, folds: Folds) -> list[str]:
    """How features of one's own are normalised: by the training part, which the scale of other encoders does without.

    Raises:
        UserError: the configuration says otherwise, and some values are missing.
    """
    stated = (getattr(task, "speech_encoder_conf", None) or {}).get("normalise")
    encoder = getattr(task, "speech_encoder", "") == "precomputed"
    fills_in = (
        encoder and stated in (None, "corpus") and "augmentation" not in (getattr(task, "objectives", None) or {})
    )
    missing = sum(read_json(Path(settings.feats) / name / "info.json").get("missing", 0) for name in folds.sets)
    if missing and not fills_in:
        fault = f"{settings.feats}: {missing} utterances lack some of their features"
        remedy = "only speech_encoder_conf normalise: corpus, the default for them, fills these in"
        raise UserError(f"{fault}, and {settings.config} cannot use them so; {remedy}")
    return ["--speech_encoder_conf", "normalise=corpus"] if encoder and stated is None else []


def initial_weights(exp: Path, task: argparse.Namespace, run: Run, labels: list[str]) -> list[str]:
    """ESPnet's ``--init_param``: encoders, and with the same fusion also that, of a trained model.

    With the same labels it is the classifier, too; of other labels it is trained from the beginning. ``exp`` is an
    experiment with the fold and seed of the run, or one run, from which all start.

    A model that was trained on features of stage 1 starts one that has the encoder of these features inside:
    classifier first, then fine-tuning of all (Kumar et al. 2022, "LP-FT").

    Raises:
        UserError: there is no such model, or nothing of it fits.
    """
    from m4ser.models.checkpoint import read_config, read_weights, weights_file

    source = exp if (exp / "model.pth").is_file() else exp / f"fold{run.fold}" / f"seed{run.seed}"
    if not (source / "model.pth").exists():
        raise UserError(f"{source / 'model.pth'}: no such model; --init-exp needs it trained with this fold and seed")
    stored = read_config(source)
    places = {}
    for modality in ("speech", "text"):
        name = f"{modality}_encoder"
        encoders = stored.get(name), getattr(task, name)
        if needs(task, modality) and encoders[0] == encoders[1]:
            places[name] = name
        elif needs(task, modality) and encoders == ("precomputed", "huggingface"):
            places[name] = f"{name}.head"
    if stored.get("fusion") == task.fusion:
        places["fusion"] = "fusion"
        if stored.get("labels") == labels:
            places["classifier"] = "classifier"
    trained = {name.split(".")[0] for name in read_weights(source)}
    chosen = {old: new for old, new in places.items() if old in trained}
    if not chosen:
        raise UserError(f"{source}: has other encoders and another fusion; --init-exp finds nothing to start from")
    print(f"{run.folder}: starts with {', '.join(chosen)} of {source}")
    # The file whose weights were read above; the trainer reads it as it was read there.
    return [f"{weights_file(source)}:{old}:{new}" for old, new in chosen.items()]


def _balanced(data: Path, labels: list[str]) -> list[float]:
    """Inverse class frequency of the training part, mean one over utterances."""
    counts = Counter(read_scp(data / "train" / "utt2emo").values())
    total = sum(counts.values())
    if absent := [label for label in labels if not counts[label]]:
        raise UserError(f"{data / 'train' / 'utt2emo'}: no training utterance is {absent[0]}; class weights need one")
    return [round(total / (len(labels) * counts[label]), 6) for label in labels]
