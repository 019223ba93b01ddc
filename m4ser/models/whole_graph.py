"""A model from the features of a recording to its logits as one module, which :mod:`m4ser.models.onnx_graph` exports.

What is in front of it is arithmetic on samples alone: Whisper's log-mel features (:mod:`m4ser.data.log_mel`), or the
waveform as it is.
"""

import json
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from m4ser.data.audio import RATE
from m4ser.data.log_mel import LogMel
from m4ser.models.description import GraphDescription, Pieces, SpeechPipeline
from m4ser.models.encoders.backbones import Backbone, WhisperBackbone
from m4ser.models.encoders.frozen import FrozenEncoder, SpeechFeatures, average
from m4ser.models.encoders.huggingface_speech import HuggingFaceSpeechEncoder
from m4ser.models.encoders.huggingface_text import HuggingFaceTextEncoder
from m4ser.models.model import SERModel
from m4ser.models.representations import average_frames, length_mask
from m4ser.models.text import NOT_A_WORD
from m4ser.utils.errors import UserError

SECONDS = (0.3, 2.71, 1.4)  # of the noise on which a graph is compared with PyTorch, in one batch
PIECES = (9, 2, 30)


class WholeGraph(nn.Module):
    """Speech encoder with the chosen layers, text encoder, fusion and classifier.

    Args:
        model: trained.
        encoder: the frozen encoder of the model's speech features, None where there is none.
        features: ``pipeline.speech`` of the run.

    Attributes:
        inputs: names of the inputs of :meth:`forward`, in order.

    Raises:
        UserError: the model has a part of which there is no graph.
    """

    def __init__(self, model: SERModel, encoder: SpeechFeatures | None, features: SpeechPipeline | None) -> None:
        super().__init__()
        self.model, self.encoder = model, encoder
        self.backbone: Backbone | None = None
        self.layers: Sequence[int] = ()
        self.pool = 1
        self.inputs: list[str] = []
        if model.speech_encoder is not None:
            self._take_speech(features or {})
            self.inputs += ["log_mel", "log_mel_lengths"]
        if model.text_encoder is not None:
            if not isinstance(model.text_encoder, HuggingFaceTextEncoder):
                raise UserError(f"{_name(model.text_encoder)}: there is no whole graph with this text encoder")
            self.inputs += ["text", "text_lengths"]
        if model.fusion.uses_confidence:
            self.inputs.append("text_confidence")

    def _take_speech(self, features: SpeechPipeline) -> None:
        trained = self.model.speech_encoder
        if features:
            if not isinstance(self.encoder, FrozenEncoder):
                raise UserError(f"{features['encoder']}: there is no whole graph with this speech encoder")
            self.backbone, self.layers, self.pool = self.encoder.backbone, features["layers"], features["pool"]
        elif isinstance(trained, HuggingFaceSpeechEncoder):
            self.backbone, self.layers, self.pool = trained.backbone, trained.hidden_layers, trained.pool
        else:
            raise UserError(f"{_name(trained)}: there is no whole graph with this speech encoder")
        if not isinstance(self.backbone, WhisperBackbone):
            model_type = self.backbone.hf_config["model_type"]
            raise UserError(
                f"{model_type}: there is no whole graph with this kind of speech encoder, only with Whisper's"
            )

    def description(
        self, int8: bool = False, temperature: float = 1.0, pieces: Pieces | None = None
    ) -> GraphDescription:
        """What an archive says of the graph; ``pieces`` as there."""
        described: GraphDescription = {
            "speech": None if self.backbone is None else "log_mel",
            "text": "pieces" if self.model.text_encoder is not None else None,
            "int8": int8,
            "longest": 30.0 if self.backbone is None else self.backbone.longest / RATE,
            "temperature": temperature,
        }
        return described if pieces is None else {**described, "pieces": pieces}

    def pipeline(self, encoder: str) -> SpeechPipeline | None:
        """What an archive says of the features in the graph; ``encoder`` is the name of what was trained with."""
        if self.backbone is None:
            return None
        architecture = json.loads(json.dumps(self.backbone.architecture(), default=str))
        layers = [int(layer) for layer in self.layers]
        return {"encoder": encoder, "layers": layers, "pool": self.pool, "architecture": architecture}

    def forward(self, *values: Tensor) -> Tensor:
        """Tensors in the order of ``inputs`` -> logits (B, E).

        Shape: log_mel (B, mels, T), its lengths (B,) in frames of the hop; text (B, P), its lengths (B,); of a fusion
        that weighs words text_confidence (B, P).
        """
        tensors = dict(zip(self.inputs, values, strict=True))
        inputs: list[Tensor | None] = [None] * 4
        if self.backbone is not None:
            assert isinstance(self.backbone, WhisperBackbone)
            states = self.backbone.states_of_mel(tensors["log_mel"], tensors["log_mel_lengths"])
            inputs[:2] = self._encoded(states, (tensors["log_mel_lengths"] + 1) // 2)
        if self.model.text_encoder is not None:
            read, lengths, _ = self.model.text_encoder(tensors["text"], tensors["text_lengths"])
            inputs[2:] = read, length_mask(lengths, read.shape[1])
        if self.model.fusion.uses_confidence:
            inputs.append(tensors["text_confidence"])
        return self.model.logits(self.model.fusion(*inputs))

    def _encoded(self, states: list[Tensor], frames: Tensor) -> tuple[Tensor, Tensor]:
        """Chosen layers side by side, averaged in time, through what is trained on them: (B, M, D) and (B, M)."""
        trained = self.model.speech_encoder
        head = trained.head if isinstance(trained, HuggingFaceSpeechEncoder) else trained
        assert head is not None
        pooled = average_frames(torch.cat([states[layer] for layer in self.layers], dim=-1), frames, self.pool)
        encoded, lengths, _ = head(pooled, torch.div(frames + self.pool - 1, self.pool, rounding_mode="floor"))
        return encoded, length_mask(lengths, encoded.shape[1])

    def example(self) -> tuple[list[Tensor], Tensor]:
        """A batch of noise of several lengths as inputs, and its logits by the way that training has gone.

        That way is each recording by itself, from samples, with what stage 1 computes.
        """
        random = np.random.default_rng(0)
        clips = [(random.standard_normal(int(seconds * RATE)) * 0.1).astype(np.float32) for seconds in SECONDS]
        encoder = self.model.text_encoder
        highest = encoder.word_embeddings.shape[0] if encoder is not None else 0
        texts = [torch.from_numpy(random.integers(0, max(1, highest), size)) for size in PIECES]
        confidences = [torch.from_numpy(random.uniform(-0.2, 1, size).astype(np.float32)) for size in PIECES]
        values: list[Tensor] = []
        if self.backbone is not None:
            log_mel = LogMel(self.backbone.hf_features)
            mels = [torch.from_numpy(log_mel(clip)).T for clip in clips]
            values.append(nn.utils.rnn.pad_sequence(mels, batch_first=True).transpose(1, 2).contiguous())
            values.append(torch.tensor([len(mel) for mel in mels]))
        if encoder is not None:
            values.append(nn.utils.rnn.pad_sequence(texts, batch_first=True))
            values.append(torch.tensor(PIECES))
        if self.model.fusion.uses_confidence:
            values.append(nn.utils.rnn.pad_sequence(confidences, batch_first=True, padding_value=NOT_A_WORD))
        with torch.no_grad():
            expected = [self._alone(*one) for one in zip(clips, texts, confidences, strict=True)]
        return values, torch.cat(expected)

    def _alone(self, samples: np.ndarray, text: Tensor, confidence: Tensor) -> Tensor:
        """Logits (1, E) of one recording, computed as in training."""
        batch: dict[str, Tensor] = {}
        if self.model.speech_encoder is not None:
            speech = samples
            if isinstance(self.encoder, FrozenEncoder):
                hidden = self.encoder.layers(samples)[list(self.layers)]
                speech = average(hidden.transpose(1, 0, 2).reshape(hidden.shape[1], -1), self.pool)
            batch = {"speech": torch.from_numpy(speech)[None], "speech_lengths": torch.tensor([len(speech)])}
        if self.model.text_encoder is not None:
            batch |= {"text": text[None], "text_lengths": torch.tensor([len(text)])}
            batch["text_confidence"] = confidence[None]
        return self.model.logits(self.model.represent(**batch))


def _name(part: nn.Module | None) -> str:
    return type(part).__name__
