"""Pretrained speech models on padded batches: every recording gets the hidden states that it has alone.

Stage 1 and the trainable encoder both use these classes, so their numbers are the same. Hugging Face's own forward
functions let padding in at several places; what is done about each:

- Models whose first convolution is followed by a group norm over time (``feat_extract_norm: group``: the base sizes of
  wav2vec 2.0, HuBERT and WavLM) were trained without an attention mask, and the documentation tells to pad them with
  zeros and to give none: statistics and attention then depend on the padding. Here the norm counts valid frames only
  and attention is masked, which equals the unpadded recording exactly.
- The positional convolutions of data2vec follow each other: what one writes behind the end is cleared for the next.
- Whisper is given 30 s windows. Here the positions behind the recording are left away (see :class:`WhisperBackbone`).
"""

import math
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import (
    AutoModel,
    PretrainedConfig,
    Wav2Vec2FeatureExtractor,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperModel,
)
from transformers.masking_utils import create_bidirectional_mask
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from m4ser.data import log_mel
from m4ser.data.audio import RATE
from m4ser.models.representations import length_mask
from m4ser.pretrained import resolve
from m4ser.pretrained.checks import reason
from m4ser.pretrained.load import (
    SPEECH_TYPES,
    build_model,
    load_config,
    load_extractor,
    load_model,
    plain_attention,
    rebuild_config,
)
from m4ser.utils.errors import UserError
from m4ser.utils.plain import refuse_code

KIND = "speech encoder"
WHISPER_ENCODER = {r"^(model\.)?encoder\.": ""}  # names of its weights in a whole model -> in the encoder
# Most of what a feature extractor may be given; others are refused before tables of such sizes are made.
MOST_FEATURES = {**log_mel.MOST, "chunk_length": 600, "n_samples": 1 << 27, "nb_max_frames": 1 << 20}


class Backbone(nn.Module, ABC):
    """Hidden states of a pretrained speech model.

    Attributes:
        num_layers: number of hidden states: the input of the first Transformer layer, then the output of each; the
            last one after the model's final layer norm where it has one.
        dim: size of a hidden state.
        samples_per_frame: 16 kHz samples from one frame to the next.
        longest: longer recordings are cut into pieces of about equal length, at most this many samples each.
        model: the pretrained model itself, of which each family has a class of its own.
        hf_config, hf_features: what rebuilds it and its feature extractor.
    """

    model: Any
    hf_config: dict[str, Any]
    hf_features: dict[str, Any]
    num_layers: int
    dim: int
    samples_per_frame: int
    longest: int = 30 * RATE

    @property
    @abstractmethod
    def layers(self) -> nn.ModuleList:
        """The Transformer layers."""

    @property
    def frame_rate(self) -> float:
        """Frames per second."""
        return RATE / self.samples_per_frame

    def architecture(self) -> dict[str, Any]:
        """What rebuilds the model without its folder: ``hf_config`` and ``hf_features``, as plain values."""
        return {"hf_config": self.hf_config, "hf_features": self.hf_features}

    def forward(self, samples: Tensor, lengths: Tensor, time_mask: Tensor | None = None) -> tuple[list[Tensor], Tensor]:
        """Padded 16 kHz recordings -> their hidden states, undefined in padded frames.

        Shape: (B, S), (B,) -> num_layers of (B, M, D), frames (B,)

        ``time_mask`` (B, spans, 2) hides frames: in each span from the first to before the second number, both given
        as shares of the recording's length.
        """
        cuts = [self.cuts(length) for length in lengths.tolist()]
        if not any(cuts):
            return self.states(samples, lengths, time_mask)
        pieces: list[Tensor] = []
        row_of: list[int] = []
        for row, (places, length) in enumerate(zip(cuts, lengths.tolist(), strict=True)):
            pieces += torch.tensor_split(samples[row, :length], places)
            row_of += [row] * (len(places) + 1)
        sizes = torch.tensor([len(piece) for piece in pieces], device=samples.device)
        if time_mask is not None:
            time_mask = time_mask[row_of]
        states, frames = self.states(nn.utils.rnn.pad_sequence(pieces, batch_first=True), sizes, time_mask)
        valid = length_mask(frames, states[0].shape[1])
        row_index = torch.tensor(row_of, device=samples.device)
        total = torch.zeros_like(lengths).index_add_(0, row_index, frames)
        joined = [torch.split(state[valid], total.tolist()) for state in states]
        return [nn.utils.rnn.pad_sequence(list(rows), batch_first=True) for rows in joined], total

    def cuts(self, samples: int) -> list[int]:
        """Where to cut a long recording: between frames."""
        frames, pieces = math.ceil(samples / self.samples_per_frame), math.ceil(samples / self.longest)
        return [frames * piece // pieces * self.samples_per_frame for piece in range(1, pieces)]

    @abstractmethod
    def states(self, samples: Tensor, lengths: Tensor, time_mask: Tensor | None) -> tuple[list[Tensor], Tensor]:
        """As :meth:`forward`, for recordings of at most ``longest`` samples."""

    @abstractmethod
    def keep_layers(self, highest: int) -> None:
        """Drop the Transformer layers above hidden state ``highest``, and the final norm that is then not reached."""

    @abstractmethod
    def freeze_cnn(self) -> None:
        """Leave the convolutions below the Transformer as they are."""


class WhisperBackbone(Backbone):
    """Encoder of a Whisper model, on recordings that are not padded to 30 s.

    Positions beyond the recording are left away, which makes short recordings many times faster. On RAVDESS with
    Whisper tiny.en the hidden states keep a cosine similarity to the padded ones of 0.997 (first layer) to 0.95 (last).
    A recording is filled up with zeros to whole frames: ceil(samples / 320) frames, 50 a second.
    """

    mel_filters: Tensor
    window: Tensor

    def __init__(self, encoder: WhisperEncoder, extractor: WhisperFeatureExtractor) -> None:
        super().__init__()
        self.hf_config = plain_config(encoder.config)
        self.hf_features = {k: v for k, v in extractor.to_dict().items() if k != "mel_filters"}
        encoder.layerdrop = 0.0  # it would change the number of hidden states
        self.model, config = encoder, encoder.config
        self.num_layers, self.dim = config.encoder_layers + 1, config.d_model
        self.hop, self.window_size = extractor.hop_length, extractor.n_fft
        self.samples_per_frame = self.hop * encoder.conv2.stride[0]
        self.longest = config.max_source_positions * self.samples_per_frame
        self.final_norm = True
        filters = torch.as_tensor(extractor.mel_filters, dtype=torch.float32)  # (n_fft / 2 + 1, mels)
        self.register_buffer("mel_filters", filters.T.contiguous(), persistent=False)
        self.register_buffer("window", torch.hann_window(self.window_size), persistent=False)

    @property
    def layers(self) -> nn.ModuleList:
        return self.model.layers

    def keep_layers(self, highest: int) -> None:
        if highest < len(self.model.layers):
            self.model.layers = self.model.layers[:highest]
            self.model.layer_norm = nn.Identity()
            self.num_layers, self.final_norm = highest + 1, False

    def freeze_cnn(self) -> None:
        for part in (self.model.conv1, self.model.conv2):
            part.requires_grad_(False)

    def log_mel(self, samples: Tensor, lengths: Tensor) -> Tensor:
        """Log-mel features as Whisper's feature extractor computes them for each recording alone.

        Shape: (B, S), (B,) multiples of the hop -> (B, mels, max(lengths) / hop), zeros in padding
        """
        # Reflect both ends of every recording, its own end instead of the batch's.
        half = self.window_size // 2
        position = torch.arange(-half, int(lengths.max()) + half, device=samples.device).abs()[None, :]
        position = torch.where(position < lengths[:, None], position, 2 * (lengths[:, None] - 1) - position).clamp(
            min=0
        )
        with torch.autocast(samples.device.type, enabled=False):
            reflected = torch.gather(samples.float(), 1, position)
            spectrum = torch.stft(
                reflected, self.window_size, self.hop, window=self.window, center=False, return_complex=True
            )
            power = (spectrum[..., :-1].abs() ** 2).contiguous()
            mel = torch.clamp(self.mel_filters @ power, min=1e-10).log10()
            valid = length_mask(lengths // self.hop, mel.shape[-1])[:, None]
            loudest = mel.masked_fill(~valid, -torch.inf).amax((1, 2), keepdim=True)
            return ((torch.maximum(mel, loudest - 8.0) + 4.0) / 4.0).masked_fill(~valid, 0.0)

    def states(self, samples: Tensor, lengths: Tensor, time_mask: Tensor | None) -> tuple[list[Tensor], Tensor]:
        frames = ((lengths - 1).div(self.samples_per_frame, rounding_mode="floor") + 1).clamp(min=1)
        filled = frames * self.samples_per_frame
        longest = int(filled.max())
        samples = nn.functional.pad(samples, (0, max(0, longest - samples.shape[1])))[:, :longest]
        samples = samples.masked_fill(~length_mask(lengths, samples.shape[1]), 0.0)
        mel = self.log_mel(samples, filled)
        if time_mask is not None:
            mel = mel.masked_fill(hidden_frames(time_mask, filled // self.hop, mel.shape[-1])[:, None], 0.0)
        padded = bool((frames != frames[0]).any())
        return self.states_of_mel(mel, filled // self.hop, padded), frames

    def states_of_mel(self, mel: Tensor, lengths: Tensor, padded: bool = True) -> list[Tensor]:
        """Hidden states of log-mel features, zeros in padding; ``padded`` says whether there is any.

        Shape: (B, mels, T), (B,) -> num_layers of (B, ceil(T / 2), D)
        """
        hidden = nn.functional.gelu(self.model.conv1(mel))
        if padded:  # the second convolution must see the zeros that it pads a single recording with
            hidden = hidden * length_mask(lengths, hidden.shape[-1])[:, None]
        hidden = nn.functional.gelu(self.model.conv2(hidden)).transpose(1, 2)
        hidden = hidden + self.model.embed_positions.weight[: hidden.shape[1]]
        hidden = nn.functional.dropout(hidden, self.model.dropout, self.training)
        mask = None
        if padded:
            valid = length_mask((lengths + 1) // 2, hidden.shape[1])
            mask = create_bidirectional_mask(self.model.config, inputs_embeds=hidden, attention_mask=valid)
        states = [hidden]
        for layer in self.model.layers:
            states.append(layer(states[-1], mask))
        if self.final_norm:
            states[-1] = self.model.layer_norm(states[-1])
        return states


class WaveformBackbone(Backbone):
    """HuBERT, wav2vec 2.0, WavLM, data2vec and their relatives: convolutions on the waveform, then a Transformer."""

    def __init__(self, model: Any, extractor: Wav2Vec2FeatureExtractor) -> None:
        super().__init__()
        self.hf_config, self.hf_features = plain_config(model.config), extractor.to_dict()
        self.model, config = model, model.config
        self.standardise = extractor.do_normalize
        self.num_layers, self.dim = config.num_hidden_layers + 1, config.hidden_size
        self.samples_per_frame = math.prod(config.conv_stride)
        self.shortest = 1  # samples that the convolutions need for one frame
        for kernel, stride in zip(reversed(config.conv_kernel), reversed(config.conv_stride), strict=True):
            self.shortest = (self.shortest - 1) * stride + kernel
        # Dropping layers would change the number of hidden states; frames are hidden by `time_mask` alone.
        config.layerdrop = config.mask_time_prob = config.mask_feature_prob = 0.0
        config.apply_spec_augment = True
        if not hasattr(model, "masked_spec_embed"):
            model.register_buffer("masked_spec_embed", torch.zeros(self.dim), persistent=False)
        self.norm = _ignore_padding_in_group_norm(model)
        self._frame_mask: Tensor | None = None
        for layer in getattr(model.encoder.pos_conv_embed, "layers", ()):  # data2vec
            layer.register_forward_hook(self._clear_padding)

    @property
    def layers(self) -> nn.ModuleList:
        return self.model.encoder.layers

    def keep_layers(self, highest: int) -> None:
        if highest < len(self.layers):
            self.model.encoder.layers = self.layers[:highest]
            self.num_layers = highest + 1
            if getattr(self.model.config, "do_stable_layer_norm", False):
                self.model.encoder.layer_norm = nn.Identity()  # stands behind the last layer

    def freeze_cnn(self) -> None:
        self.model.feature_extractor._freeze_parameters()

    def _clear_padding(self, layer: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
        return output if self._frame_mask is None else output * self._frame_mask[:, None]

    def states(self, samples: Tensor, lengths: Tensor, time_mask: Tensor | None) -> tuple[list[Tensor], Tensor]:
        samples = samples.masked_fill(~length_mask(lengths, samples.shape[1]), 0.0)
        lengths = lengths.clamp(min=self.shortest)  # zeros are added to shorter ones
        longest = int(lengths.max())
        samples = nn.functional.pad(samples, (0, max(0, longest - samples.shape[1])))[:, :longest]
        valid = length_mask(lengths, longest)
        if self.standardise:  # as Wav2Vec2FeatureExtractor does with a single recording
            mean = samples.sum(1, keepdim=True) / lengths[:, None]
            centred = (samples - mean).masked_fill(~valid, 0.0)
            variance = centred.square().sum(1, keepdim=True) / lengths[:, None]
            samples = centred / torch.sqrt(variance + 1e-7)
        frames = self.model._get_feat_extract_output_lengths(lengths)
        options: dict[str, Any] = {}
        if time_mask is not None:
            options["mask_time_indices"] = hidden_frames(time_mask, frames, int(frames.max()))
        padded = bool((lengths != longest).any())
        if self.norm is not None:
            self.norm.set_lengths(lengths if padded else None, self.model.config)
        self._frame_mask = length_mask(frames, int(frames.max())) if padded else None
        mask = valid.long() if padded else None
        output = self.model(samples, attention_mask=mask, output_hidden_states=True, **options)
        # Models with the norm at the input of each layer have one more behind the last.
        return [*output.hidden_states[:-1], output.last_hidden_state], frames


class _GroupNorm(nn.GroupNorm):
    """Group norm over time with one group per channel, of the valid frames of (B, C, T)."""

    lengths: list[int] | None = None

    def set_lengths(self, samples: Tensor | None, config: PretrainedConfig) -> None:
        """Valid frames behind the first convolution for recordings of so many samples; None: all are valid."""
        self.lengths = None
        if samples is not None:
            self.lengths = ((samples - config.conv_kernel[0]) // config.conv_stride[0] + 1).tolist()

    def forward(self, x: Tensor) -> Tensor:
        if self.lengths is None:
            return super().forward(x)
        x = x.float()
        rows = (
            torch.var_mean(row[:, :length], dim=-1, correction=0) for row, length in zip(x, self.lengths, strict=True)
        )
        variance, mean = (torch.stack(values) for values in zip(*rows, strict=True))
        scale = self.weight * torch.rsqrt(variance + self.eps)  # (B, C)
        return torch.addcmul((self.bias - mean * scale)[..., None], x, scale[..., None])


def _ignore_padding_in_group_norm(model: Any) -> _GroupNorm | None:
    """Replace the group norm of the first convolution, None where the model has none. Its weights keep their names."""
    first = model.feature_extractor.conv_layers[0]
    norm = getattr(first, "layer_norm", None)
    if not isinstance(norm, nn.GroupNorm):
        return None
    replaced = _GroupNorm(norm.num_groups, norm.num_channels, eps=norm.eps)
    replaced.load_state_dict(norm.state_dict())
    first.layer_norm = replaced
    return replaced


def hidden_frames(time_mask: Tensor, frames: Tensor, size: int) -> Tensor:
    """Spans (B, K, 2) given as shares of the length -> (B, size), True in the frames of any span."""
    frame = torch.arange(size, device=frames.device)
    start, stop = (time_mask * frames[:, None, None]).unsqueeze(-2).unbind(-1)  # (B, K, 1)
    return ((frame >= start) & (frame < stop)).any(1)


def plain_config(config: PretrainedConfig) -> dict[str, Any]:
    """What of a configuration differs from its type's defaults, with the type; :func:`.rebuild_config` reads it."""
    return {**config.to_diff_dict(), "model_type": config.model_type}


def load_backbone(name: str, pretrained_dir: str | Path | None = None) -> Backbone:
    """Load a pretrained model by name, local folder or hub id (see :mod:`m4ser.pretrained`).

    Raises:
        UserError: it is not there, incomplete, or of a type that is not a speech encoder.
    """
    folder = resolve(name, pretrained_dir)
    config = load_config(folder, SPEECH_TYPES, KIND)
    _check_adapter(config, folder)
    if config.model_type == "whisper":
        extractor = load_extractor(WhisperFeatureExtractor, folder)
        # Its decoder, three quarters of the smallest models, is left where it is.
        encoder = load_model(WhisperEncoder, config, folder, key_mapping=WHISPER_ENCODER)
        return WhisperBackbone(cast(WhisperEncoder, encoder), extractor)
    extractor = load_extractor(Wav2Vec2FeatureExtractor, folder)
    return WaveformBackbone(load_model(AutoModel, config, folder), extractor)


def backbone_from_architecture(hf_config: dict[str, Any], hf_features: dict[str, Any]) -> Backbone:
    """Build a model with random weights from :meth:`Backbone.architecture`; nothing is read or downloaded.

    Raises:
        UserError: the values do not make a speech encoder.
    """
    config = rebuild_config(hf_config, SPEECH_TYPES, KIND)
    _check_adapter(config, "hf_config")
    try:
        if config.model_type == "whisper":
            config._attn_implementation = plain_attention(WhisperModel, config)
            encoder = WhisperEncoder(cast(WhisperConfig, config))
            return WhisperBackbone(encoder, _extractor(WhisperFeatureExtractor, hf_features))
        extractor = _extractor(Wav2Vec2FeatureExtractor, hf_features)
        return WaveformBackbone(build_model(AutoModel, config), extractor)
    except UserError:
        raise
    except Exception as error:  # sizes that do not fit each other, each in a way of its own
        raise UserError(f"hf_config: is no configuration of {config.model_type} ({reason(error)})") from None


def _extractor(extractor_class: Any, fields: dict[str, Any]) -> Any:
    """A feature extractor from :attr:`Backbone.hf_features`."""
    refuse_code(fields, "hf_features")
    for name, most in MOST_FEATURES.items():
        value = fields.get(name, 1)
        if type(value) is not int or not 0 < value <= most:
            raise UserError(f"hf_features: {name}: must be a whole number from 1 to {most}, not {str(value)[:40]}")
    try:
        return extractor_class(**fields)
    except Exception as error:  # a value of a wrong type is met where it is first used
        raise UserError(f"hf_features: is no description of a feature extractor ({reason(error)})") from None


def _check_adapter(config: PretrainedConfig, where: str) -> None:
    if getattr(config, "add_adapter", False):
        raise UserError(
            f"{where}: has an adapter behind the encoder (add_adapter), which changes the frame rate; "
            "set add_adapter to false in its config.json"
        )
