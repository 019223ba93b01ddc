"""SERTask: speech emotion recognition as an ESPnet2 task.

Everything a model is built from is in the arguments, which ESPnet stores as ``config.yaml`` beside the checkpoints;
``build_model`` completes them (label list, architecture of the text encoder), so that a stored configuration rebuilds
the model without the files it was first built from.
"""

import argparse
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from espnet2.asr.encoder.abs_encoder import AbsEncoder
from espnet2.tasks.abs_task import AbsTask, optim_classes
from espnet2.train.class_choices import ClassChoices
from espnet2.train.dataset import DATA_TYPES
from espnet2.utils.nested_dict_action import NestedDictAction
from espnet2.utils.types import str_or_none
from torch import nn

from m4ser.data.features import load_features, read_feats_scp
from m4ser.encoders.huggingface_text import HuggingFaceTextEncoder
from m4ser.encoders.precomputed import PrecomputedEncoder
from m4ser.errors import UserError
from m4ser.fusion.base import Fusion
from m4ser.fusion.m4ser import M4serFusion
from m4ser.fusion.plain import ConcatFusion, SpeechFusion, TextFusion
from m4ser.model import SERModel
from m4ser.objectives.adversarial import AdversarialObjective
from m4ser.objectives.aec import ErrorCorrection
from m4ser.objectives.aed import ErrorDetection
from m4ser.objectives.base import Sizes, Tools
from m4ser.objectives.contrastive import ContrastiveObjective
from m4ser.text import IGNORE, TextProcessor
from m4ser.trainer import SERTrainer

speech_encoder_choices = ClassChoices(
    "speech_encoder", {"precomputed": PrecomputedEncoder}, type_check=AbsEncoder, default="precomputed"
)
text_encoder_choices = ClassChoices(
    "text_encoder", {"huggingface": HuggingFaceTextEncoder}, type_check=AbsEncoder, default="huggingface"
)
fusion_choices = ClassChoices(
    "fusion",
    {"speech": SpeechFusion, "text": TextFusion, "concat": ConcatFusion, "m4ser": M4serFusion},
    type_check=Fusion,
    default="concat",
)
OBJECTIVES = {
    "aed": ErrorDetection,
    "aec": ErrorCorrection,
    "adversarial": AdversarialObjective,
    "contrastive": ContrastiveObjective,
}
DEFAULT_WEIGHTS = {"aed": 0.1, "aec": 0.1, "adversarial": 0.01, "contrastive": 0.1}
TOKENIZER_DIR = "tokenizer"


class FeatureList(dict):
    """A features scp as ESPnet's dataset wants it: utterance -> (frames, features) float32, read when asked for."""

    def __getitem__(self, utterance: str) -> np.ndarray:
        """Read one matrix."""
        return load_features(super().__getitem__(utterance))


# The name must not start with that of another type: ESPnet looks types up by prefix.
DATA_TYPES["m4ser_feats"] = {
    "func": lambda path: FeatureList(read_feats_scp(path)),
    "kwargs": [],
    "help": "feats.scp of stage 1, read through m4ser.data.features",
}


class SERPreprocessor:
    """One utterance as read from its files -> arrays for the model.

    Not ESPnet's AbsPreprocessor: importing that one loads phonemizers which try to download data.
    ``speech`` stays; ``text`` (a line of stage 3's ``edits``) becomes piece ids with labels; ``emotion`` its index.
    """

    def __init__(self, labels: list[str], text: TextProcessor | None, with_edits: bool = False):
        self.index = {label: np.array([i], dtype=np.int64) for i, label in enumerate(labels)}
        self.text, self.with_edits = text, with_edits

    def __call__(self, uid: str, data: dict[str, Any]) -> dict[str, np.ndarray]:
        """Return arrays by name; shapes as in :class:`m4ser.text.EncodedText`."""
        arrays = {}
        if "speech" in data:
            arrays["speech"] = data["speech"]
        if "emotion" in data:
            if data["emotion"] not in self.index:
                raise UserError(
                    f"{uid}: unknown emotion {data['emotion']!r}; the labels are {', '.join(self.index)} (labels.txt)"
                )
            arrays["emotion"] = self.index[data["emotion"]]
        if "text" in data and self.text is not None:
            encoded = self.text.encode_line(data["text"])
            arrays["text"] = encoded.ids
            if self.with_edits:
                arrays |= {name: getattr(encoded, name) for name in ("word_index", "tags", "slots", "corrections")}
        return arrays


class Collate:
    """Pad a list of utterances to a batch: features with 0, pieces with the tokenizer's padding, labels with -1."""

    def __init__(self, text_padding: int = 0):
        self.padding = {"speech": 0.0, "text": text_padding}

    def __call__(self, data: list[tuple[str, dict[str, np.ndarray]]]) -> tuple[list[str], dict[str, torch.Tensor]]:
        """[(utterance, arrays)] -> utterances and (B, ...) tensors; ``<name>_lengths`` for speech and text."""
        batch = {}
        for name in data[0][1]:
            arrays = [arrays[name] for _, arrays in data]
            batch[name] = torch.from_numpy(_pad(arrays, self.padding.get(name, IGNORE)))
            if name in self.padding:
                batch[f"{name}_lengths"] = torch.tensor([len(a) for a in arrays])
        return [utterance for utterance, _ in data], batch


def _pad(arrays: list[np.ndarray], value: float) -> np.ndarray:
    """Stack arrays of one rank into (B, largest size of every axis), filled up with ``value``."""
    shape = np.max([a.shape for a in arrays], axis=0)
    stacked = np.full((len(arrays), *shape), value, dtype=arrays[0].dtype)
    for row, array in zip(stacked, arrays, strict=True):
        row[tuple(slice(size) for size in array.shape)] = array
    return stacked


def construct(kind: Callable, conf: dict[str, Any], option: str, **given: Any) -> Any:
    """Call ``kind(**given, **conf)``; an unknown key of ``conf`` is the user's error, named with the known keys."""
    known = set(inspect.signature(kind).parameters) - set(given) - {"sizes"}
    if unknown := sorted(set(conf) - known):
        raise UserError(f"{option}: unknown key {unknown[0]!r}; known are {', '.join(sorted(known))}")
    try:
        return kind(**given, **conf)
    except ValueError as error:
        raise UserError(f"{option}: {error}") from None


class SERTask(AbsTask):
    """Train a :class:`~m4ser.model.SERModel` with ESPnet's options; select models by ``valid ua max``."""

    num_optimizers = 1
    class_choices_list = [speech_encoder_choices, text_encoder_choices, fusion_choices]  # noqa: RUF012  (ESPnet's name)
    trainer = SERTrainer

    @classmethod
    def add_task_arguments(cls, parser: argparse.ArgumentParser) -> None:
        """Options beyond those of every ESPnet task."""
        group = parser.add_argument_group("Speech emotion recognition")
        group.add_argument("--labels", nargs="+", default=None, help="Emotion classes in index order")
        group.add_argument(
            "--objectives",
            action=NestedDictAction,
            default={},
            help="Auxiliary objectives: name -> {weight: w, option: value}; names: " + ", ".join(OBJECTIVES),
        )
        group.add_argument(
            "--text_conf",
            action=NestedDictAction,
            default={},
            help="Text input: dummy_tokens, max_pieces, max_correction (m4ser.text.TextProcessor)",
        )
        group.add_argument(
            "--model_conf",
            action=NestedDictAction,
            default={},
            help="dropout, label_smoothing, class_weights (list, or 'balanced': inverse training frequency)",
        )
        group.add_argument(
            "--param_groups",
            action=NestedDictAction,
            default={},
            help="Optimizer options by parameter name prefix, e.g. {text_encoder: {lr: 2.0e-5}}",
        )
        group.add_argument("--tokenizer", type=str_or_none, default=None, help="Tokenizer folder; default: the model's")
        group.add_argument(
            "--pretrained_dir", type=str_or_none, default=None, help="Where pretrained folders are looked for first"
        )
        for choices in cls.class_choices_list:
            choices.add_arguments(group)

    @classmethod
    def required_data_names(cls, train: bool = True, inference: bool = False) -> tuple[str, ...]:
        """Names that the data files must have."""
        return () if inference else ("emotion",)

    @classmethod
    def optional_data_names(cls, train: bool = True, inference: bool = False) -> tuple[str, ...]:
        """Names that they may have; the fusion decides which it needs."""
        return ("speech", "text", "emotion")

    @classmethod
    def build_text_processor(cls, args: argparse.Namespace) -> TextProcessor | None:
        """Tokenizer and dummy tokens, None for a fusion without text."""
        if not fusion_choices.get_class(args.fusion).uses_text:
            return None
        name = args.tokenizer or text_model(args)
        given = {"name": name, "pretrained_dir": args.pretrained_dir}
        known = ("dummy_tokens", "max_pieces", "max_correction")
        if unknown := sorted(set(args.text_conf) - set(known)):
            raise UserError(f"text_conf: unknown key {unknown[0]!r}; known are {', '.join(known)}")
        return TextProcessor.from_name(**given, **args.text_conf)

    @classmethod
    def build_preprocess_fn(cls, args: argparse.Namespace, train: bool) -> SERPreprocessor:
        """See :class:`SERPreprocessor`."""
        with_edits = any(OBJECTIVES[name].needs_edits for name in args.objectives if name in OBJECTIVES)
        return SERPreprocessor(args.labels, cls.build_text_processor(args), with_edits)

    @classmethod
    def build_collate_fn(cls, args: argparse.Namespace, train: bool) -> Collate:
        """See :class:`Collate`."""
        text = cls.build_text_processor(args)
        return Collate(text.padding if text else 0)

    @classmethod
    def build_model(cls, args: argparse.Namespace) -> SERModel:
        """Build the model; pretrained weights are read unless the arguments hold the architecture (``hf_config``).

        Raises:
            UserError: an unknown key or a value that does not fit, named with its option.
        """
        if not args.labels:
            raise UserError("--labels is missing: the emotion classes in index order")
        kind = fusion_choices.get_class(args.fusion)
        speech_encoder = text_encoder = text = None
        if kind.uses_speech:
            encoder = speech_encoder_choices.get_class(args.speech_encoder)
            speech_encoder = construct(encoder, args.speech_encoder_conf, "speech_encoder_conf")
        if kind.uses_text:
            encoder = text_encoder_choices.get_class(args.text_encoder)
            conf = {"pretrained_dir": args.pretrained_dir, **args.text_encoder_conf}
            text_encoder = construct(encoder, conf, "text_encoder_conf")
            text = cls.build_text_processor(args)
            if args.output_dir is not None and args.tokenizer is None:
                args.tokenizer = str(_save_tokenizer(text, Path(args.output_dir)))
        speech_size = speech_encoder.output_size() if speech_encoder else 0
        text_size = text_encoder.output_size() if text_encoder else 0
        fusion = construct(kind, args.fusion_conf, "fusion_conf", speech_size=speech_size, text_size=text_size)
        size = getattr(fusion, "size", text_size or speech_size)
        sizes = Sizes(size, text_size, fusion.output_size, len(args.labels))
        vocabulary = text_encoder.word_embeddings.shape[0] if text_encoder else 0
        # Objectives draw their weights aside: the rest starts the same with and without them.
        with torch.random.fork_rng(devices=[]):
            objectives, weights = _build_objectives(args, sizes, fusion, text, vocabulary)
        tools = Tools()
        if text is not None:
            tools = Tools(text_encoder.embed, lambda: text_encoder.word_embeddings, text.start, text.end, text.words)
        given = {
            "labels": args.labels,
            "speech_encoder": speech_encoder,
            "text_encoder": text_encoder,
            "fusion": fusion,
            "objectives": objectives,
            "weights": weights,
            "tools": tools,
        }
        model = construct(SERModel, args.model_conf, "model_conf", **given)
        if text_encoder is not None:
            args.text_encoder_conf = {**args.text_encoder_conf, "hf_config": text_encoder.hf_config}
        return model

    @classmethod
    def build_optimizers(cls, args: argparse.Namespace, model: nn.Module) -> list[torch.optim.Optimizer]:
        """One optimizer; trained parameters only, in groups by ``param_groups``."""
        args.parameters = count_parameters(model)
        groups: dict[str, list[nn.Parameter]] = {prefix: [] for prefix in ("", *args.param_groups)}
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                groups[max((p for p in groups if name.startswith(p)), key=len)].append(parameter)
        options = {"": {}, **args.param_groups}
        used = [{"params": parameters, **options[prefix]} for prefix, parameters in groups.items() if parameters]
        return [optim_classes[args.optim](used, **args.optim_conf)]


def count_parameters(model: nn.Module) -> dict[str, int]:
    """Parameters used at inference, and those that training changes (objectives included)."""
    inference = sum(p.numel() for name, p in model.named_parameters() if not name.startswith("objectives."))
    return {
        "parameters": inference,
        "trained_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
    }


def text_model(args: argparse.Namespace) -> str:
    """Name of the pretrained text encoder in a configuration."""
    default = inspect.signature(HuggingFaceTextEncoder).parameters["model"].default
    return args.text_encoder_conf.get("model", default)


def _save_tokenizer(text: TextProcessor, output_dir: Path) -> Path:
    """Keep the tokenizer with the checkpoints: inference needs no other folder. One process writes, all read."""
    folder = output_dir / TOKENIZER_DIR
    several = torch.distributed.is_initialized()
    if not several or torch.distributed.get_rank() == 0:
        text.tokenizer.save_pretrained(folder)
    if several:
        torch.distributed.barrier()
    return folder


def _build_objectives(
    args: argparse.Namespace, sizes: Sizes, fusion: Fusion, text: TextProcessor | None, vocabulary: int
):
    """Objectives and weights by name, in the order of :data:`OBJECTIVES`."""
    if unknown := sorted(set(args.objectives) - set(OBJECTIVES)):
        raise UserError(f"objectives: unknown objective {unknown[0]!r}; known are {', '.join(OBJECTIVES)}")
    objectives, weights = {}, {}
    for name, kind in OBJECTIVES.items():
        if name not in args.objectives:
            continue
        conf = dict(args.objectives[name] or {})
        weights[name] = float(conf.pop("weight", DEFAULT_WEIGHTS[name]))
        if kind.needs_edits and text is None:
            raise UserError(f"objectives: {name} needs a fusion with text, not {args.fusion}")
        if name == "adversarial" and not isinstance(fusion, M4serFusion):
            raise UserError("objectives: adversarial needs specific and invariant representations: fusion: m4ser")
        given = {"vocabulary_size": vocabulary} if name == "aec" else {}
        objectives[name] = construct(kind, conf, f"objectives: {name}", sizes=sizes, **given)
    return objectives, weights
