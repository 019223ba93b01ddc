"""Whisper by faster-whisper and CTranslate2: any size, on CPU (int8) or GPU (float16), without PyTorch.

Each utterance is decoded alone and deterministically: beam search at temperature 0 (no sampling when the result looks
bad), no time stamps, no text carried over, and no voice activity detection unless it is asked for. Audio beyond 30 s is
cut into windows of 30 s. Windows are shorter than 30 s where the audio is: see m4ser.asr.backends.windows.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from ctranslate2 import Device, StorageView
from faster_whisper import WhisperModel
from faster_whisper.tokenizer import Tokenizer
from faster_whisper.vad import get_speech_timestamps

from m4ser.asr.backends.windows import Heard, WindowedBackend, check_whisper_settings, is_silent, whisper_windows
from m4ser.pretrained import resolve
from m4ser.pretrained.checks import check_files, reason
from m4ser.utils.errors import UserError

MAX_TOKENS = 448  # length of Whisper's text context


class FasterWhisper(WindowedBackend):
    """Whisper in CTranslate2's format.

    Args:
        model: folder, offline:NAME, or hub id such as Systran/faster-whisper-small.en.
        pretrained_dir: where local copies of models are looked for first.
        device: cpu or cuda.
        compute_type: int8, float32, float16, ...; default int8 on the CPU, float16 on a GPU.
        beam_size: hypotheses kept in the search.
        language: language code, or auto to detect it for each window; English-only models take en alone.
        window: seconds that audio is padded to, 1 to 30; 0 for the rule of m4ser.asr.backends.windows.
        batch_size: utterances decoded together; pays on a GPU. With int8 the results do not depend on it.
        vad: leave out what the Silero detector that comes with faster-whisper takes for no speech. It also leaves out
            sobs and whispers, so it is off by default.
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
        vad: bool = False,
        cpu_threads: int = 1,
    ) -> None:
        check_whisper_settings(window, beam_size=beam_size, batch_size=batch_size, cpu_threads=cpu_threads)
        folder = resolve(model, pretrained_dir)
        if not (Path(folder) / "model.bin").is_file():
            raise UserError(
                f"{folder}: is not a Whisper model for CTranslate2 (no model.bin); give one that is, such as "
                "Systran/faster-whisper-small.en, or convert it with ct2-transformers-converter"
            )
        check_files(folder)
        self.batch_size, self.beam_size, self.window, self.language = batch_size, beam_size, window, language
        self.vad = vad
        try:
            self.model = WhisperModel(
                folder,
                device=device,
                compute_type=compute_type or ("int8" if device == "cpu" else "float16"),
                cpu_threads=cpu_threads,
            )
            self.prompts = {language: self._prompt(language)} if language != "auto" else {}
        except Exception as error:  # of CTranslate2, of tokenizers, and of values of the wrong type in the files
            raise UserError(
                f"{folder}: the model cannot be used ({reason(error)}); choose another one or change it"
            ) from error
        if not self.model.model.is_multilingual and language != "en":
            raise UserError(f"{folder}: knows English only, not language={language}; choose a multilingual model")

    def windows(self, samples: np.ndarray) -> list[np.ndarray]:
        """Windows of 30 s, the last or only one shorter; none where `vad` hears nobody speak."""
        if self.vad:
            parts = [samples[part["start"] : part["end"]] for part in get_speech_timestamps(samples)]
            if not parts:
                return []
            samples = np.concatenate(parts)
        return whisper_windows(samples, self.window)

    def decode_windows(self, audio: Sequence[np.ndarray]) -> Iterator[Heard]:
        """What is recognised in windows of equal length, with the confidence in each word."""
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
        sequences = [result.sequences_ids[0] for result in results]
        confidences = self._word_confidences(encoded, languages, sequences)
        for language, result, tokens, words in zip(languages, results, sequences, confidences, strict=True):
            logprob = result.scores[0] * len(tokens)  # the score is per token
            count = len(tokens) + 1  # with the end
            if is_silent(result.no_speech_prob, logprob, count):
                yield Heard("", logprob, count, ())
            else:
                text = self.prompts[language][0].decode(tokens).strip()
                yield Heard(text, logprob, count, words if words and len(words) == len(text.split()) else None)

    def _word_confidences(
        self, encoded: StorageView, languages: Sequence[str], sequences: Sequence[Sequence[int]]
    ) -> list[tuple[float, ...]]:
        """For each sequence of tokens the confidence in its words: the mean probability of a word's tokens.

        That is what faster-whisper calls a word's probability. The decoder reads the tokens once more for it.
        """
        confidences: list[tuple[float, ...]] = [()] * len(sequences)
        for language in set(languages):
            tokenizer = self.prompts[language][0]
            texts = [[token for token in tokens if token < tokenizer.eot] for tokens in sequences]
            rows = [row for row, text in enumerate(texts) if text and languages[row] == language]
            if not rows:
                continue
            states = encoded if len(rows) == len(sequences) else _rows(encoded, rows)
            aligned = self.model.model.align(
                states, tokenizer.sot_sequence, [texts[row] for row in rows], 2 * encoded.shape[1]
            )
            for row, alignment in zip(rows, aligned, strict=True):
                confidences[row] = word_means(tokenizer, texts[row], alignment.text_token_probs)
        return confidences

    def _prompt(self, language: str) -> tuple[Tokenizer, list[int]]:
        multilingual = self.model.model.is_multilingual
        tokenizer = Tokenizer(self.model.hf_tokenizer, multilingual, task="transcribe", language=language)
        return tokenizer, self.model.get_prompt(tokenizer, [], without_timestamps=True)


def word_means(tokenizer: Tokenizer, tokens: Sequence[int], probabilities: Sequence[float]) -> tuple[float, ...]:
    """Mean probability of the tokens of each word; a word is what stands between blanks, with its punctuation."""
    parts, tokens_of_parts = tokenizer.split_tokens_on_unicode(list(tokens))
    words: list[list[float]] = []
    first, inside = 0, False
    for part, part_tokens in zip(parts, tokens_of_parts, strict=True):
        some = probabilities[first : first + len(part_tokens)]
        first += len(part_tokens)
        if not part.strip():
            inside = False
            continue
        if not inside or part[0].isspace():
            words.append([])
        words[-1].extend(some)
        inside = not part[-1].isspace()
    return tuple(round(float(np.mean(values)), 4) for values in words)


def _rows(states: StorageView, rows: Sequence[int]) -> StorageView:
    """Some of the states of a batch."""
    chosen = np.ascontiguousarray(np.asarray(states.to_device(Device.cpu))[list(rows)])
    return StorageView.from_array(chosen).to_device(Device[states.device])
