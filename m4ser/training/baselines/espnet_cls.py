"""ESPnet2's own classification task (``espnet2.tasks.cls``) on our data, folds and features.

Model, options and losses are ESPnet's; replaced are the data path (ours: same files, labels and collation as every
other system; ESPnet's preprocessor loads phonemizers), the front end where ``frontend`` is left at ``precomputed``
(:class:`WeightedLayers` does what its S3PRL front end does with several layers, on the features of stage 1), and the
selection of the model (unweighted average recall on dev, as for every other system).
"""

import argparse
from typing import Any

import torch
from torch import Tensor

from m4ser.models.arrays import SERPreprocessor
from m4ser.models.batches import Collate
from m4ser.models.model import Outcome
from m4ser.models.representations import Representations, length_mask, masked_mean, required
from m4ser.training.baselines.common import (
    WeightedLayers,
    add_recipe_arguments,
    note_parameters,
    result,
)
from m4ser.training.espnet import without_phonemizer
from m4ser.training.precision import MatmulPrecision
from m4ser.training.trainer import SERTrainer

with without_phonemizer():
    from espnet2.cls.espnet_model import ESPnetClassificationModel
    from espnet2.tasks.cls import CLSTask
from espnet2.train.abs_espnet_model import AbsESPnetModel

UNKNOWN = "<unk>"  # the last token of ESPnet's list, which it does not count as a class


class ClassificationModel(AbsESPnetModel):
    """ESPnet's classification model behind the names that the recipe's trainer and inference use."""

    def __init__(self, labels: list[str], inner: ESPnetClassificationModel):
        super().__init__()
        self.labels, self.inner = list(labels), inner

    def represent(self, speech: Tensor, speech_lengths: Tensor) -> Representations:
        """(B, M, ...), (B,) -> encoder states; the utterance vector is their mean."""
        states, lengths = self.inner.encode(speech, speech_lengths)
        mask = length_mask(lengths, states.shape[1])
        return Representations(masked_mean(states, mask), states, mask)

    def logits(self, reps: Representations) -> Tensor:
        """Pooling and output layer: (B, E)."""
        return self.inner.decoder(required(reps.speech), required(reps.speech_mask).sum(1))

    def forward(self, speech: Tensor, speech_lengths: Tensor, emotion: Tensor, **batch: Any) -> Outcome:
        """ESPnet's loss and statistics."""
        lengths = torch.ones(len(emotion), dtype=torch.long, device=emotion.device)
        loss, stats, _ = self.inner(speech, speech_lengths, emotion, lengths)
        return result(loss, stats, len(emotion))

    @torch.no_grad()
    def evaluate(
        self, speech: Tensor, speech_lengths: Tensor, emotion: Tensor, **batch: Any
    ) -> tuple[Outcome, Tensor, dict[str, list[Any]]]:
        """Output of :meth:`forward`, logits (B, E), no records."""
        output = self(speech, speech_lengths, emotion)
        return output, self.logits(self.represent(speech, speech_lengths)), {}

    def collect_feats(self, **batch: Any) -> dict[str, Tensor]:
        """Nothing to collect."""
        return {}


class ClassificationBaseline(MatmulPrecision, CLSTask):
    """``task: espnet_cls``. All options of ``espnet2.bin.cls_train``; ``normalize`` defaults to none."""

    trainer = SERTrainer

    @classmethod
    def add_task_arguments(cls, parser: argparse.ArgumentParser) -> None:
        """ESPnet's options and ours."""
        super().add_task_arguments(parser)
        parser.get_default("required").remove("token_list")  # made from --labels
        add_recipe_arguments(parser)
        parser.set_defaults(normalize=None)

    @classmethod
    def required_data_names(cls, train: bool = True, inference: bool = False) -> tuple[str, ...]:
        """Names that the data files must have."""
        return ("speech",) if inference else ("speech", "emotion")

    @classmethod
    def optional_data_names(cls, train: bool = True, inference: bool = False) -> tuple[str, ...]:
        """Names that they may have."""
        return ("emotion",)

    @classmethod
    def build_preprocess_fn(cls, args: argparse.Namespace, train: bool) -> SERPreprocessor:
        """The recipe's."""
        return SERPreprocessor(args.labels, None)

    @classmethod
    def build_collate_fn(cls, args: argparse.Namespace, train: bool) -> Collate:
        """The recipe's."""
        return Collate()

    @classmethod
    def build_model(cls, args: argparse.Namespace) -> ClassificationModel:
        """ESPnet's model on the weighted layers of the dumped features."""
        frontend = WeightedLayers(args.speech_encoder_conf)
        options = {**vars(args), "token_list": [*args.labels, UNKNOWN], "input_size": frontend.output_size()}
        inner = super().build_model(argparse.Namespace(**options))
        inner.frontend = frontend
        model = ClassificationModel(args.labels, inner)
        note_parameters(args, model)
        return model
