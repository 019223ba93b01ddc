"""Stage 2: recognised text of every utterance, with the recogniser's confidence and how long it took."""

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import TypedDict

from m4ser.asr.backends import Backend, Setting, backend_class, build_backend, parse_settings
from m4ser.asr.hallucination import RULE
from m4ser.asr.texts import WORD_CONFIDENCE
from m4ser.data import parts
from m4ser.data.audio import RATE, load_16k
from m4ser.data.contents import CONTENTS, write_contents
from m4ser.data.datadir import DataDir
from m4ser.data.scp import write_scp
from m4ser.utils.files import atomic_write, write_json

PART = "hypotheses.json"


class DecodedSet(TypedDict):
    """What has been decoded of one set, in one chunk of a job's share.

    `hypotheses` are text, confidence, untreated text and confidence in each word
    (:class:`~m4ser.asr.backends.Hypothesis`) by utterance;
    `samples` is the length of the audio, `seconds` elapsed time, reading of audio included, `cpu_seconds` processor
    time.
    """

    hypotheses: dict[str, tuple[str, float, str | None, Sequence[float] | None]]
    samples: int
    seconds: float
    cpu_seconds: float


class DecodeInfo(TypedDict):
    """Content of `decode.json`.

    Times are summed over jobs, seconds; a real-time factor is time of processing over duration, None where no audio
    was needed. `untreated` has the text of utterances that the rules against made-up text (`loop_rule`) changed.
    """

    asr: str
    model: str
    settings: dict[str, Setting]
    utterances: int
    audio_seconds: float
    job_seconds: float
    cpu_seconds: float
    real_time_factor: float | None
    cpu_real_time_factor: float | None
    empty_hypotheses: int
    looping_hypotheses: int
    loop_rule: str
    untreated: dict[str, str]


@dataclass
class Decoding(parts.SplitWork):
    """Decoding of all utterances with one recogniser.

    Args:
        sets: data directories by name, as :func:`~m4ser.asr.texts.read_references` gives them; audio files are
            checked here if the recogniser needs them.
        out: where to write, such as `dump/asr/whisper-tiny.en`.
        asr: name of the backend, see :mod:`m4ser.asr.backends`.
        model: offline:NAME, folder or hub id, "" for the backend's own default.
        conf: settings of the backend, words `name=value`.
        pretrained_dir: where local copies of models are looked for first.

    Raises:
        UserError: no such backend or setting, or audio files are missing.
    """

    sets: Mapping[str, DataDir]
    out: Path
    asr: str
    model: str = ""
    conf: Sequence[str] = ()
    pretrained_dir: Path | None = None
    backend_settings: dict[str, Setting] = field(init=False)
    doing = "recognise"

    def __post_init__(self) -> None:
        self.backend_settings = parse_settings(self.asr, self.conf)
        self.needs_audio = backend_class(self.asr).needs_audio
        for data in self.sets.values():
            data.validate(need=("wav.scp", "utt2spk"), check_audio=self.needs_audio)

    def settings(self, share: parts.Share) -> parts.Settings:
        """Audio or references of the utterances, backend and its settings."""
        references = {} if self.needs_audio else self._references()
        return {
            "inputs": self.inputs(share),
            "references": parts.digest(references.items()),
            "word_confidence": True,  # parts of earlier versions have none
            "asr": self.asr,
            "model": self.model,
            "settings": self.backend_settings,
            "pretrained_dir": str(self.pretrained_dir or ""),
        }

    @cached_property
    def backend(self) -> Backend:
        """The recogniser.

        Raises:
            UserError: the backend or its model is not there.
        """
        references = self._references()
        return build_backend(
            self.asr, self.model or None, self.pretrained_dir, references=references, **self.backend_settings
        )

    def order(self, share: parts.Share) -> parts.Share:
        """Like with like: only windows of one length are decoded together."""
        return sorted(share, key=lambda item: (item[0], self._num_samples(*item)))

    def batches(self, items: parts.Share) -> Iterator[parts.Share]:
        """As many utterances of a set as the recogniser decodes together."""
        for _, of_set in groupby(items, key=itemgetter(0)):
            while batch := list(islice(of_set, self.backend.batch_size)):
                yield batch

    def make(self, batches: Iterable[parts.Share], folder: Path, part: str) -> None:
        """Write the hypotheses to `folder`.

        Raises:
            UserError: audio cannot be used.
        """
        decoded: dict[str, DecodedSet] = {}
        for batch in batches:
            name = batch[0][0]
            self._decode(name, [utt for _, utt in batch], decoded)
        with atomic_write(folder / PART) as file:
            json.dump(decoded, file, ensure_ascii=False)

    def _decode(self, name: str, utts: Sequence[str], decoded: dict[str, DecodedSet]) -> None:
        """Add the hypotheses of some utterances of a set to `decoded`."""
        backend = self.backend
        start, cpu_start = time.perf_counter(), time.process_time()
        audio = [load_16k(*self.sets[name].audio(utt)) for utt in utts] if backend.needs_audio else []
        hypotheses = backend.transcribe_batch(audio, utts)
        nothing: DecodedSet = {"hypotheses": {}, "samples": 0, "seconds": 0.0, "cpu_seconds": 0.0}
        result = decoded.setdefault(name, nothing)
        for utt, hypothesis in zip(utts, hypotheses, strict=True):
            result["hypotheses"][utt] = (
                hypothesis.text,
                hypothesis.confidence,
                hypothesis.untreated,
                hypothesis.words,
            )
        result["samples"] += sum(map(len, audio))
        result["seconds"] += time.perf_counter() - start
        result["cpu_seconds"] += time.process_time() - cpu_start

    def join(self, by_job: Sequence[Sequence[Path]]) -> None:
        """Write `decode.json`, `confidence`, `word_confidence` and, last, `text` of every set."""
        decoded = [json.loads((chunk / PART).read_text(encoding="utf-8")) for chunks in by_job for chunk in chunks]
        for name in self.sets:
            self._join_set(self.out / name, [part[name] for part in decoded if name in part])

    def _join_set(self, out: Path, decoded: Sequence[DecodedSet]) -> None:
        hypotheses = {utt: values for part in decoded for utt, values in part["hypotheses"].items()}
        untreated = {utt: text for utt, (_, _, text, _) in sorted(hypotheses.items()) if text is not None}
        audio = sum(part["samples"] for part in decoded) / RATE
        seconds = sum(part["seconds"] for part in decoded)
        cpu = sum(part["cpu_seconds"] for part in decoded)
        info: DecodeInfo = {
            "asr": self.asr,
            "model": self.model,
            "settings": self.backend_settings,
            "utterances": len(hypotheses),
            "audio_seconds": round(audio, 2),
            "job_seconds": round(seconds, 2),
            "cpu_seconds": round(cpu, 2),
            # Of one job; the second is what it takes on a machine that does nothing else.
            "real_time_factor": round(seconds / audio, 4) if audio else None,
            "cpu_real_time_factor": round(cpu / audio, 4) if audio else None,
            "empty_hypotheses": sum(not text for text, *_ in hypotheses.values()),
            "looping_hypotheses": len(untreated),
            "loop_rule": RULE,
            "untreated": untreated,
        }
        for name in ("text", WORD_CONFIDENCE, CONTENTS):
            (out / name).unlink(missing_ok=True)
        write_json(out / "decode.json", info)
        write_scp(out / "confidence", {utt: f"{confidence:.4f}" for utt, (_, confidence, *_) in hypotheses.items()})
        words = {
            utt: " ".join(f"{word:.4f}" for word in words)
            for utt, (*_, words) in hypotheses.items()
            if words is not None
        }
        if words:
            write_scp(out / WORD_CONFIDENCE, words)
        write_scp(out / "text", {utt: text for utt, (text, *_) in hypotheses.items()})
        write_contents(out, ["confidence", *([WORD_CONFIDENCE] if words else []), "text"])
        speed = (
            f"; real-time factor of a job {seconds / audio:.3f}, of the processor {cpu / audio:.3f}" if audio else ""
        )
        print(f"{out}: text of {len(hypotheses)} utterances{speed}")

    def _num_samples(self, name: str, utt: str) -> int:
        return int(self.sets[name].maps.get("utt2num_samples", {}).get(utt, 0))

    def _references(self) -> dict[str, str]:
        """Transcripts of all sets, so that what a backend makes of them does not depend on the job's share."""
        return {utt: text for data in self.sets.values() for utt, text in data.maps.get("text", {}).items()}
