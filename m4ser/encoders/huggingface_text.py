"""Hugging Face text encoders (BERT, MiniLM, RoBERTa, ...) behind ESPnet's ``AbsEncoder``."""

from typing import Any

from espnet2.asr.encoder.abs_encoder import AbsEncoder
from torch import Tensor
from transformers import AutoConfig, AutoModel

from m4ser.pretrained import resolve
from m4ser.representations import length_mask


class HuggingFaceTextEncoder(AbsEncoder):
    """Contextual states of word pieces: H_T = BERT(TE(T) + PE(T)).

    Args:
        model: ``offline:minilm-l6``, a local folder, or a hub id; read only when ``hf_config`` is not given.
        hf_config: configuration of the architecture. With it the model is built without contacting anything and its
            weights come from a checkpoint; the task stores it in the experiment's configuration.
        trained_layers: how many upper layers are trained, the embeddings and layers below stay as pretrained;
            -1 trains all including the embeddings, 0 none.
        keep_layers: use only the first so many layers; 0 keeps all.
        dropout: replaces the dropout probabilities of the architecture when not negative.
        pretrained_dir: where folders named by ``model`` are looked for first.
    """

    def __init__(
        self,
        model: str = "offline:minilm-l6",
        hf_config: dict[str, Any] | None = None,
        trained_layers: int = 2,
        keep_layers: int = 0,
        dropout: float = -1.0,
        pretrained_dir: str | None = None,
    ):
        super().__init__()
        change = {"num_hidden_layers": keep_layers} if keep_layers else {}
        if dropout >= 0:
            change |= {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
        if hf_config is None:
            self.model = AutoModel.from_pretrained(resolve(model, pretrained_dir), **change)
        else:
            fields = {**hf_config, **change}
            self.model = AutoModel.from_config(AutoConfig.for_model(fields.pop("model_type"), **fields))
        if hasattr(self.model, "pooler"):
            self.model.pooler = None  # a sentence-level layer that a sequence of states does not need
        self.hf_config = self.model.config.to_diff_dict()
        self.hf_config["model_type"] = self.model.config.model_type
        self._freeze_below(trained_layers)

    def _freeze_below(self, trained_layers: int) -> None:
        if trained_layers < 0:
            return
        layers = self.model.encoder.layer
        frozen = len(layers) - trained_layers
        if frozen < 0:
            raise ValueError(f"trained_layers is {trained_layers} but the text encoder has {len(layers)} layers")
        self.model.embeddings.requires_grad_(False)
        for layer in layers[:frozen]:
            layer.requires_grad_(False)

    def output_size(self) -> int:
        """D."""
        return self.model.config.hidden_size

    def forward(self, xs_pad: Tensor, ilens: Tensor, prev_states: Tensor | None = None):
        """Piece ids (B, N), lengths (B,) -> (B, N, D), (B,), None; padded positions come out as zeros."""
        mask = length_mask(ilens, xs_pad.shape[1])
        states = self.model(input_ids=xs_pad, attention_mask=mask.long()).last_hidden_state
        return states.masked_fill(~mask.unsqueeze(-1), 0.0), ilens, None

    def embed(self, ids: Tensor) -> Tensor:
        """Embedding layer (word + position + type) of piece ids (B, T): (B, T, D). Shared with error correction."""
        return self.model.embeddings(input_ids=ids)

    @property
    def word_embeddings(self) -> Tensor:
        """The piece embedding matrix (V, D)."""
        return self.model.get_input_embeddings().weight
