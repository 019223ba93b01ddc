"""Whisper by faster-whisper and CTranslate2: any size, on CPU (int8) or GPU (float16), without PyTorch.

Each utterance is decoded alone and without chance: beam search at temperature 0 (no sampling when the result looks
bad), no voice activity detection, no time stamps, no text carried over. Audio beyond 30 s is cut into windows of 30 s.

Whisper was trained on windows padded with silence to 30 s, so most of the time on a clip of 3 s goes into silence.
Here a window is as long as its audio and 10 s, rounded up to whole 5 s, 30 s at most (`window=0`). Shorter margins
make the model loop: on 160 RAVDESS clips of 3.7 s the WER was 2.9 % with windows of 30 s, 2.8 % with 20 s, 2.9 % with
15 s, but 8.7 % with 10 s and 42 % with 8 s. A window of 15 s takes about a quarter of the time of one of 30 s.
`window=30` gives Whisper's own.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from faster_whisper import WhisperModel
from faster_whisper.tokenizer import Tokenizer

from m4ser.asr.backends.base import RATE, Backend, Hypothesis
from m4ser.errors import UserError
from m4ser.pretrained import resolve

LONGEST = 30  # seconds, length of Whisper's window
MARGIN, STEP = 10, 5  # seconds, see above
MAX_TOKENS = 448  # length of Whisper's text context
# Whisper's rule for silence: no text if it is this sure that nobody speaks and this unsure of the text.
NO_SPEECH, NO_SPEECH_LOGPROB = 0.6, -1.0


class FasterWhisper(Backend):
    """Whisper in CTranslate2's format.

    Args:
        model: folder, offline:NAME, or hub id such as Systran/faster-whisper-small.en.
        pretrained_dir: where local copies of models are looked for first.
        device: cpu or cuda.
        compute_type: int8, float32, float16, ...; default int8 on the CPU, float16 on a GPU.
        beam_size: hypotheses kept in the search.
        language: language code, or auto to detect it for each window; English-only models take en alone.
        window: seconds that audio is padded to, 1 to 30; 0 for the rule above.
        batch_size: utterances decoded together; pays on a GPU. With int8 the results do not depend on it.
        cpu_threads: threads of one job.
    """

    def __init__(
        self,
        model: str = "offline:whisper-tiny.en-ct2",
        pretrained_dir: str | Path | None = None,
        device: str = "cpu",
        compute_type: str = "",
        beam_size: int = 5,
        language: str = "en",
        window: int = 0,
        batch_size: int = 1,
        cpu_threads: int = 1,
    ) -> None:
        if not 0 <= window <= LONGEST:
            raise UserError(f"--asr-conf window={window}: must be 0 (chosen by length) or 1 to {LONGEST} seconds")
        if min(beam_size, batch_size, cpu_threads) < 1:
            raise UserError("--asr-conf: beam_size, batch_size and cpu_threads must be 1 or more")
        folder = resolve(model, pretrained_dir)
        if not (Path(folder) / "model.bin").is_file():
            raise UserError(
                f"{folder}: is not a Whisper model for CTranslate2 (no model.bin); give one that is, such as "
                "Systran/faster-whisper-small.en, or convert it with ct2-transformers-converter"
            )
        self.batch_size, self.beam_size, self.window, self.language = batch_size, beam_size, window, language
        try:
            self.model = WhisperModel(
                folder,
                device=device,
                compute_type=compute_type or ("int8" if device == "cpu" else "float16"),
                cpu_threads=cpu_threads,
            )
            self.prompts = {language: self._prompt(language)} if language != "auto" else {}
        except (RuntimeError, ValueError) as error:
            reason = str(error).strip().splitlines()[0]
            raise UserError(
                f"{folder}: the model cannot be used ({reason}); choose another one or change it"
            ) from error
        if not self.model.model.is_multilingual and language != "en":
            raise UserError(f"{folder}: knows English only, not language={language}; choose a multilingual model")

    def decode(self, batch: Sequence[np.ndarray], utts: Sequence[str]) -> list[Hypothesis]:
        """Decode the windows of all utterances, windows of one length together."""
        pieces = [(index, piece) for index, samples in enumerate(batch) for piece in windows(samples, self.window)]
        by_length: dict[int, list[int]] = {}
        for number, (_, piece) in enumerate(pieces):
            by_length.setdefault(len(piece), []).append(number)
        found: dict[int, tuple[str, float, int]] = {}
        for numbers in by_length.values():
            for first in range(0, len(numbers), self.batch_size):
                some = numbers[first : first + self.batch_size]
                found.update(zip(some, self._decode_windows([pieces[number][1] for number in some]), strict=True))
        texts: list[list[str]] = [[] for _ in batch]
        logprobs, tokens = [0.0] * len(batch), [0] * len(batch)
        for number, (index, _) in enumerate(pieces):
            text, logprob, count = found[number]
            texts[index].append(text)
            logprobs[index] += logprob
            tokens[index] += count
        return [
            Hypothesis(" ".join(text), math.exp(logprob / max(count, 1)))
            for text, logprob, count in zip(texts, logprobs, tokens, strict=True)
        ]

    def _decode_windows(self, audio: Sequence[np.ndarray]) -> Iterator[tuple[str, float, int]]:
        """Text, its log probability and number of tokens (with the one that ends it) of windows of equal length."""
        features = np.stack([self.model.feature_extractor(samples, padding=0) for samples in audio])
        encoded = self.model.encode(np.ascontiguousarray(features, dtype=np.float32))
        if self.language == "auto":
            languages = [chances[0][0].strip("<|>") for chances in self.model.model.detect_language(encoded)]
        else:
            languages = [self.language] * len(audio)
        for language in languages:
            if language not in self.prompts:
                self.prompts[language] = self._prompt(language)
        results = self.model.model.generate(
            encoded,
            [self.prompts[language][1] for language in languages],
            beam_size=self.beam_size,
            max_length=MAX_TOKENS,
            return_scores=True,
            return_no_speech_prob=True,
        )
        for language, result in zip(languages, results, strict=True):
            tokens = result.sequences_ids[0]
            logprob = result.scores[0] * len(tokens)  # the score is per token
            silent = result.no_speech_prob > NO_SPEECH and logprob / (len(tokens) + 1) < NO_SPEECH_LOGPROB
            text = "" if silent else self.prompts[language][0].decode(tokens).strip()
            yield text, logprob, len(tokens) + 1

    def _prompt(self, language: str) -> tuple[Tokenizer, list[int]]:
        multilingual = self.model.model.is_multilingual
        tokenizer = Tokenizer(self.model.hf_tokenizer, multilingual, task="transcribe", language=language)
        return tokenizer, self.model.get_prompt(tokenizer, [], without_timestamps=True)


def windows(samples: np.ndarray, seconds: int = 0) -> list[np.ndarray]:
    """Cut (samples,) into windows of 30 s and pad each with zeros as the module says, or to `seconds`."""
    pieces = [samples[start : start + LONGEST * RATE] for start in range(0, max(len(samples), 1), LONGEST * RATE)]
    padded = []
    for piece in pieces:
        if seconds:
            length = max(len(piece), seconds * RATE)
        else:
            length = STEP * RATE * math.ceil((len(piece) / RATE + MARGIN) / STEP)
        length = min(length, LONGEST * RATE)
        length += -length % 320  # two feature frames of 10 ms make one frame of the encoder
        padded.append(np.pad(piece.astype(np.float32, copy=False), (0, length - len(piece))))
    return padded
