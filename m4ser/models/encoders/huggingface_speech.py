"""Hugging Face speech encoders from the waveform: frozen, partly or wholly fine-tuned, or with LoRA."""

from typing import Any

import torch
from torch import Tensor, nn

from m4ser.models.encoders.backbones import backbone_from_architecture, load_backbone
from m4ser.models.encoders.base import Encoder
from m4ser.models.encoders.lora import add_lora
from m4ser.models.encoders.precomputed import PrecomputedEncoder
from m4ser.models.representations import average_frames


class HuggingFaceSpeechEncoder(Encoder):
    """HuBERT, wav2vec 2.0, WavLM, data2vec-audio or Whisper's encoder, then what ``precomputed`` does with its layers.

    Frozen, it is :class:`PrecomputedEncoder` on the features of stage 1 (same numbers); it costs the pretrained model's
    forward pass in each epoch and needs no disk.

    Args:
        model: ``offline:whisper-tiny.en``, a local folder, or a hub id; read only when ``hf_config`` is not given.
        hf_config, hf_features: architecture and feature extraction. With them the model is built without reading or
            contacting anything and its weights come from a checkpoint; the task stores them in the experiment.
        hidden_layers: "all", "last", or numbers of hidden states (0: before the first layer; -1: the last). Layers
            above the highest are dropped.
        trained_layers: how many upper layers are trained; 0 freezes the model, -1 trains all of it but the CNN.
        train_cnn: with ``trained_layers: -1``, train the convolutions below the Transformer too.
        lora_rank: train low-rank terms on frozen weights (:mod:`m4ser.models.encoders.lora`); 0 for none.
        lora_alpha: their scale is alpha / rank; 0 for alpha = 2 rank.
        lora_targets: names of the layers that get them; default: queries and values of attention.
        time_mask: SpecAugment in training: largest share of a recording's frames that each span hides before the
            Transformer (the model's mask embedding; for Whisper zeros in its features); 0 for none.
        time_masks: number of spans.
        pool: average this many consecutive frames, as ``--feats-pool`` does.
        gradient_checkpointing: compute layers again in the backward pass: less memory, a third more time.
        pretrained_dir: where folders named by ``model`` are looked for first.
        layers, normalise, output_size, dropout: see :class:`PrecomputedEncoder`.
    """

    def __init__(
        self,
        model: str = "offline:whisper-tiny.en",
        hf_config: dict[str, Any] | None = None,
        hf_features: dict[str, Any] | None = None,
        hidden_layers: str | list[int] = "all",
        trained_layers: int = 0,
        train_cnn: bool = False,
        lora_rank: int = 0,
        lora_alpha: float = 0.0,
        lora_targets: list[str] | None = None,
        time_mask: float = 0.0,
        time_masks: int = 2,
        pool: int = 1,
        gradient_checkpointing: bool = False,
        pretrained_dir: str | None = None,
        layers: str = "weighted",
        normalise: str = "frame",
        output_size: int = 256,
        dropout: float = 0.1,
    ):
        super().__init__()
        if pool < 1:
            raise ValueError(f"pool must be 1 (no averaging) or more, not {pool}")
        if not 0 <= time_mask < 1:
            raise ValueError(f"time_mask is a share of the frames: 0 or more and less than 1, not {time_mask}")
        if hf_config is None:
            self.backbone = load_backbone(model, pretrained_dir)
        else:
            self.backbone = backbone_from_architecture(hf_config, hf_features or {})
        self.hidden_layers = _choose(hidden_layers, self.backbone.num_layers)
        self.backbone.keep_layers(self.hidden_layers[-1])
        self.pool, self.time_mask, self.time_masks = pool, time_mask, time_masks
        self._choose_trained(trained_layers, train_cnn, time_mask > 0)
        if lora_rank:
            if trained_layers:
                raise ValueError("lora_rank and trained_layers exclude each other: leave one at 0")
            add_lora(self.backbone, lora_rank, lora_alpha, lora_targets or ())
        self.frozen = not any(parameter.requires_grad for parameter in self.backbone.parameters())
        if gradient_checkpointing and not self.frozen:
            self.backbone.model.gradient_checkpointing_enable()
        self.head = PrecomputedEncoder(
            num_layers=len(self.hidden_layers),
            input_size=self.backbone.dim,
            frame_rate=self.backbone.frame_rate / pool,
            output_size=output_size,
            dropout=dropout,
            layers=layers,
            normalise=normalise,
        )
        self.frame_rate = self.head.frame_rate

    def _choose_trained(self, trained_layers: int, train_cnn: bool, masks: bool) -> None:
        """Freeze what the options do not name."""
        layers, model = self.backbone.layers, self.backbone.model
        if trained_layers > len(layers):
            raise ValueError(f"trained_layers is {trained_layers} but {len(layers)} layers are used")
        if train_cnn and trained_layers >= 0:
            raise ValueError("train_cnn needs trained_layers: -1")
        if trained_layers < 0:
            if not train_cnn:
                self.backbone.freeze_cnn()
            if not masks and isinstance(getattr(model, "masked_spec_embed", None), nn.Parameter):
                model.masked_spec_embed.requires_grad_(False)  # not used: DDP wants gradients of all that is trained
            return
        self.backbone.requires_grad_(False)
        self.backbone.freeze_cnn()
        for layer in layers[len(layers) - trained_layers :]:
            layer.requires_grad_(True)

    def architecture(self) -> dict[str, Any]:
        """Constructor arguments that stand for the pretrained folder."""
        return self.backbone.architecture()

    def output_size(self) -> int:
        """D."""
        return self.head.output_size()

    def train(self, mode: bool = True) -> "HuggingFaceSpeechEncoder":
        """A frozen model stays in evaluation mode, without dropout."""
        super().train(mode)
        if self.frozen:
            self.backbone.eval()
        return self

    def forward(self, xs_pad: Tensor, ilens: Tensor, prev_states: Tensor | None = None) -> tuple[Tensor, Tensor, None]:
        """16 kHz samples (B, S), (B,) -> (B, M, D), frames (B,), None; padded frames come out as zeros."""
        spans = None
        if self.training and self.time_mask > 0:
            size = torch.rand(len(ilens), self.time_masks, device=ilens.device) * self.time_mask
            start = torch.rand_like(size) * (1 - size)
            spans = torch.stack([start, start + size], dim=-1)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            states, frames = self.backbone(xs_pad, ilens, spans)
            states = [average_frames(states[number], frames, self.pool) for number in self.hidden_layers]
            frames = torch.div(frames + self.pool - 1, self.pool, rounding_mode="floor")
            x = torch.cat(states, dim=-1)
        return self.head(x, frames)


def _choose(layers: str | int | list[int], available: int) -> list[int]:
    """Numbers of the hidden states to use, ascending."""
    if layers in ("all", "last"):
        return list(range(available)) if layers == "all" else [available - 1]
    try:
        return sorted({range(available)[int(number)] for number in ([layers] if isinstance(layers, int) else layers)})
    except (ValueError, IndexError, TypeError):
        raise ValueError(
            f"hidden_layers must be all, last or numbers from 0 to {available - 1}, not {layers!r}"
        ) from None
