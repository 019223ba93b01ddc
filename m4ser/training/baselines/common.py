"""What the tasks of other systems have in common."""

import argparse
from typing import Any

import torch
from espnet2.asr.frontend.abs_frontend import AbsFrontend
from espnet2.utils.nested_dict_action import NestedDictAction
from espnet2.utils.types import str_or_none
from torch import Tensor, nn

from m4ser.models.build import construct
from m4ser.models.encoders.precomputed import PrecomputedEncoder
from m4ser.models.model import Outcome, count_parameters
from m4ser.models.systems import SER, SYSTEMS
from m4ser.training import (
    espnet,  # noqa: F401  # what is typed is read as data
    normalising,
)


def add_recipe_arguments(parser: argparse.ArgumentParser) -> None:
    """Options by which the recipe tells a task about its data; the same as those of SERTask."""
    group = parser.add_argument_group("Speech emotion recognition")
    group.add_argument("--task", default=SER, choices=list(SYSTEMS), help="Which system a configuration is for")
    normalising.add_option(group)
    group.add_argument("--labels", nargs="+", default=None, help="Emotion classes in index order")
    group.add_argument("--features", type=str_or_none, default=None, help="Speech encoder that stage 1 dumps for it")
    group.add_argument(
        "--speech_encoder", choices=["precomputed"], default="precomputed", help="Input: the features of stage 1"
    )
    group.add_argument(
        "--speech_encoder_conf",
        action=NestedDictAction,
        default={},
        help="num_layers, input_size and frame_rate of the features (set by the recipe)",
    )
    group.add_argument("--pretrained_dir", type=str_or_none, default=None, help="Not used; as in SERTask")
    # What the recipe reads in the arguments of SERTask.
    parser.set_defaults(fusion="speech", objectives={}, text_conf={})


class WeightedLayers(AbsFrontend):
    """The dumped hidden layers as ESPnet's S3PRL front end hands them on: their softmax-weighted sum."""

    def __init__(self, speech_encoder_conf: dict[str, Any]):
        super().__init__()
        self.sum = construct(PrecomputedEncoder, speech_encoder_conf, "speech_encoder_conf", output_size=0, dropout=0.0)

    def output_size(self) -> int:
        """F."""
        return self.sum.output_size()

    def forward(self, input: Tensor, input_lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(B, M, L F), (B,) -> (B, M, F), (B,)."""
        x, lengths, _ = self.sum(input, input_lengths)
        return x, lengths


def result(loss: Tensor, stats: dict[str, Tensor], size: int) -> Outcome:
    """Output of a model's forward as ESPnet's trainer wants it; the logged loss is a copy, see SERModel."""
    return {
        "loss": loss,
        "stats": {name: value for name, value in stats.items() if value is not None} | {"loss": loss.detach().clone()},
        "weight": torch.tensor(float(size), device=loss.device),
    }


def note_parameters(args: argparse.Namespace, model: nn.Module) -> None:
    """Put the number of parameters where the recipe looks for it."""
    args.parameters = count_parameters(model)
