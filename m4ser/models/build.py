"""Models from configurations: what a configuration may name, and how its parts are put together.

Plain PyTorch: ESPnet is imported where a configuration names one of its encoders, so inference starts quickly.
"""

import argparse
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch

from m4ser.models.arrays import SERPreprocessor
from m4ser.models.batches import Collate
from m4ser.models.encoders.base import Encoder, TextEncoder
from m4ser.models.encoders.fbank import ConformerEncoder, EBranchformerEncoder
from m4ser.models.encoders.huggingface_speech import HuggingFaceSpeechEncoder
from m4ser.models.encoders.huggingface_text import HuggingFaceTextEncoder
from m4ser.models.encoders.precomputed import PrecomputedEncoder
from m4ser.models.encoders.transformer_text import TransformerTextEncoder
from m4ser.models.fusion.attention import CrossAttentionFusion
from m4ser.models.fusion.base import Fusion
from m4ser.models.fusion.lamer import LamerFusion
from m4ser.models.fusion.late import GatedFusion, LateFusion
from m4ser.models.fusion.m4ser import M4serFusion
from m4ser.models.fusion.m4ser_x import M4serXFusion
from m4ser.models.fusion.mmer import MmerFusion
from m4ser.models.fusion.plain import ConcatFusion, SpeechFusion, TextFusion
from m4ser.models.model import SERModel
from m4ser.models.objectives.adversarial import AdversarialObjective
from m4ser.models.objectives.aec import ErrorCorrection
from m4ser.models.objectives.aed import ErrorDetection
from m4ser.models.objectives.augmentation import AugmentationObjective
from m4ser.models.objectives.base import Objective, Sizes, Tools
from m4ser.models.objectives.contrastive import ContrastiveObjective
from m4ser.models.objectives.ctc import CtcObjective
from m4ser.models.objectives.lexical import LexicalObjective
from m4ser.models.objectives.views import AugmentedViewObjective
from m4ser.models.text import TextProcessor
from m4ser.utils.errors import UserError, first_line

Part = TypeVar("Part")
Built = TypeVar("Built")


@dataclass(frozen=True)
class Choices(Generic[Part]):
    """Classes that a configuration can choose from, by the names it uses.

    Attributes:
        name: the option; ``<name>_conf`` has the keyword arguments of the class.
        classes: by lower-case name.
        default: name that is used where the configuration has none.
    """

    name: str
    classes: dict[str, type[Part]]
    default: str

    def get_class(self, name: str) -> type[Part]:
        """The class with a name.

        Raises:
            UserError: there is none.
        """
        if name not in self.classes:
            raise UserError(f"{self.name}: there is no {name!r}; known are {', '.join(self.classes)}")
        return self.classes[name]


speech_encoder_choices = Choices[Encoder](
    "speech_encoder",
    {
        "precomputed": PrecomputedEncoder,
        "huggingface": HuggingFaceSpeechEncoder,
        "conformer": ConformerEncoder,
        "e_branchformer": EBranchformerEncoder,
    },
    default="precomputed",
)
text_encoder_choices = Choices[TextEncoder](
    "text_encoder",
    {"huggingface": HuggingFaceTextEncoder, "transformer": TransformerTextEncoder},
    default="huggingface",
)
fusion_choices = Choices[Fusion](
    "fusion",
    {
        "speech": SpeechFusion,
        "text": TextFusion,
        "concat": ConcatFusion,
        "late": LateFusion,
        "gated": GatedFusion,
        "cross_attention": CrossAttentionFusion,
        "lamer": LamerFusion,
        "mmer": MmerFusion,
        "m4ser": M4serFusion,
        "m4ser_x": M4serXFusion,
    },
    default="concat",
)
CHOICES: list[Choices[Any]] = [speech_encoder_choices, text_encoder_choices, fusion_choices]
OBJECTIVES: dict[str, type[Objective]] = {
    "aed": ErrorDetection,
    "aec": ErrorCorrection,
    "adversarial": AdversarialObjective,
    "contrastive": ContrastiveObjective,
    "lexical": LexicalObjective,
    "ctc": CtcObjective,
    "augmented_view": AugmentedViewObjective,
    "augmentation": AugmentationObjective,
}
DEFAULT_WEIGHTS = {name: 0.1 for name in OBJECTIVES} | {"adversarial": 0.01, "lexical": 1.0}
TOKENIZER_DIR = "tokenizer"


def construct(make: Callable[..., Built], conf: dict[str, Any], option: str, **arguments: Any) -> Built:
    """Call ``make(**arguments, **conf)`` with what the configuration says of it under ``option``.

    Raises:
        UserError: an unknown key of ``conf``, or a value that does not fit.
    """
    known = set(inspect.signature(make).parameters) - set(arguments) - {"sizes"}
    if unknown := sorted(set(conf) - known):
        raise UserError(f"{option}: unknown key {unknown[0]!r}; known are {', '.join(sorted(known))}")
    try:
        return make(**arguments, **conf)
    except (ValueError, AssertionError, TypeError, RuntimeError) as error:  # of PyTorch, too: sizes, heads, memory
        raise UserError(f"{option}: {first_line(error)}") from error


def encoder_model(args: argparse.Namespace, choices: Choices[Any]) -> str | None:
    """Name of an encoder's pretrained model in a configuration, None where the encoder is trained from scratch."""
    parameter = inspect.signature(choices.get_class(getattr(args, choices.name))).parameters.get("model")
    return None if parameter is None else getattr(args, f"{choices.name}_conf").get("model", parameter.default)


def build_text_processor(args: argparse.Namespace) -> TextProcessor | None:
    """Tokenizer and dummy tokens, None for a fusion without text."""
    if not fusion_choices.get_class(args.fusion).uses_text:
        return None
    name = args.tokenizer or encoder_model(args, text_encoder_choices)
    if name is None:
        raise UserError(
            f"--tokenizer is missing: text_encoder {args.text_encoder} has none of its own; stage 3 makes it"
        )
    known = ("dummy_tokens", "max_pieces", "max_correction")
    if unknown := sorted(set(args.text_conf) - set(known)):
        raise UserError(f"text_conf: unknown key {unknown[0]!r}; known are {', '.join(known)}")
    return TextProcessor.from_name(name, args.pretrained_dir, **args.text_conf)


def build_preprocessor(args: argparse.Namespace) -> SERPreprocessor:
    """See :class:`SERPreprocessor`."""
    objectives = [OBJECTIVES[name] for name in args.objectives if name in OBJECTIVES]
    with_edits = any(objective.needs_edits for objective in objectives)
    with_reference = any(objective.needs_reference for objective in objectives)
    with_confidence = with_edits or fusion_choices.get_class(args.fusion).uses_confidence
    return SERPreprocessor(args.labels, build_text_processor(args), with_edits, with_reference, with_confidence)


def build_collate(args: argparse.Namespace) -> Collate:
    """See :class:`Collate`."""
    text = build_text_processor(args)
    return Collate(text.padding if text else 0)


def build_model(args: argparse.Namespace, model_class: type[SERModel] = SERModel) -> SERModel:
    """Build the model; pretrained weights are read unless the arguments hold the architecture (``hf_config``).

    Args:
        args: a configuration's options; they get what was only known once the parts were there, see the parts.
        model_class: of the model; training has one of its own.

    Raises:
        UserError: an unknown key or a value that does not fit, named with its option.
    """
    if not args.labels:
        raise UserError("--labels is missing: the emotion classes in index order")
    fusion_class = fusion_choices.get_class(args.fusion)
    speech_encoder = _build_encoder(speech_encoder_choices, args) if fusion_class.uses_speech else None
    text, text_encoder = build_text_processor(args), None
    if text is not None:
        text_encoder = _build_encoder(text_encoder_choices, args, vocabulary_size=len(text.tokenizer))
        if args.output_dir is not None:
            args.tokenizer = str(_save_tokenizer(text, Path(args.output_dir)))
    speech_size = speech_encoder.output_size() if speech_encoder else 0
    text_size = text_encoder.output_size() if text_encoder else 0
    fusion = construct(fusion_class, args.fusion_conf, "fusion_conf", speech_size=speech_size, text_size=text_size)
    size = getattr(fusion, "size", text_size or speech_size)
    speech_input = None
    if isinstance(speech_encoder, PrecomputedEncoder):
        speech_input = speech_encoder.num_layers, speech_encoder.input_size
    sizes = Sizes(size, text_size, fusion.output_size, len(args.labels), speech_size, speech_input)
    vocabulary, embeddings = text_encoder.word_embeddings.shape if text_encoder else (0, 0)
    # Objectives draw their weights aside: the rest starts the same with and without them.
    with torch.random.fork_rng(devices=[]):
        objectives, weights = _build_objectives(args, sizes, fusion, text, vocabulary, embeddings)
    tools = Tools()
    if text is not None and text_encoder is not None:
        tools = Tools(
            text_encoder.embed, lambda: text_encoder.word_embeddings, text.start, text.end, text.words, text.mask
        )
    return construct(
        model_class,
        args.model_conf,
        "model_conf",
        labels=args.labels,
        speech_encoder=speech_encoder,
        text_encoder=text_encoder,
        fusion=fusion,
        objectives=objectives,
        weights=weights,
        tools=tools,
    )


def _build_encoder(choices: Choices[Built], args: argparse.Namespace, **known: Any) -> Built:
    """Build the encoder chosen, with what it takes of ``known``.

    ``args`` get the architecture of a pretrained model, which then needs its folder no more.
    """
    option = f"{choices.name}_conf"
    encoder_class, conf = choices.get_class(getattr(args, choices.name)), getattr(args, option)
    known = {"pretrained_dir": args.pretrained_dir, **known}
    arguments = {name: value for name, value in known.items() if name in inspect.signature(encoder_class).parameters}
    encoder = construct(encoder_class, {**arguments, **conf}, option)
    if hasattr(encoder, "architecture"):
        setattr(args, option, {**conf, **encoder.architecture()})
    return encoder


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
    args: argparse.Namespace,
    sizes: Sizes,
    fusion: Fusion,
    text: TextProcessor | None,
    vocabulary: int,
    embeddings: int,
) -> tuple[dict[str, Objective], dict[str, float]]:
    """Objectives and weights by name, in the order of :data:`OBJECTIVES`."""
    if unknown := sorted(set(args.objectives) - set(OBJECTIVES)):
        raise UserError(f"objectives: unknown objective {unknown[0]!r}; known are {', '.join(OBJECTIVES)}")
    objectives, weights = {}, {}
    for name, objective in OBJECTIVES.items():
        if name not in args.objectives:
            continue
        conf = dict(args.objectives[name] or {})
        weights[name] = float(conf.pop("weight", DEFAULT_WEIGHTS[name]))
        if objective.needs_edits and text is None:
            raise UserError(f"objectives: {name} needs a fusion with text, not {args.fusion}")
        if objective.needs_speech and not fusion.uses_speech:
            raise UserError(f"objectives: {name} needs a fusion with speech, not {args.fusion}")
        if name == "adversarial" and not (isinstance(fusion, M4serFusion) and "invariant" in fusion.parts):
            raise UserError("objectives: adversarial needs specific and invariant representations: fusion: m4ser")
        if name == "lexical" and getattr(fusion, "hear", None) is None:
            raise UserError("objectives: lexical needs a fusion that hears words: fusion: m4ser_x")
        if name in ("aec", "lexical") and embeddings != sizes.text_size:
            raise UserError(
                f"objectives: {name} works with the text encoder's embeddings, which have {embeddings} values and its "
                f"states {sizes.text_size}; use an encoder such as BERT, MiniLM or RoBERTa, or leave {name} away"
            )
        arguments = {"vocabulary_size": vocabulary} if name == "aec" else {}
        objectives[name] = construct(objective, conf, f"objectives: {name}", sizes=sizes, **arguments)
    return objectives, weights
