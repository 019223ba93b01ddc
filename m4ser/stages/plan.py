"""The plan of one run of a recipe: its options, what was left open filled in, and the folders that follow from them."""

import json
import re
import shlex
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from m4ser.data.own_names import files_of, name_of
from m4ser.stages import names
from m4ser.stages.corpus import find_corpus
from m4ser.stages.declared import Parsed
from m4ser.stages.languages import of_language
from m4ser.stages.needs import Needs, needs
from m4ser.training.configuration import find_config
from m4ser.utils.cli import shell_words
from m4ser.utils.errors import UserError

LAST = 7  # stage
MOST_COPIES = 20  # altered ones of the features
_NAME = re.compile(r"([A-Za-z0-9][A-Za-z0-9._+=-]*)?")


@dataclass(frozen=True)
class Options:
    """Options of ``egs/TEMPLATE/ser.sh``, which declares and explains them."""

    stage: int
    stop_stage: int
    force: bool
    corpus: str
    corpus_dir: str
    join_dumps: bool
    download: bool
    allow_partial: bool
    prepare_args: str
    data: str
    dump: str
    exp: str
    nj: int | None
    ngpu: int
    num_nodes: int
    cmd_backend: str
    pretrained_dir: str
    skip_bad_audio: bool
    min_duration: str
    max_duration: str
    speech_encoder: str
    own_features: str
    feats_layers: str
    feats_pool: int
    speed_perturb: str
    altered_copies: int
    speech_language: str
    text_source: str
    asr: str
    asr_model: str
    asr_conf: str
    asr_tag: str
    normaliser: str
    text_encoder: str
    train_config: str
    train_args: str
    init_exp: str
    tag: str
    folds: str
    seeds: str
    baseline: str
    pack_run: str
    pack_include: str
    pack_onnx: bool
    hub_repo: str
    hub_private: bool

    @classmethod
    def of(cls, values: Mapping[str, str]) -> "Options":
        """From what was typed; the types were checked then."""
        types: Mapping[Any, Any] = {int: int, bool: "true".__eq__, int | None: lambda text: int(text) if text else None}
        return cls(**{field.name: types.get(field.type, str)(values[field.name]) for field in fields(cls)})


def _is_there(pattern: str) -> bool:
    return any(Path(file).is_file() for file in files_of(pattern))


def check(options: Options) -> None:
    """Refuse options that do not go together.

    Raises:
        UserError: naming the option.
    """
    o = options
    faults = {
        f"--stop-stage {o.stop_stage}: the stages are 0 to {LAST}": o.stop_stage > LAST,
        "stage 7 needs --hub-repo org/name": o.stop_stage >= LAST and not re.fullmatch("[^/]+/[^/]+", o.hub_repo),
        f"--pack-run '{o.pack_run}': must be like fold1/seed1": not re.fullmatch("(fold[^/]+/seed[0-9]+)?", o.pack_run),
        f"--stage {o.stage} comes after --stop-stage {o.stop_stage}": o.stage > o.stop_stage,
        f"--num-nodes {o.num_nodes} needs --cmd-backend slurm": o.num_nodes > 1 and o.cmd_backend != "slurm",
        "--own-features takes the place of --speech-encoder; give one of the two": bool(
            o.own_features and o.speech_encoder
        ),
        f"--own-features {o.own_features}: no such file": bool(o.own_features) and not _is_there(o.own_features),
        "--feats-pool must be 1 or more": o.feats_pool < 1,
        f"--altered-copies {o.altered_copies}: must be from 0 to {MOST_COPIES}": not 0
        <= o.altered_copies
        <= MOST_COPIES,
        "--nj must be 1 or more": o.nj == 0,
        f"--tag '{o.tag}': only letters, digits and . _ + = - are allowed": not _NAME.fullmatch(o.tag),
        f"--asr-tag '{o.asr_tag}': only letters, digits and . _ + = - are allowed": not _NAME.fullmatch(o.asr_tag),
        "recordings cannot be left out here; do so in the corpora's own recipes": o.join_dumps
        and bool(o.skip_bad_audio or o.min_duration or o.max_duration),
    }
    if fault := next((fault for fault, is_there in faults.items() if is_there), None):
        raise UserError(fault)


@dataclass(frozen=True)
class Plan:
    """What a run is going to do, and where.

    Attributes:
        options: options, what was left open filled in.
        features: stage 1 extracts features of a frozen encoder.
        speeds: speeds of further copies of these features.
        copies: names of all further copies, as :func:`.names.copies` has them.
        tokens: size of the sentencepiece models of stage 3, 0 for none.
        text_tag: name of the training text.
        audio_dir: 16 kHz audio.
        feats_dir: features at the speed of the recordings.
        asr_dir: recognised text.
        text_dir: training text and targets.
        tokens_dir: sentencepiece models.
        exp_dir: the experiment.
        archive: what stage 6 writes.
        corpus_folder: folder of the corpus; "" if stage 0 is not asked for.
        prepare_inputs: programs and tables that the data depend on, next to the corpus.
    """

    options: Options
    features: bool
    speeds: list[str]
    copies: list[str]
    tokens: int
    text_tag: str
    audio_dir: str
    feats_dir: str
    asr_dir: str
    text_dir: str
    tokens_dir: str
    exp_dir: str
    archive: str
    corpus_folder: str
    prepare_inputs: list[str]

    def to_json(self) -> str:
        """Text of :meth:`from_json`."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Plan":
        """The plan that a run began with, for its steps."""
        stored = json.loads(text)
        return cls(**{**stored, "options": Options(**stored["options"])})

    def variables(self) -> dict[str, str]:
        """Variables of ``ser.sh``: options under their own names, and folders."""
        values = asdict(self.options) | {k: v for k, v in vars(self).items() if isinstance(v, str | bool | int)}
        shown = {name: _text(value) for name, value in values.items()}
        shown |= {f"copies[{index}]": copy for index, copy in enumerate(self.copies)}
        words = shell_words(self.options.prepare_args, "--prepare-args") if self.corpus_folder else []
        return shown | {f"prepare_words[{index}]": word for index, word in enumerate(words)}


def _text(value: str | bool | int | None) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def make_plan(parsed: Parsed, template: str) -> Plan:
    """The plan of what was typed, in the current folder: a recipe's.

    Args:
        parsed: words of the recipe and of its user.
        template: folder of ``db.local.sh``, for messages.

    Raises:
        UserError: options that do not go together, or something that they name and that is not there.
    """
    user_options, usual, encoder = _with_language(parsed)
    check(user_options)
    if user_options.own_features:
        user_options, usual = _unaltered(user_options, usual)
    config = str(find_config(user_options.train_config, "."))
    requirements = needs(config, user_options.train_args)
    speech = _choose_speech(user_options, requirements, encoder)
    options = replace(
        user_options,
        train_config=config,
        nj=user_options.nj or _jobs(),
        seeds=user_options.seeds.replace(",", " "),
        folds=user_options.folds.replace(",", " "),
        speech_encoder=speech.encoder,
        feats_pool=speech.pool,
        speed_perturb=_speeds(user_options, usual, speech.features),
        altered_copies=_altered(user_options, usual, speech.features),
        asr_model=names.asr_model_of(user_options.asr, user_options.asr_model),
        asr_tag=_asr_tag(user_options),
        prepare_args=_prepare_args(user_options, parsed),
        tag=user_options.tag or _tag(user_options, usual, speech, encoder),
        baseline=_experiment(user_options.exp, user_options.baseline, "--baseline"),
        init_exp=_experiment(user_options.exp, user_options.init_exp, "--init-exp"),
    )
    feats = names.features_tag(options.speech_encoder, options.feats_layers, options.feats_pool)
    text = names.text_tag(options.text_source, options.asr_tag, options.normaliser)
    exp_dir = f"{options.exp}/{options.tag}"
    corpus = ""
    if options.stage == 0:
        corpus = find_corpus(options.corpus_dir, options.corpus, options.data, options.download, template)
    speeds = options.speed_perturb.replace(",", " ").split()
    return Plan(
        options=options,
        features=speech.features,
        speeds=speeds,
        copies=list(names.copies(speeds, options.altered_copies)),
        tokens=requirements.tokens,
        text_tag=text,
        audio_dir=f"{options.dump}/audio",
        feats_dir=f"{options.dump}/feats/{feats}",
        asr_dir=f"{options.dump}/asr/{options.asr_tag}",
        text_dir=f"{options.dump}/text/{text}",
        tokens_dir=f"{options.dump}/text/{text}_tokens{requirements.tokens}",
        exp_dir=exp_dir,
        archive=f"{exp_dir}/{options.tag}.m4ser.zip",
        corpus_folder=corpus,
        prepare_inputs=[*sorted(str(file) for file in Path("local").glob("[!.]*.py")), *parsed.own_files],
    )


@dataclass(frozen=True)
class Speech:
    """How an experiment hears speech.

    Attributes:
        features: through features of stage 1.
        encoder: model of these, or of the configuration's own speech encoder; "" for the configuration's choice.
        pool: frames of features to average.
        named: part of the experiment's name, unless it is what is usual.
    """

    features: bool
    encoder: str
    pool: int
    named: tuple[str, str, int] | None = None


def _with_language(parsed: Parsed) -> tuple[Options, Options, str]:
    """Options as asked for and as they are usual, with the defaults of the corpus' language; the default encoder.

    The encoder is no option yet: configurations may name features, or read none.
    """
    user_options, usual = Options.of(parsed.values), Options.of(parsed.usual)
    if not user_options.speech_language:
        return user_options, usual, names.DEFAULT_ENCODER
    defaults, note = of_language(user_options.speech_language, user_options.pretrained_dir, user_options.asr)
    print(note, file=sys.stderr)
    encoder = defaults.pop("speech_encoder", names.DEFAULT_ENCODER)
    by_default: dict[str, Any] = dict(defaults)
    mine = {key: value for key, value in by_default.items() if key not in parsed.chosen}
    return replace(user_options, **mine), replace(usual, **by_default), encoder


def _unaltered(options: Options, usual: Options) -> tuple[Options, Options]:
    """Options where features are the user's own: nothing here can choose layers of them, or alter them."""
    if (options.speed_perturb, options.altered_copies) != (usual.speed_perturb, usual.altered_copies):
        print("note: --speed-perturb and --altered-copies do not alter features of your own", file=sys.stderr)
    fixed: dict[str, Any] = {"speed_perturb": "", "altered_copies": 0, "feats_layers": "all"}
    return replace(options, **fixed), replace(usual, **fixed)


def _choose_speech(options: Options, requirements: Needs, default: str) -> Speech:
    if options.speech_encoder == names.NONE:
        return Speech(False, "", options.feats_pool)
    if options.own_features:
        if not requirements.features:
            raise UserError(f"--own-features: {options.train_config} reads no features of stage 1; choose another one")
        features_name = name_of(options.own_features)
        return Speech(True, features_name, 1, (features_name, "all", 1))
    if not requirements.features:
        return Speech(False, options.speech_encoder, options.feats_pool)
    if requirements.encoder and not options.speech_encoder:  # the configuration is for these features, whole
        return Speech(True, requirements.encoder, 1)
    encoder = options.speech_encoder or default
    return Speech(True, encoder, options.feats_pool, (encoder, options.feats_layers, options.feats_pool))


def _speeds(options: Options, usual: Options, features: bool) -> str:
    """Speeds of further copies of the features, none where there are no features."""
    if options.speed_perturb and not features:
        if options.speed_perturb != usual.speed_perturb:
            note = f"note: --speed-perturb alters features of stage 1, and {options.train_config} reads none"
            print(note, file=sys.stderr)
        return ""
    return options.speed_perturb


def _altered(options: Options, usual: Options, features: bool) -> int:
    """Number of altered copies of the features, none where there are no features."""
    if options.altered_copies and not features:
        if options.altered_copies != usual.altered_copies:
            note = f"note: --altered-copies are of features of stage 1, and {options.train_config} reads none"
            print(note, file=sys.stderr)
        return 0
    return options.altered_copies


def _asr_tag(options: Options) -> str:
    return options.asr_tag or names.asr_tag(options.asr, options.asr_model, options.asr_conf)


def _tag(options: Options, usual: Options, speech: Speech, default: str) -> str:
    """Name of the experiment."""
    usual_encoder = usual.speech_encoder or default
    speeds_count = speech.features or not options.speed_perturb
    return names.experiment_tag(
        options.train_config,
        names.Choices(
            options.text_source,
            speech.named,
            _asr_tag(options),
            options.normaliser,
            options.speed_perturb,
            options.altered_copies if speech.features else usual.altered_copies,
        ),
        names.Choices(
            usual.text_source,
            (usual_encoder, usual.feats_layers, usual.feats_pool),
            _asr_tag(usual),
            usual.normaliser,
            usual.speed_perturb if speeds_count else options.speed_perturb,
            usual.altered_copies,
        ),
        speech_encoder="" if speech.features else options.speech_encoder,
        text_encoder=options.text_encoder,
        init_exp=options.init_exp,
        train_args=options.train_args,
    )


def _jobs() -> int:
    """Jobs at a time where the user leaves it open."""
    from m4ser.launch.local import cores

    return min(8, cores())


def _prepare_args(options: Options, parsed: Parsed) -> str:
    """Options of ``local/prepare.py`` in one word: the recipe's own, then those of ``--prepare-args``."""
    recipe_args = f"{shlex.join(parsed.own_words)} " if parsed.own_words else ""
    args = recipe_args + options.prepare_args
    return " ".join(["--allow-partial true", *([args] if args else [])]) if options.allow_partial else args


def _experiment(exp: str, named: str, option: str) -> str:
    """Folder of an experiment that an option names by its tag or folder.

    Raises:
        UserError: there is none.
    """
    if not named or Path(named).is_dir():
        return named
    if not Path(exp, named).is_dir():
        raise UserError(f"{option} {named}: there is no experiment {exp}/{named}")
    return f"{exp}/{named}"
