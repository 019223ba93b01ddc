"""SERModel: encoders, a fusion, a linear classifier, and objectives that exist in training only."""

from collections.abc import Iterable, Mapping
from typing import Any, TypedDict, cast

import torch
from torch import Tensor, nn

from m4ser.models.augment import AUGMENTATIONS, augment_at_random
from m4ser.models.batches import ENCODER_INPUTS
from m4ser.models.encoders.base import Encoder, TextEncoder
from m4ser.models.fusion.base import Classifier, Fusion
from m4ser.models.objectives.aec import ErrorCorrection
from m4ser.models.objectives.base import Loss, Objective, Targets, Tools
from m4ser.models.representations import Representations, length_mask, required


class Outcome(TypedDict):
    """What ESPnet's trainer wants of one batch: the loss, what to log of it, and how much it counts in an epoch."""

    loss: Tensor
    stats: dict[str, Tensor]
    weight: int | Tensor


class SERModel(nn.Module):
    """L = L_ER + sum_o weight_o L_o (+ losses that only an objective's own parts see).

    ``logits`` is the inference graph; no objective is in it.

    Args:
        labels: class names, index order.
        speech_encoder, text_encoder: None where the fusion does not use them.
        fusion: gives the utterance vector v.
        objectives, weights: by name.
        tools: what objectives borrow from the text encoder and its tokenizer.
        dropout: on v before the linear classifier.
        label_smoothing: of the emotion cross-entropy.
        class_weights: one positive number per class for the emotion cross-entropy, or None.
        augment: strengths by name of :data:`m4ser.models.augment.AUGMENTATIONS`: in training, each utterance's speech
            stays as it is or is altered by one of them, all equally likely.
    """

    classifier: Classifier
    class_weights: Tensor | None

    def __init__(
        self,
        labels: list[str],
        speech_encoder: Encoder | None,
        text_encoder: TextEncoder | None,
        fusion: Fusion,
        objectives: dict[str, Objective] | None = None,
        weights: dict[str, float] | None = None,
        tools: Tools | None = None,
        dropout: float = 0.1,
        label_smoothing: float = 0.0,
        class_weights: list[float] | None = None,
        augment: dict[str, float] | None = None,
    ):
        super().__init__()
        self.augment = dict(augment or {})
        known = sorted(set(AUGMENTATIONS) - {"keep"})
        if unknown := sorted(set(self.augment) - set(known)):
            raise ValueError(f"augment: unknown {unknown[0]!r}; known are {', '.join(known)}")
        if self.augment and speech_encoder is None:
            raise ValueError("augment alters speech, which this fusion does not use")
        self.labels = list(labels)
        self.speech_encoder, self.text_encoder, self.fusion = speech_encoder, text_encoder, fusion
        self.dropout = nn.Dropout(dropout)
        self.classifier = fusion.build_classifier(len(labels))
        self.objectives = nn.ModuleDict(objectives or {})
        self.weights = dict(weights or {})
        self.tools = (tools or Tools())._replace(represent=self.represent, encode_speech=self.encode_speech)
        self.label_smoothing = label_smoothing
        if class_weights is not None and len(class_weights) != len(labels):
            raise ValueError(f"class_weights: {len(class_weights)} weights for {len(labels)} classes")
        weight = None if class_weights is None else torch.tensor(class_weights, dtype=torch.float32)
        self.register_buffer("class_weights", weight, persistent=False)

    def represent(
        self,
        speech: Tensor | None = None,
        speech_lengths: Tensor | None = None,
        text: Tensor | None = None,
        text_lengths: Tensor | None = None,
        text_confidence: Tensor | None = None,
    ) -> Representations:
        """Encoder inputs (B, ...) with lengths (B,) -> what the fusion returns."""
        heard = heard_mask = read = read_mask = None
        if self.speech_encoder is not None:
            heard, heard_mask = self.encode_speech(required(speech), required(speech_lengths))
        if self.text_encoder is not None:
            read, lengths, _ = self.text_encoder(text, text_lengths)
            read_mask = length_mask(lengths, read.shape[1])
        if self.fusion.uses_confidence:
            return self.fusion(heard, heard_mask, read, read_mask, text_confidence)
        return self.fusion(heard, heard_mask, read, read_mask)

    def encode_speech(self, speech: Tensor, speech_lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Speech input (B, T, ...) with lengths (B,) -> states (B, M, D) and their mask (B, M)."""
        states, lengths, _ = required(self.speech_encoder)(speech, speech_lengths)
        return states, length_mask(lengths, states.shape[1])

    def logits(self, reps: Representations) -> Tensor:
        """Scores of the emotion classes (B, E)."""
        return self.classifier.combine(self._answers(reps))

    def forward(self, emotion: Tensor, **batch: Tensor) -> Outcome:
        """One batch as the collate function makes it -> ``loss``, ``stats`` by name, and ``weight``, its size."""
        emotion = emotion.squeeze(-1)
        reps = self._represent_batch(batch)
        return self.outcome(reps, self._answers(reps), self._targets(emotion, batch))

    @torch.no_grad()
    def evaluate(self, emotion: Tensor, **batch: Any) -> tuple[Outcome, Tensor, dict[str, list[Any]]]:
        """Like :meth:`forward`, with the logits (B, E) and every objective's records for its epoch metrics."""
        emotion = emotion.squeeze(-1)
        reps = self._represent_batch(batch)
        targets = self._targets(emotion, batch)
        answers = self._answers(reps)
        records = {}
        for name, objective in self.each_objective():
            extra = {"detection": self.objectives["aed"]} if self._detects_for(objective) else {}
            records[name] = objective.evaluate(reps, targets, self.tools, **extra)
        return self.outcome(reps, answers, targets), self.classifier.combine(answers), records

    def each_objective(self) -> Iterable[tuple[str, Objective]]:
        """Names and objectives, as a dictionary's items: PyTorch knows them as modules only."""
        return cast(Iterable[tuple[str, Objective]], self.objectives.items())

    def _detects_for(self, objective: Objective) -> bool:
        return isinstance(objective, ErrorCorrection) and "aed" in self.objectives

    def _represent_batch(self, batch: Mapping[str, Tensor]) -> Representations:
        inputs = {name: batch[name] for name in ENCODER_INPUTS if name in batch}
        if self.training and self.augment:
            names = ("keep", *self.augment)
            altered = augment_at_random(inputs["speech"], inputs["speech_lengths"], names, self.augment)
            inputs["speech"], inputs["speech_lengths"], _ = altered
        return self.represent(**inputs)

    def _targets(self, emotion: Tensor, batch: Mapping[str, Tensor]) -> Targets:
        names = ("word_index", "tags", "slots", "corrections", "speech", "speech_lengths", "text_lengths", "letters")
        confidence = batch.get("text_confidence")
        return Targets(emotion, batch.get("text"), confidence=confidence, **{name: batch.get(name) for name in names})

    def _answers(self, reps: Representations) -> list[Tensor]:
        """What the classifier's experts say."""
        return self.classifier.experts(self.dropout(reps.utterance))

    def _emotion_loss(self, answers: list[Tensor], emotion: Tensor) -> Tensor:
        """Cross-entropy, mean over experts: each is trained by itself."""
        losses = [
            nn.functional.cross_entropy(each.float(), emotion, self.class_weights, label_smoothing=self.label_smoothing)
            for each in self.classifier.trained(answers)
        ]
        return torch.stack(losses).mean()

    def outcome(self, reps: Representations, answers: list[Tensor], targets: Targets) -> Outcome:
        """What :meth:`forward` returns of a batch whose representations and scores are known."""
        logits, emotion_loss = self.classifier.combine(answers), self._emotion_loss(answers, targets.emotion)
        loss = emotion_loss
        stats = {
            "loss_emotion": emotion_loss.detach(),
            "acc": (logits.argmax(-1) == targets.emotion).float().mean().detach(),
        }
        for name, objective in self.each_objective():
            part: Loss = objective(reps, targets, self.tools)
            loss = loss + self.weights[name] * part.loss
            if part.unweighted is not None:
                loss = loss + part.unweighted
            stats |= part.stats
        # A copy: the trainer divides the loss in place when gradients are accumulated.
        stats["loss"] = loss.detach().clone()
        return {"loss": loss, "stats": stats, "weight": len(logits)}


def count_parameters(model: nn.Module) -> dict[str, int]:
    """Parameters used at inference, and those that training changes (objectives included)."""
    inference = sum(p.numel() for name, p in model.named_parameters() if not name.startswith("objectives."))
    return {
        "parameters": inference,
        "trained_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
    }
