"""Recognisers of transformers: Whisper of any size and CTC models (wav2vec 2.0, HuBERT, WavLM, ...), by PyTorch.

Decoding is deterministic: greedy or beam search for Whisper (prompt without time stamps, no text carried over), the
best label of each frame for CTC. The windows of Whisper are those of the backend faster_whisper, its greedy
transcripts too where both calculate in float32. CTC models get windows of equal length, 30 s at most, not padded.

Whisper's confidence is exp(mean log probability of the tokens), that of CTC exp(mean log probability of the best
label over all frames, blanks too), which is higher: compare within one kind of model only.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from torch import Tensor, nn
from transformers import (
    AutoModelForCTC,
    GenerationMixin,
    PretrainedConfig,
    Wav2Vec2FeatureExtractor,
    WhisperFeatureExtractor,
)
from transformers import WhisperForConditionalGeneration as WhisperModel
from transformers.modeling_outputs import BaseModelOutput
from transformers.models.whisper.tokenization_whisper import LANGUAGES

from m4ser.asr.backends.windows import (
    LONGEST,
    Heard,
    WindowedBackend,
    check_whisper_settings,
    is_silent,
    whisper_windows,
)
from m4ser.data.audio import RATE
from m4ser.pretrained import resolve
from m4ser.pretrained.checks import reason
from m4ser.pretrained.load import (
    CTC_TYPES,
    UnusableModelError,
    load_config,
    load_extractor,
    load_tokenizer,
    load_weights,
)
from m4ser.utils.errors import UserError

DTYPES = ("float32", "float16", "bfloat16")
MULTILINGUAL_VOCABULARY = 51865  # tokens of the smallest multilingual Whisper; English-only ones have one less


class HuggingFace(WindowedBackend):
    """A Whisper or CTC model in a Hugging Face folder.

    Args:
        model: folder, offline:NAME, or hub id such as openai/whisper-small.en or facebook/hubert-large-ls960-ft.
        pretrained_dir: where local copies of models are looked for first.
        device: cpu or cuda.
        dtype: float32, float16 or bfloat16.
        beam_size: hypotheses kept in Whisper's search; 1 is greedy.
        language: language code for Whisper, or auto to detect it for each window; English-only models take en alone.
        window: seconds that Whisper's audio is padded to, 1 to 30; 0 for the rule of m4ser.asr.backends.windows.
        batch_size: windows of equal length decoded together.
    """

    def __init__(
        self,
        model: str = "offline:whisper-tiny.en",
        pretrained_dir: str | Path | None = None,
        device: str = "cpu",
        dtype: str = "float32",
        beam_size: int = 1,
        language: str = "en",
        window: int = 0,
        batch_size: int = 1,
    ) -> None:
        check_whisper_settings(window, beam_size=beam_size, batch_size=batch_size)
        if dtype not in DTYPES:
            raise UserError(f"--asr-conf dtype={dtype}: must be one of {', '.join(DTYPES)}")
        if device.startswith("cuda") and not torch.cuda.is_available():
            raise UserError(f"--asr-conf device={device}: PyTorch finds no GPU; use device=cpu")
        self.batch_size = batch_size
        folder = resolve(model, pretrained_dir)
        transformers.utils.logging.disable_progress_bar()
        try:
            config = load_config(folder, ("whisper", *CTC_TYPES), "recogniser")
            if config.model_type == "whisper":
                self.model: Whisper | Ctc = Whisper(folder, config, device, dtype, beam_size, language, window)
            else:
                if (beam_size, language, window) != (1, "en", 0):
                    raise UserError(f"{folder}: is a CTC model; beam_size, language and window are for Whisper")
                self.model = Ctc(folder, config, device, dtype)
        except UnusableModelError as error:
            raise _unusable(folder, error.reason) from None
        except UserError:
            raise
        except Exception as error:  # values of the wrong type are met wherever they are first used
            raise _unusable(folder, reason(error)) from error

    def windows(self, samples: np.ndarray) -> list[np.ndarray]:
        """Cut (samples,) as the model wants it."""
        return self.model.windows(samples)

    def decode_windows(self, audio: Sequence[np.ndarray]) -> list[Heard]:
        """Text, its log probability and number of tokens or frames of windows of equal length."""
        with torch.inference_mode():
            return list(self.model.decode(audio))


class Whisper:
    """Whisper, with windows shorter than 30 s if wanted: positions beyond the window are left away."""

    def __init__(
        self,
        folder: str,
        config: PretrainedConfig,
        device: str,
        dtype: str,
        beam_size: int,
        language: str,
        window: int,
    ) -> None:
        self.model = _load(WhisperModel, folder, config, device, dtype)
        self.extractor = load_extractor(WhisperFeatureExtractor, folder)
        self.tokenizer = load_tokenizer(folder)
        self.beam_size, self.window = beam_size, window
        self.model.generation_config.forced_decoder_ids = None  # the language is in our prompt
        multilingual = self.model.config.vocab_size >= MULTILINGUAL_VOCABULARY
        if not multilingual and language != "en":
            raise UserError(f"{folder}: knows English only, not language={language}; choose a multilingual model")
        vocabulary = self.tokenizer.get_vocab()

        def tokens(*names: str) -> list[int]:
            return [vocabulary[f"<|{name}|>"] for name in names if f"<|{name}|>" in vocabulary]

        self.end = self.tokenizer.eos_token_id
        self.no_speech = tokens("nospeech", "nocaptions")  # the name depends on the version
        self.start, self.options = tokens("startoftranscript"), tokens("notimestamps")
        self.languages: list[int] = []  # the language token is one of these
        if multilingual:
            self.languages = tokens(*(LANGUAGES if language == "auto" else [language]))
            self.options = tokens("transcribe", "notimestamps")
            if not self.languages:
                raise UserError(f"{folder}: knows no language={language}; give a code such as en, de, zh")
        encoder = self.model.get_encoder()
        self.positions = encoder.embed_positions.weight

    def windows(self, samples: np.ndarray) -> list[np.ndarray]:
        return whisper_windows(samples, self.window)

    def decode(self, audio: Sequence[np.ndarray]) -> Iterator[Heard]:
        features = self.extractor(
            list(audio), sampling_rate=RATE, padding="do_not_pad", return_tensors="pt"
        ).input_features.to(self.positions)
        encoder = self.model.get_encoder()
        frames = features.shape[-1] // encoder.conv2.stride[0]
        encoder.config.max_source_positions = frames  # the encoder compares it with what it gets
        encoder.embed_positions = nn.Embedding.from_pretrained(self.positions[:frames])
        encoded = encoder(features)
        chances = self._first_step(encoded, len(audio))
        silence = chances[:, self.no_speech].sum(dim=-1).tolist()
        prompt = torch.tensor([self._prompt(row) for row in chances], device=features.device)
        result: Any = (
            GenerationMixin.generate(  # not Whisper's own: it pads to 30 s, samples when unsure, cuts at silence
                self.model,
                encoder_outputs=encoded,
                decoder_input_ids=prompt,
                attention_mask=torch.ones(len(audio), frames, device=features.device),  # only to have no warning
                max_length=self.model.config.max_target_positions,
                num_beams=self.beam_size,
                do_sample=False,
                length_penalty=1.0,
                output_scores=True,
                return_dict_in_generate=True,
            )
        )
        logprobs = self.model.compute_transition_scores(
            result.sequences, result.scores, result.get("beam_indices"), normalize_logits=self.beam_size == 1
        )
        for tokens, scores, no_speech in zip(result.sequences.tolist(), logprobs.tolist(), silence, strict=True):
            tokens = tokens[prompt.shape[1] :]
            count = tokens.index(self.end) + 1 if self.end in tokens else len(tokens)
            logprob = math.fsum(scores[:count])
            silent = is_silent(no_speech, logprob, count)
            text = "" if silent else str(self.tokenizer.decode(tokens, skip_special_tokens=True))
            yield Heard(text, logprob, count)

    def _first_step(self, encoded: BaseModelOutput, batch: int) -> Tensor:
        """Probabilities of the token after the start, which say what the language is and whether anybody speaks."""
        start = torch.tensor([self.start] * batch, device=self.positions.device)
        return self.model(encoder_outputs=encoded, decoder_input_ids=start).logits[:, 0].float().softmax(dim=-1)

    def _prompt(self, chances: Tensor) -> list[int]:
        language = [max(self.languages, key=chances.__getitem__)] if self.languages else []
        return [*self.start, *language, *self.options]


class Ctc:
    """A model with a label for each frame."""

    def __init__(self, folder: str, config: PretrainedConfig, device: str, dtype: str) -> None:
        self.model = _load(AutoModelForCTC, folder, config, device, dtype)
        self.extractor = load_extractor(Wav2Vec2FeatureExtractor, folder)
        # Not AutoProcessor: one that has a language model, too, wants more packages.
        self.tokenizer = load_tokenizer(folder)
        self.shortest = 1  # samples that the convolutions need for one frame
        for kernel, stride in zip(reversed(config.conv_kernel), reversed(config.conv_stride), strict=True):
            self.shortest = (self.shortest - 1) * stride + kernel

    def windows(self, samples: np.ndarray) -> list[np.ndarray]:
        pieces = np.array_split(samples, max(1, math.ceil(len(samples) / (LONGEST * RATE))))
        return [np.pad(piece, (0, max(0, self.shortest - len(piece)))) for piece in pieces]

    def decode(self, audio: Sequence[np.ndarray]) -> Iterator[Heard]:
        parameter = next(self.model.parameters())
        values = self.extractor(list(audio), sampling_rate=RATE, return_tensors="pt").input_values.to(parameter)
        # No mask: all windows are of one length.
        best = self.model(values).logits.float().log_softmax(dim=-1).max(dim=-1)
        for labels, logprobs in zip(best.indices.tolist(), best.values.sum(dim=-1).tolist(), strict=True):
            yield Heard(str(self.tokenizer.decode(labels, skip_special_tokens=True)), logprobs, len(labels))


def _unusable(folder: str, reason: str) -> UserError:
    return UserError(
        f"{folder}: cannot be used as a recogniser ({reason}); it needs config, weights, tokenizer and "
        "preprocessor_config.json of a Whisper or CTC model"
    )


def _load(model_class: Any, folder: str, config: PretrainedConfig, device: str, dtype: str) -> Any:
    """Load a model that is whole: transformers would make up missing weights, e.g. the labels of a mere encoder.

    Neither its automatic classes nor what `generate` does with a model have types that say what is used here.
    """
    model, lacking = load_weights(model_class, config, folder, getattr(torch, dtype))
    if lacking:
        raise UserError(f"{folder}: the weights lack {lacking[0]}; choose a model that was trained to recognise speech")
    return model.to(device).eval()
