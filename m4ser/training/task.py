"""SERTask: speech emotion recognition as an ESPnet2 task.

Everything a model is built from is in the arguments, which ESPnet stores as ``config.yaml`` beside the checkpoints;
:func:`m4ser.models.build.build_model` completes them (label list, architecture of the text encoder), so that a stored
configuration rebuilds the model without the files it was first built from.
"""

import argparse
import dataclasses
from typing import ClassVar

import torch
from espnet2.iterators.abs_iter_factory import AbsIterFactory
from espnet2.tasks.abs_task import AbsTask, IteratorOptions, optim_classes
from espnet2.utils.nested_dict_action import NestedDictAction
from espnet2.utils.types import str_or_none
from torch import nn

from m4ser.models import build
from m4ser.models.arrays import SERPreprocessor
from m4ser.models.batches import Collate
from m4ser.models.model import SERModel, count_parameters
from m4ser.models.systems import SER
from m4ser.training import normalising, operating_point
from m4ser.training.espnet import SharedBatches, TrainedSERModel, class_choices
from m4ser.training.precision import MatmulPrecision
from m4ser.training.trainer import SERTrainer
from m4ser.utils.errors import UserError

PARTS = ("speech_encoder", "text_encoder", "fusion", "classifier")


class SERTask(MatmulPrecision, AbsTask):
    """Train a :class:`~m4ser.models.model.SERModel` with ESPnet's options; select models by ``valid ua max``."""

    num_optimizers = 1
    class_choices_list: ClassVar = [class_choices(choices) for choices in build.CHOICES]
    trainer = SERTrainer

    @classmethod
    def add_task_arguments(cls, parser: argparse.ArgumentParser) -> None:
        """Options beyond those of every ESPnet task."""
        super().add_task_arguments(parser)
        group = parser.add_argument_group("Speech emotion recognition")
        group.add_argument("--task", default=SER, choices=[SER], help="Which system a configuration is for")
        normalising.add_option(group)
        operating_point.add_option(group)
        group.add_argument("--labels", nargs="+", default=None, help="Emotion classes in index order")
        group.add_argument(
            "--objectives",
            action=NestedDictAction,
            default={},
            help="Auxiliary objectives: name -> {weight: w, option: value}; names: " + ", ".join(build.OBJECTIVES),
        )
        group.add_argument(
            "--text_conf",
            action=NestedDictAction,
            default={},
            help="Text input: dummy_tokens, max_pieces, max_correction (m4ser.models.text.TextProcessor)",
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
        group.add_argument(
            "--clip_apart",
            nargs="*",
            default=[],
            help="Parameter name prefixes whose gradients are clipped by a norm of their own, e.g. of a discriminator",
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
    def build_preprocess_fn(cls, args: argparse.Namespace, train: bool) -> SERPreprocessor:
        """See :func:`m4ser.models.build.build_preprocessor`."""
        return build.build_preprocessor(args)

    @classmethod
    def build_collate_fn(cls, args: argparse.Namespace, train: bool) -> Collate:
        """See :class:`m4ser.models.batches.Collate`."""
        return build.build_collate(args)

    @classmethod
    def build_sequence_iter_factory(
        cls, args: argparse.Namespace, iter_options: IteratorOptions, mode: str
    ) -> AbsIterFactory:
        """Batches; where several processes train together, each one's share of the batches that one would have."""
        whole = dataclasses.replace(iter_options, distributed=False)
        factory = super().build_sequence_iter_factory(args, whole, mode)
        if not iter_options.distributed:
            return factory
        return SharedBatches(factory, torch.distributed.get_rank(), torch.distributed.get_world_size())

    @classmethod
    def build_model(cls, args: argparse.Namespace) -> SERModel:
        """See :func:`m4ser.models.build.build_model`."""
        return build.build_model(args, TrainedSERModel)

    @classmethod
    def build_optimizers(cls, args: argparse.Namespace, model: nn.Module) -> list[torch.optim.Optimizer]:
        """One optimizer; trained parameters only, in groups by ``param_groups``.

        Raises:
            UserError: a prefix or an option of ``param_groups`` that would have no effect.
        """
        if args.exclude_weight_decay:
            raise UserError("exclude_weight_decay: has no effect here; set weight_decay in param_groups")
        names = [name for name, _ in model.named_parameters()]
        for prefix in args.param_groups:
            part = prefix.split(".")[0]
            # What a fusion or an ablation does not have may be named: configurations are shared.
            absent = part == "objectives" or (part in PARTS and getattr(model, part, None) is None)
            if not absent and not any(name.startswith(prefix) for name in names):
                raise UserError(
                    f"param_groups: no parameter's name begins with {prefix!r}; the parts are {', '.join(PARTS)}"
                )
        args.parameters = count_parameters(model)
        groups: dict[str, list[nn.Parameter]] = {prefix: [] for prefix in ("", *args.param_groups)}
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                groups[max((p for p in groups if name.startswith(p)), key=len)].append(parameter)
        options = {"": {}, **args.param_groups}
        used = [{"params": parameters, **options[prefix]} for prefix, parameters in groups.items() if parameters]
        optimizer = optim_classes[args.optim](used, **args.optim_conf)
        for prefix, group in args.param_groups.items():
            if unknown := sorted(set(group) - set(optimizer.defaults)):
                known = f"{args.optim} has {', '.join(sorted(optimizer.defaults))}"
                raise UserError(f"param_groups: {prefix}: unknown option {unknown[0]!r}; {known}")
        return [optimizer]
