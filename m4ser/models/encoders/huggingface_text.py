"""Hugging Face text encoders (BERT, MiniLM, RoBERTa, DeBERTa, ...) as text encoders."""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModel, PretrainedConfig

from m4ser.models.attention import short_attention
from m4ser.models.encoders.backbones import plain_config
from m4ser.models.encoders.base import TextEncoder
from m4ser.models.encoders.lora import add_lora
from m4ser.models.representations import length_mask
from m4ser.pretrained import resolve
from m4ser.pretrained.load import TEXT_TYPES, build_model, load_config, load_model, rebuild_config

KIND = "text encoder"


class HuggingFaceTextEncoder(TextEncoder):
    """Contextual states of word pieces: H_T = BERT(TE(T) + PE(T)).

    Args:
        model: ``offline:minilm-l6``, a local folder, or a hub id; read only when ``hf_config`` is not given.
        hf_config: configuration of the architecture. With it the model is built without contacting anything and its
            weights come from a checkpoint; the task stores it in the experiment's configuration.
        trained_layers: how many upper layers are trained, the embeddings and layers below stay as pretrained;
            -1 trains all including the embeddings, 0 none.
        keep_layers: use only the first so many layers; 0 keeps all.
        dropout: replaces the dropout probabilities of the architecture when not negative. With 0, texts that a training
            batch has several times are computed once: acted corpora have few sentences.
        lora_rank: train low-rank terms on frozen weights (:mod:`m4ser.models.encoders.lora`) instead of layers; 0 for
            none.
        lora_alpha: their scale is alpha / rank; 0 for alpha = 2 rank.
        lora_targets: names of the layers that get them; default: queries and values of attention.
        pretrained_dir: where folders named by ``model`` are looked for first.
    """

    def __init__(
        self,
        model: str = "offline:minilm-l6",
        hf_config: dict[str, Any] | None = None,
        trained_layers: int = 2,
        keep_layers: int = 0,
        dropout: float = -1.0,
        lora_rank: int = 0,
        lora_alpha: float = 0.0,
        lora_targets: list[str] | None = None,
        pretrained_dir: str | None = None,
    ):
        super().__init__()
        self.repeatable = dropout == 0
        folder = resolve(model, pretrained_dir) if hf_config is None else ""
        if hf_config is None:
            config = load_config(folder, TEXT_TYPES, KIND)
        else:
            config = rebuild_config(hf_config, TEXT_TYPES, KIND)
        change: dict[str, int | float] = {"num_hidden_layers": keep_layers} if keep_layers else {}
        if dropout >= 0:
            change |= dict.fromkeys(_dropouts(config), dropout)
        self.model: Any  # each architecture has a class of its own
        if hf_config is None:
            self.model = load_model(AutoModel, config, folder, **change)
        else:
            self.model = build_model(AutoModel, rebuild_config({**hf_config, **change}, TEXT_TYPES, KIND))
        if hasattr(self.model, "pooler"):
            self.model.pooler = None  # a sentence-level layer that a sequence of states does not need
        if self.model.config.is_encoder_decoder:
            raise ValueError(f"{self.model.config.model_type} is no encoder: use BERT, RoBERTa, DeBERTa or the like")
        self.hf_config = plain_config(self.model.config)
        if lora_rank:
            add_lora(self.model, lora_rank, lora_alpha, lora_targets or ())
        else:
            self._freeze_below(trained_layers)

    def _freeze_below(self, trained_layers: int) -> None:
        if trained_layers < 0:
            return
        count = self.model.config.num_hidden_layers
        if trained_layers > count:
            raise ValueError(f"trained_layers is {trained_layers} but the text encoder has {count} layers")
        layers = next((m for m in self.model.modules() if isinstance(m, nn.ModuleList) and len(m) == count), None)
        if layers is None:
            raise ValueError(
                f"{self.model.config.model_type} shares its layers: set trained_layers to -1, or lora_rank"
            )
        self.model.requires_grad_(False)
        for layer in layers[count - trained_layers :]:
            layer.requires_grad_(True)

    def architecture(self) -> dict[str, Any]:
        """Constructor arguments that stand for the pretrained folder."""
        return {"hf_config": self.hf_config}

    def output_size(self) -> int:
        """D."""
        return self.model.config.hidden_size

    def forward(self, xs_pad: Tensor, ilens: Tensor, prev_states: Tensor | None = None) -> tuple[Tensor, Tensor, None]:
        """Piece ids (B, N), lengths (B,) -> (B, N, D), (B,), None; padded positions come out as zeros."""
        if not (self.repeatable and self.training):  # how much an exported graph computes must not depend on its input
            return self._states(xs_pad, ilens), ilens, None
        rows, row_of = torch.unique(torch.cat([xs_pad, ilens.unsqueeze(1)], 1), dim=0, return_inverse=True)
        return self._states(rows[:, :-1], rows[:, -1])[row_of], ilens, None

    def _states(self, ids: Tensor, lengths: Tensor) -> Tensor:
        mask = length_mask(lengths, ids.shape[1])
        with short_attention(ids):
            states = self.model(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        return states.masked_fill(~mask.unsqueeze(-1), 0.0)

    def embed(self, ids: Tensor) -> Tensor:
        """Embedding layer (word + position + type) of piece ids (B, T): (B, T, D). Shared with error correction."""
        embeddings = getattr(self.model, "embeddings", None) or self.model.get_input_embeddings()
        return embeddings(ids)

    @property
    def word_embeddings(self) -> Tensor:
        """The piece embedding matrix (V, D)."""
        return self.model.get_input_embeddings().weight


def _dropouts(config: PretrainedConfig) -> list[str]:
    """Names that an architecture gives to the dropout probabilities of its layers."""
    names = ("hidden_dropout_prob", "attention_probs_dropout_prob", "dropout", "attention_dropout")
    present = [name for name in (*names, "embedding_dropout", "mlp_dropout") if hasattr(config, name)]
    if not present:
        raise ValueError(f"dropout: {config.model_type} has none that is known here; leave it away")
    return present
