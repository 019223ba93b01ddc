"""What a training reads: the data of the corpus and the lists of one run, cut from the dumps of stages 1 to 3."""

import argparse
import json
from pathlib import Path

from m4ser.data.contents import check_contents
from m4ser.data.features import POSITIONS, STATISTICS
from m4ser.data.folds import Fold, Folds
from m4ser.data.scp import write_scp
from m4ser.models.systems import system_class
from m4ser.training.experiment import read_maps
from m4ser.training.normalising import GROUPS, UNNORMALISED, measure
from m4ser.training.settings import NO_TEXT, Settings
from m4ser.utils.errors import UserError
from m4ser.utils.files import atomic_directory, read_json

# Type of their list for ESPnet. It must not start with that of another type: ESPnet looks types up by prefix.
FEATURES = "m4ser_feats"


def read_folds(data: str | Path) -> Folds:
    """Folds whose speakers were checked to be disjoint."""
    path = Path(data) / "folds.json"
    folds = Folds.read(path)
    folds.check(read_maps(data, folds.sets, "utt2spk"), path)
    return folds


def needs(task: argparse.Namespace, modality: str) -> bool:
    """Whether the configured fusion uses ``speech`` or ``text``."""
    from m4ser.models.build import fusion_choices

    return getattr(fusion_choices.get_class(task.fusion), f"uses_{modality}")


def needs_reference(task: argparse.Namespace) -> bool:
    """Whether training, though not inference, reads the reference transcripts that stage 3 has aligned."""
    from m4ser.models.build import OBJECTIVES

    objectives = [OBJECTIVES[name] for name in task.objectives if name in OBJECTIVES]
    return any(part.needs_reference for part in objectives) or getattr(
        system_class(task.task), "needs_reference", False
    )


def check_inputs(settings: Settings, task: argparse.Namespace) -> None:
    """Say which stage makes what is missing.

    Raises:
        UserError: the configuration needs speech features or text that are not there.
    """
    if needs(task, "text") and settings.text_source == NO_TEXT:
        raise UserError(
            f"{settings.config}: fusion {task.fusion} needs text, but --text-source is none; "
            "choose a configuration with fusion: speech"
        )
    if needs_reference(task) and settings.text_source == NO_TEXT:
        raise UserError(f"{settings.config}: is trained with reference transcripts; use --text-source asr or ref")
    if needs(task, "text") and task.text_encoder == "transformer" and not (settings.tokenizers or task.tokenizer):
        raise UserError(f"{settings.config}: text_encoder transformer needs --tokenizers, the models of stage 3")
    if needs(task, "speech") and task.speech_encoder == "precomputed" and not settings.feats:
        raise UserError(f"{settings.config}: speech_encoder precomputed needs --feats, the features of stage 1")
    if settings.perturbed and needs(task, "speech") and task.speech_encoder != "precomputed":
        raise UserError(
            f"{settings.config}: reads no features of stage 1, so leave --perturbed away; see model_conf: augment"
        )
    if task.normalise_features != UNNORMALISED and not reads_features(task):
        raise UserError(
            f"{settings.config}: reads no features of stage 1; leave normalise_features {task.normalise_features} away"
        )


def reads_features(task: argparse.Namespace) -> bool:
    """Whether the configured system reads features of stage 1."""
    return needs(task, "speech") and task.speech_encoder == "precomputed"


def write_data(settings: Settings, task: argparse.Namespace, folds: Folds, fold: Fold, folder: Path) -> None:
    """Write the lists of train and dev: what ESPnet reads, cut from the dumps of all sets.

    Raises:
        UserError: a dump is incomplete or damaged.
    """
    sets = folds.sets
    maps = {"utt2emo": read_maps(settings.data, sets, "utt2emo")}
    if needs(task, "speech"):
        if task.speech_encoder == "precomputed":
            _check(settings.feats, sets, stage=1)
            maps[POSITIONS] = read_maps(settings.feats, sets, POSITIONS, stage=1)
            lengths = read_maps(settings.feats, sets, "utt2num_frames", stage=1)
        else:
            _check(settings.audio, sets, stage=1)
            maps["wav.scp"] = read_maps(settings.audio, sets, "wav.scp", stage=1)
            lengths = read_maps(settings.audio, sets, "utt2num_samples", stage=1)
    if needs(task, "text") or needs_reference(task):
        _check(settings.text, sets, stage=3)
        maps["edits"] = read_maps(settings.text, sets, "edits", stage=3)
        if needs_reference(task) and (lacking := _without_reference(maps["edits"])):
            raise UserError(
                f"{settings.config}: is trained with reference transcripts, but {lacking} has none; complete the text "
                f"files of {settings.data} (stage 0), or choose another configuration"
            )
        if not needs(task, "speech"):
            lengths = {utt: str(len(json.loads(line)["words"]) + 1) for utt, line in maps["edits"].items()}
    usable = set.intersection(*(set(entries) for entries in maps.values()))
    with atomic_directory(folder) as temporary:
        if task.normalise_features != UNNORMALISED:
            by = task.normalise_features
            group = read_maps(settings.data, sets, GROUPS[by]) if by != "corpus" or folds.corpora else {}
            maps[STATISTICS] = measure(by, group, maps[POSITIONS], fold, temporary, folder)
        for part in ("train", "dev", "test"):
            ids = [utt for utt in getattr(fold, part) if utt in usable]
            if not ids:
                raise UserError(
                    f"{settings.data}/folds.json: no usable utterance is left in {part}; run stages 1 to 3 again"
                )
            listed = {
                name: {utt: entries[utt] for utt in ids} for name, entries in {**maps, "lengths": lengths}.items()
            }
            if part == "train":
                for copy in settings.perturbed:
                    _add_copies(listed, copy, ids, sets)
                members: dict[str, list[str]] = {}
                for utt, emotion in listed["utt2emo"].items():
                    members.setdefault(emotion, []).append(utt)
                listed["category2utt"] = {emotion: " ".join(utts) for emotion, utts in members.items()}
            for name, entries in listed.items():
                write_scp(temporary / part / name, entries)


def _check(folder: str, sets: list[str], stage: int) -> None:
    for name in sets:
        check_contents(Path(folder, name), stage)


def _without_reference(edits: dict[str, str]) -> str:
    """The first utterance whose line of ``edits`` has words only, because stage 3 had nothing to align them with."""
    return next((utt for utt, line in edits.items() if "tags" not in json.loads(line)), "")


def _add_copies(listed: dict[str, dict[str, str]], copy: str, ids: list[str], sets: list[str]) -> None:
    """Add the utterances once more, with the features of a stage 1 that altered them and all else the same.

    A system that reads text only sees it once more: an epoch has as many steps for every system.
    """
    altered = altered_of(copy, sets)
    prefix = f"altered{altered}-" if altered else f"speed{speed_of(copy, sets):g}-"
    _check(copy, sets, stage=1)
    features = read_maps(copy, sets, POSITIONS, stage=1)
    changed = {}
    if POSITIONS in listed:
        changed = {POSITIONS: features, "lengths": read_maps(copy, sets, "utt2num_frames", stage=1)}
    for name, entries in listed.items():
        source = changed.get(name, entries)
        entries |= {prefix + utt: source[utt] for utt in ids if utt in features}


def speed_of(copy: str, sets: list[str]) -> float:
    """Speed of the recordings in a stage 1 made with ``--speed``."""
    return read_json(Path(copy) / sets[0] / "info.json")["speed"]


def altered_of(copy: str, sets: list[str]) -> int:
    """Number of the copy in a stage 1 made with ``--altered``, 0 for one of another kind."""
    return read_json(Path(copy) / sets[0] / "info.json").get("altered", 0)


def data_options(folder: Path, part: str, task: argparse.Namespace) -> list[tuple[str, str, str]]:
    """(path, name, type) of every file of one part, as ESPnet's dataset takes them."""
    types = {
        "feats.scp": ("speech", FEATURES),
        "wav.scp": ("speech", "sound"),
        "edits": ("text", "text"),
        "utt2emo": ("emotion", "text"),
    }
    there = [(folder / part / file, *name_and_type) for file, name_and_type in types.items()]
    return [(str(path), name, data_type) for path, name, data_type in there if path.exists()]
