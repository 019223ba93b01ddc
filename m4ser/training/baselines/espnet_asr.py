"""Emotion as the first token of a transcript, through ESPnet2's recognition task (``espnet2.tasks.asr``).

The approach of ESPnet's IEMOCAP recipe: an encoder-decoder is trained on ``<emotion> word word ...`` with CTC and
attention. Model, options and losses are ESPnet's. Replaced are the data path and the front end (as in
:mod:`m4ser.training.baselines.espnet_cls`), the selection of the model (unweighted average recall on dev), and
decoding: the emotion is the most probable of the emotion tokens in the decoder's first step, for which no beam search
is needed. Words are those of the training part's reference transcripts; testing reads speech alone.
"""

import argparse
from typing import Any

import numpy as np
import torch
from torch import Tensor

from m4ser.data.scp import read_scp
from m4ser.models.arrays import SERPreprocessor
from m4ser.models.batches import Collate
from m4ser.models.model import Outcome
from m4ser.models.representations import Representations, length_mask, masked_mean, required
from m4ser.models.text import reference_words
from m4ser.training.baselines.common import (
    WeightedLayers,
    add_recipe_arguments,
    note_parameters,
    result,
)
from m4ser.training.espnet import without_phonemizer
from m4ser.training.precision import MatmulPrecision
from m4ser.training.trainer import SERTrainer
from m4ser.utils.errors import UserError

with without_phonemizer():
    from espnet2.asr.espnet_model import ESPnetASRModel
    from espnet2.tasks.asr import ASRTask
from espnet2.train.abs_espnet_model import AbsESPnetModel

BLANK, UNKNOWN, ENDS = "<blank>", "<unk>", "<sos/eos>"


def token_list(labels: list[str], transcripts: list[list[str]]) -> list[str]:
    """Blank, unknown word, emotions, words in alphabetic order, sentence end."""
    words = sorted({word for transcript in transcripts for word in transcript})
    return [BLANK, UNKNOWN, *(f"<{label}>" for label in labels), *words, ENDS]


class TranscriptPreprocessor(SERPreprocessor):
    """As for the other systems, and ``tokens``: the emotion, then the words of the reference."""

    def __init__(self, labels: list[str], tokens: list[str]):
        super().__init__(labels, None)
        self.token_index = {token: i for i, token in enumerate(tokens)}

    def __call__(self, uid: str, data: dict[str, Any]) -> dict[str, np.ndarray]:
        """Arrays by name."""
        arrays = super().__call__(uid, data)
        if "text" in data:
            unknown = self.token_index[UNKNOWN]
            words = [self.token_index.get(word, unknown) for word in reference_words(data["text"])]
            arrays["tokens"] = np.array([self.token_index[f"<{data['emotion']}>"], *words], dtype=np.int64)
        return arrays


class FirstTokenModel(AbsESPnetModel):
    """ESPnet's recognition model behind the names that the recipe's trainer and inference use."""

    def __init__(self, labels: list[str], inner: ESPnetASRModel):
        super().__init__()
        self.labels, self.inner = list(labels), inner
        tokens = {token: i for i, token in enumerate(inner.token_list)}
        emotions = torch.tensor([tokens[f"<{label}>"] for label in labels])
        self.register_buffer("emotions", emotions, persistent=False)

    def represent(self, speech: Tensor, speech_lengths: Tensor) -> Representations:
        """(B, M, ...), (B,) -> encoder states; the utterance vector is their mean."""
        states, lengths = self.inner.encode(speech, speech_lengths)
        mask = length_mask(lengths, states.shape[1])
        return Representations(masked_mean(states, mask), states, mask)

    def logits(self, reps: Representations) -> Tensor:
        """Scores of the emotion tokens in the decoder's first step: (B, E)."""
        states = required(reps.speech)
        start = torch.full((len(states), 1), self.inner.sos, device=states.device)
        ones = torch.ones(len(start), dtype=torch.long, device=start.device)
        scores, _ = self.inner.decoder(states, required(reps.speech_mask).sum(1), start, ones)
        return scores[:, 0, self.emotions]

    def forward(self, speech: Tensor, speech_lengths: Tensor, tokens: Tensor, **batch: Any) -> Outcome:
        """ESPnet's loss and statistics."""
        loss, stats, _ = self.inner(speech, speech_lengths, tokens.clone(), (tokens >= 0).sum(1))
        return result(loss, stats, len(tokens))

    @torch.no_grad()
    def evaluate(
        self, speech: Tensor, speech_lengths: Tensor, tokens: Tensor, **batch: Any
    ) -> tuple[Outcome, Tensor, dict[str, list[Any]]]:
        """Output of :meth:`forward`, logits (B, E), no records."""
        output = self(speech, speech_lengths, tokens)
        return output, self.logits(self.represent(speech, speech_lengths)), {}

    def collect_feats(self, **batch: Any) -> dict[str, Tensor]:
        """Nothing to collect."""
        return {}


class FirstTokenBaseline(MatmulPrecision, ASRTask):
    """``task: espnet_asr``. All options of ``espnet2.bin.asr_train``; ``normalize`` defaults to none."""

    trainer = SERTrainer
    needs_reference = True

    @classmethod
    def add_task_arguments(cls, parser: argparse.ArgumentParser) -> None:
        """ESPnet's options and ours."""
        super().add_task_arguments(parser)
        parser.get_default("required").remove("token_list")  # made from --labels and the training transcripts
        add_recipe_arguments(parser)
        parser.set_defaults(normalize=None)

    @classmethod
    def required_data_names(cls, train: bool = True, inference: bool = False) -> tuple[str, ...]:
        """Names that the data files must have."""
        return ("speech",) if inference else ("speech", "text", "emotion")

    @classmethod
    def optional_data_names(cls, train: bool = True, inference: bool = False) -> tuple[str, ...]:
        """Names that they may have."""
        return ("text", "emotion")

    @classmethod
    def build_preprocess_fn(cls, args: argparse.Namespace, train: bool) -> SERPreprocessor:
        """The recipe's, with tokens; the model was built before and has left the list in the arguments."""
        return TranscriptPreprocessor(args.labels, args.token_list)

    @classmethod
    def build_collate_fn(cls, args: argparse.Namespace, train: bool) -> Collate:
        """The recipe's."""
        return Collate()

    @classmethod
    def build_model(cls, args: argparse.Namespace) -> FirstTokenModel:
        """ESPnet's model; the tokens are those of the training part, or those stored in the arguments."""
        if args.token_list is None:
            args.token_list = token_list(args.labels, _training_transcripts(args))
        frontend = WeightedLayers(args.speech_encoder_conf)
        inner = super().build_model(argparse.Namespace(**{**vars(args), "input_size": frontend.output_size()}))
        if inner.decoder is None:
            raise UserError("ctc_weight 1 leaves no decoder to say the emotion; choose a smaller one in model_conf")
        inner.frontend = frontend
        model = FirstTokenModel(args.labels, inner)
        note_parameters(args, model)
        return model


def _training_transcripts(args: argparse.Namespace) -> list[list[str]]:
    files = [path for path, name, _ in args.train_data_path_and_name_and_type if name == "text"]
    if not files:
        raise UserError("task espnet_asr learns from reference transcripts; use --text-source asr or ref")
    return [reference_words(line) for path in files for line in read_scp(path).values()]
