"""Stage 4: train one model per fold and seed through ESPnet's trainer.

``--plan`` checks the configuration and writes ``exp/<tag>/run.json``; ``--job J`` trains the J-th of folds x seeds.
Both may be given at once, which imports ESPnet once. A finished run is left alone, an interrupted one continues from
its last complete epoch.
"""

import argparse
import json
import os
import shlex
import shutil
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from m4ser.cli import boolean, command, words
from m4ser.data.folds import Fold, Folds
from m4ser.data.scp import write_scp
from m4ser.errors import UserError
from m4ser.experiment import NO_TEXT, Run, choose_folds, parse_task, read_maps, runs, task_class, write_plan
from m4ser.files import atomic_directory, atomic_path, read_json, write_json
from m4ser.frontend import describe
from m4ser.history import HISTORY, read_history

DONE = "train_info.json"
PARTS = {"train": "train", "dev": "valid"}


def get_parser() -> argparse.ArgumentParser:
    """Options shared by the plan and the jobs."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--data", default="data", help="folder with folds.json (default: data)")
    parser.add_argument("--audio", default="dump/audio", help="stage 1 audio (default: dump/audio)")
    parser.add_argument("--feats", default="", help="stage 1 features of one encoder, for speech_encoder: precomputed")
    parser.add_argument(
        "--perturbed",
        action="append",
        default=[],
        help="stage 1 features at another speed, to train on too; repeatable",
    )
    parser.add_argument("--text", default="", help="stage 3 targets of one text source: dump/text/<source>")
    parser.add_argument("--tokenizers", default="", help="stage 3 sentencepiece models, for text_encoder: transformer")
    parser.add_argument("--asr-dir", default="", help="stage 2 of one recogniser, for its WER in the results")
    parser.add_argument("--exp", required=True, help="experiment folder exp/<tag>")
    parser.add_argument("--config", required=True, help="training configuration (YAML)")
    parser.add_argument("--train-args", default="", help="options that override the configuration, as one argument")
    parser.add_argument("--folds", type=words, default=[], help="folds to train (default: all)")
    parser.add_argument("--seeds", type=words, default=["1"], help="random seeds (default: 1)")
    parser.add_argument("--text-source", default="asr", choices=["asr", "ref", NO_TEXT], help="(default: asr)")
    parser.add_argument("--text-encoder", default="", help="name or folder, overrides text_encoder_conf: model")
    parser.add_argument(
        "--speech-encoder",
        default="",
        help="with --feats: name of the encoder that made them; else overrides speech_encoder_conf: model",
    )
    parser.add_argument("--asr-tag", default="", help="name of the recogniser, for the results")
    parser.add_argument(
        "--init-exp", default="", help="start from the models of this experiment, fold by fold and seed"
    )
    parser.add_argument("--pretrained-dir", default="", help="where pretrained folders are looked for first")
    parser.add_argument("--ngpu", type=int, default=0, help="GPUs for this job (default: 0)")
    parser.add_argument(
        "--keep-snapshots", type=boolean, default=False, help="keep all epochs' models (default: false)"
    )
    parser.add_argument("--plan", action="store_true", help="check the configuration and write run.json")
    parser.add_argument("--job", type=int, help="train this run, 1 to the number of folds x seeds")
    return parser


def read_folds(data: str) -> Folds:
    """Folds whose speakers were checked to be disjoint."""
    path = Path(data) / "folds.json"
    folds = Folds.read(path)
    folds.check(read_maps(data, folds.sets, "utt2spk"), path)
    return folds


def plan(args: argparse.Namespace, folds: Folds) -> None:
    """Write ``run.json``.

    Raises:
        UserError: the configuration cannot be trained, or is another one than that of this experiment's other runs.
    """
    task = parse_task(args.config, args.train_args)
    check_inputs(args, task)
    names = choose_folds(folds, args.folds)
    seeds = _seeds(args)
    fields: dict[str, Any] = {
        "tag": Path(args.exp).name,
        "protocol": folds.protocol,
        "labels": folds.labels,
        "fusion": task.fusion if task.task == "ser" else task.task,
        "objectives": {name: conf or {} for name, conf in task.objectives.items()},
        "speech_encoder": _encoder(args, task, "speech"),
        "text_encoder": _encoder(args, task, "text"),
        "text_source": args.text_source if needs(task, "text") else NO_TEXT,
        "asr": args.asr_tag if needs(task, "text") and args.text_source == "asr" else NO_TEXT,
        "pipeline": pipeline(args, task, folds),
        "config": Path(args.config).name,
        "train_args": args.train_args,
        "init_exp": args.init_exp or None,
        "speeds": [_speed(folder, folds.sets) for folder in args.perturbed] or None,
        "settings": _settings(task),
        "folds": names,
        "seeds": seeds,
    }
    write_plan(args.exp, fields)


def pipeline(args: argparse.Namespace, task: argparse.Namespace, folds: Folds) -> dict[str, Any]:
    """What was done to the recordings before training: prediction of others does the same (m4ser.frontend)."""
    source = args.text_source if needs(task, "text") else NO_TEXT
    feats = args.feats if task.speech_encoder == "precomputed" else ""
    return describe(needs(task, "speech"), source, feats, args.text, args.asr_dir, folds.sets)


def _seeds(args: argparse.Namespace) -> list[int]:
    if bad := [seed for seed in args.seeds if not seed.isdigit()]:
        raise UserError(f"--seeds: {bad[0]!r} is not a whole number of 0 or more")
    return [int(seed) for seed in args.seeds]


def _settings(task: argparse.Namespace) -> dict[str, Any]:
    """What the configuration says, as plain JSON: changed settings under an old tag are noticed by it."""
    left_out = ("config", "output_dir", "ngpu", "version", "required", "task")
    return json.loads(json.dumps({k: v for k, v in vars(task).items() if k not in left_out}, default=str))


def _encoder(args: argparse.Namespace, task: argparse.Namespace, modality: str) -> str:
    """What the results call the encoder: its pretrained model, or its kind where it is trained from scratch."""
    from m4ser.build import encoder_model, speech_encoder_choices, text_encoder_choices

    if not needs(task, modality):
        return NO_TEXT
    choices = speech_encoder_choices if modality == "speech" else text_encoder_choices
    given, kind = getattr(args, choices.name), getattr(task, choices.name)
    if kind == "precomputed":
        return given
    pretrained = encoder_model(task, choices)
    if given and not pretrained:
        raise UserError(f"--{modality}-encoder {given}: {kind} in {args.config} is trained from scratch; leave it out")
    return given or pretrained or kind


def needs(task: argparse.Namespace, modality: str) -> bool:
    """Whether the configured fusion uses ``speech`` or ``text``."""
    from m4ser.build import fusion_choices

    return getattr(fusion_choices.get_class(task.fusion), f"uses_{modality}")


def needs_reference(task: argparse.Namespace) -> bool:
    """Whether training, though not inference, reads the reference transcripts that stage 3 has aligned."""
    from m4ser.build import OBJECTIVES

    objectives = [OBJECTIVES[name] for name in task.objectives if name in OBJECTIVES]
    return any(part.needs_reference for part in objectives) or getattr(task_class(task.task), "needs_reference", False)


def check_inputs(args: argparse.Namespace, task: argparse.Namespace) -> None:
    """Say which stage makes what is missing.

    Raises:
        UserError: the configuration needs speech features or text that are not there.
    """
    if needs(task, "text") and args.text_source == NO_TEXT:
        raise UserError(
            f"{args.config}: fusion {task.fusion} needs text, but --text-source is none; "
            "choose a configuration with fusion: speech"
        )
    if needs_reference(task) and args.text_source == NO_TEXT:
        raise UserError(f"{args.config}: is trained with reference transcripts; use --text-source asr or ref")
    if needs(task, "text") and task.text_encoder == "transformer" and not (args.tokenizers or task.tokenizer):
        raise UserError(f"{args.config}: text_encoder transformer needs --tokenizers, the models of stage 3")
    if needs(task, "speech") and task.speech_encoder == "precomputed" and not args.feats:
        raise UserError(f"{args.config}: speech_encoder precomputed needs --feats, the features of stage 1")
    if args.perturbed and not (needs(task, "speech") and task.speech_encoder == "precomputed"):
        raise UserError(
            f"{args.config}: reads no features of stage 1, so leave --perturbed away; see model_conf: augment"
        )


def write_data(args: argparse.Namespace, task: argparse.Namespace, folds: Folds, fold: Fold, folder: Path) -> None:
    """Write the lists of train and dev: what ESPnet reads, cut from the dumps of all sets."""
    sets = folds.sets
    maps = {"utt2emo": read_maps(args.data, sets, "utt2emo")}
    if needs(task, "speech"):
        if task.speech_encoder == "precomputed":
            maps["feats.scp"] = read_maps(args.feats, sets, "feats.scp", stage=1)
            lengths = read_maps(args.feats, sets, "utt2num_frames", stage=1)
        else:
            maps["wav.scp"] = read_maps(args.audio, sets, "wav.scp", stage=1)
            lengths = read_maps(args.audio, sets, "utt2num_samples", stage=1)
    if needs(task, "text") or needs_reference(task):
        maps["edits"] = read_maps(args.text, sets, "edits", stage=3)
        if not needs(task, "speech"):
            lengths = {utt: str(len(json.loads(line)["words"]) + 1) for utt, line in maps["edits"].items()}
    usable = set.intersection(*(set(entries) for entries in maps.values()))
    with atomic_directory(folder) as temporary:
        for part in ("train", "dev", "test"):
            ids = [utt for utt in getattr(fold, part) if utt in usable]
            if not ids:
                raise UserError(
                    f"{args.data}/folds.json: no usable utterance is left in {part}; run stages 1 to 3 again"
                )
            listed = {
                name: {utt: entries[utt] for utt in ids} for name, entries in {**maps, "lengths": lengths}.items()
            }
            if part == "train":
                for copy in args.perturbed:
                    _add_copies(listed, copy, ids, sets)
                members: dict[str, list[str]] = {}
                for utt, emotion in listed["utt2emo"].items():
                    members.setdefault(emotion, []).append(utt)
                listed["category2utt"] = {emotion: " ".join(utts) for emotion, utts in members.items()}
            for name, entries in listed.items():
                write_scp(temporary / part / name, entries)


def _add_copies(listed: dict[str, dict[str, str]], copy: str, ids: list[str], sets: list[str]) -> None:
    """Add the utterances once more, with the features of a stage 1 at another speed and all else the same."""
    changed = {
        "feats.scp": read_maps(copy, sets, "feats.scp", stage=1),
        "lengths": read_maps(copy, sets, "utt2num_frames", stage=1),
    }
    for name, entries in listed.items():
        source = changed.get(name, entries)
        entries |= {f"speed{_speed(copy, sets):g}-{utt}": source[utt] for utt in ids if utt in changed["feats.scp"]}


def _speed(copy: str, sets: list[str]) -> float:
    return read_json(Path(copy) / sets[0] / "info.json")["speed"]


def data_options(folder: Path, part: str, task: argparse.Namespace) -> list[tuple[str, str, str]]:
    """(path, name, type) of every file of one part, as ESPnet's dataset takes them."""
    kinds = {
        "feats.scp": ("speech", "m4ser_feats"),
        "wav.scp": ("speech", "sound"),
        "edits": ("text", "text"),
        "utt2emo": ("emotion", "text"),
    }
    return [(str(folder / part / f), *kind) for f, kind in kinds.items() if (folder / part / f).exists()]


def task_command(args: argparse.Namespace, task: argparse.Namespace, folds: Folds, run: Run) -> list[str]:
    """Options of :class:`~m4ser.task.SERTask` for one run: the configuration and what follows from the data."""
    data = run.folder / "data"
    options = ["--config", args.config, "--output_dir", str(run.folder), "--seed", str(run.seed)]
    options += ["--ngpu", str(args.ngpu), "--resume", "true", "--labels", *folds.labels]
    for part, espnet in PARTS.items():
        for triple in data_options(data, part, task):
            if any("," in field for field in triple):
                raise UserError(f"{triple[0]}: ESPnet cannot read paths with a comma; move the recipe")
            options += [f"--{espnet}_data_path_and_name_and_type", ",".join(triple)]
        options += [f"--{espnet}_shape_file", str(data / part / "lengths")]
    if (data / "train" / "feats.scp").exists():
        info = read_json(Path(args.feats) / folds.sets[0] / "info.json")
        for option, key in (("input_size", "dim"), ("frame_rate", "frame_rate")):
            options += ["--speech_encoder_conf", f"{option}={info[key]}"]
        options += ["--speech_encoder_conf", f"num_layers={len(info['layers'])}"]
    for modality, given in (("speech", args.speech_encoder), ("text", args.text_encoder)):
        if given and needs(task, modality) and getattr(task, f"{modality}_encoder") != "precomputed":
            options += [f"--{modality}_encoder_conf", f"model={given}"]
    if args.tokenizers and needs(task, "text"):
        options += ["--tokenizer", str(Path(args.tokenizers) / f"fold{run.fold}")]
    if args.pretrained_dir:
        options += ["--pretrained_dir", args.pretrained_dir]
    if task.model_conf.get("class_weights") == "balanced":
        options += ["--model_conf", f"class_weights={_balanced(data, folds.labels)}"]
    if args.init_exp:
        options += ["--init_param", *initial_weights(Path(args.init_exp), task, run)]
    return [*options, *shlex.split(args.train_args)]


def initial_weights(exp: Path, task: argparse.Namespace, run: Run) -> list[str]:
    """ESPnet's ``--init_param``: encoders, and with the same fusion also that and the classifier, of a trained model.

    A model that was trained on features of stage 1 starts one that has the encoder of these features inside:
    classifier first, then fine-tuning of all (Kumar et al. 2022, "LP-FT").

    Raises:
        UserError: there is no such model, or nothing of it fits.
    """
    from m4ser.inference import read_weights

    source = exp / f"fold{run.fold}" / f"seed{run.seed}"
    if not (source / "model.pth").exists():
        raise UserError(f"{source / 'model.pth'}: no such model; --init-exp needs it trained with this fold and seed")
    stored = yaml.safe_load((source / "config.yaml").read_text(encoding="utf-8"))
    places = {}
    for modality in ("speech", "text"):
        name = f"{modality}_encoder"
        kinds = stored.get(name), getattr(task, name)
        if needs(task, modality) and kinds[0] == kinds[1]:
            places[name] = name
        elif needs(task, modality) and kinds == ("precomputed", "huggingface"):
            places[name] = f"{name}.head"
    if stored.get("fusion") == task.fusion:
        places |= {"fusion": "fusion", "classifier": "classifier"}
    found = {name.split(".")[0] for name in read_weights(source)}
    chosen = {old: new for old, new in places.items() if old in found}
    if not chosen:
        raise UserError(f"{source}: has other encoders and another fusion; --init-exp finds nothing to start from")
    print(f"{run.folder}: starts with {', '.join(chosen)} of {source}")
    return [f"{source / 'model.pth'}:{old}:{new}" for old, new in chosen.items()]


def _balanced(data: Path, labels: list[str]) -> list[float]:
    """Inverse class frequency of the training part, mean one over utterances."""
    from m4ser.data.scp import read_scp

    counts = Counter(read_scp(data / "train" / "utt2emo").values())
    total = sum(counts.values())
    if absent := [label for label in labels if not counts[label]]:
        raise UserError(f"{data / 'train' / 'utt2emo'}: no training utterance is {absent[0]}; class weights need one")
    return [round(total / (len(labels) * counts[label]), 6) for label in labels]


def _trained(run: Run) -> bool:
    return (run.folder / DONE).exists()


def train(args: argparse.Namespace, folds: Folds, run: Run) -> None:
    """Train one run to its end and keep the selected model as ``model.pth``."""
    if _trained(run):
        print(f"{run.folder}: trained already")
        return
    started = time.monotonic()
    task = parse_task(args.config, args.train_args)
    check_inputs(args, task)
    write_data(args, task, folds, folds.folds[run.fold], run.folder / "data")
    options = task_command(args, task, folds, run)
    if args.ngpu > 1:
        _launch(options, args.ngpu, run)
    else:
        task_class(task.task).main(cmd=options)
    finish(run.folder, task, time.monotonic() - started, args.keep_snapshots)


def _launch(options: list[str], ngpu: int, run: Run) -> None:
    """Several processes through ESPnet's launcher."""
    from espnet2.bin.launch import main as launch

    trainer = [sys.executable, "-m", "m4ser.bin.ser_train", "--multiprocessing_distributed", "true", *options]
    log = str(run.folder / "train.log")
    launch(["--cmd", "m4ser-local", "--log", log, "--ngpu", str(ngpu), "--", *trainer])


def finish(folder: Path, task: argparse.Namespace, seconds: float, keep_snapshots: bool) -> None:
    """Copy the selected (averaged) model and the history, drop the snapshots, leave the done-marker with the costs."""
    criterion = task.best_model_criterion[0]
    phase, key, _ = criterion
    chosen = next(
        (p for p in (folder / f"{phase}.{key}.ave.pth", folder / f"{phase}.{key}.best.pth") if p.exists()), None
    )
    if chosen is None:
        raise UserError(f"{folder}: training left no model chosen by {phase} {key}; see its log")
    with atomic_path(folder / "model.pth") as temporary:
        shutil.copyfile(chosen, temporary)
    if (folder / "checkpoint.pth").exists():
        write_json(folder / HISTORY, read_history(folder / "checkpoint.pth", criterion))
    stored = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    epochs = sorted(int(p.name.removesuffix("epoch.pth")) for p in folder.glob("[0-9]*epoch.pth"))
    info = {"seconds": round(seconds, 3), "last_epoch": epochs[-1] if epochs else 0, **stored.get("parameters", {})}
    write_json(folder / DONE, info)
    if not keep_snapshots:
        for path in folder.glob("*.pth"):
            if path.name != "model.pth":
                path.unlink()


@command
def main(cmd: list[str] | None = None) -> None:
    """Command line entry."""
    args = get_parser().parse_args(cmd)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    folds = read_folds(args.data)
    if not args.plan and args.job is None:
        raise UserError("give --plan, --job, or both")
    todo = runs(args.exp, choose_folds(folds, args.folds), _seeds(args))
    if args.job is not None and not 1 <= args.job <= len(todo):
        raise UserError(f"--job {args.job}: there are {len(todo)} runs (folds x seeds)")
    run = todo[args.job - 1] if args.job else None
    # Of many jobs, those that have nothing to train leave the plan to the first.
    if args.plan and (args.job in (None, 1) or not _trained(run)):
        plan(args, folds)
    if run:
        train(args, folds, run)


if __name__ == "__main__":
    main()
