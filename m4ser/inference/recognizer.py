"""EmotionRecognizer: from recordings to emotions with a trained model.

The same code as stages 1 to 3 and 5 makes inputs and logits (:mod:`m4ser.inference.frontend`,
:mod:`m4ser.models.arrays`, :mod:`m4ser.inference.backends`). What is added here is reading ahead in a second thread,
long recordings, and errors that concern one recording only.
"""

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from m4ser.asr.backends import build_backend
from m4ser.asr.backends.base import Backend
from m4ser.data.audio import RATE, as_stage_1, error_text
from m4ser.data.normalising import normalised, statistics, sums
from m4ser.hub.opening import default_model, open_model
from m4ser.hub.stored import StoredModel
from m4ser.inference.backends import open_network
from m4ser.inference.backends.base import Backend as Forward
from m4ser.inference.frontend import Frontend
from m4ser.inference.inputs import Item, Source, by_name, items
from m4ser.inference.live import LiveStream
from m4ser.inference.results import Failure, Prediction, Segment
from m4ser.inference.timeline import Span, equal_pieces, speech_spans
from m4ser.models.arrays import Padding, SERPreprocessor, softmax
from m4ser.utils.errors import UserError
from m4ser.utils.extras import missing
from m4ser.utils.printing import printable

LONGEST = 2 * 3600.0  # seconds; a longer recording is refused rather than filling the memory
SPLIT = 30.0  # seconds; longer recordings become a timeline
DEFAULT_RECOGNISER = "faster_whisper"  # of words that a model does not read


@dataclass
class _Part:
    """A stretch of one recording on its way through the model."""

    start: float
    end: float
    samples: np.ndarray
    speech: np.ndarray | None = None
    text: str | None = None
    confidence: float | None = None
    words: Sequence[float] | None = None  # confidence in each word
    scores: np.ndarray = field(default_factory=lambda: np.empty(0))  # (E,) logits, once the model has run
    probabilities: np.ndarray = field(default_factory=lambda: np.empty(0))  # (E,)


@dataclass
class _Work:
    item: Item
    duration: float = 0.0
    parts: list[_Part] = field(default_factory=list)
    failure: Failure | None = None
    seconds: dict[str, float] = field(default_factory=dict)


class EmotionRecognizer:
    """A trained model with everything in front of it. Make one with :meth:`from_pretrained`.

    >>> recognizer = EmotionRecognizer.from_pretrained()                   # doctest: +SKIP
    >>> recognizer("call.wav").label                                       # doctest: +SKIP
    'angry'

    Attributes:
        labels: the emotions, in the order of the model's outputs.
        about: what is known of the model: ``run.json`` of its experiment, or the description in its archive.
        batch_size: utterances in one forward pass.
        split: recordings of more seconds are split where nobody speaks; 0 never splits.
        longest: recordings of more seconds are refused.
        prefetch: read and extract features in a second thread while this one recognises text.
        words: whether words are given or recognised; the model need not read them.
        piece: seconds that the model takes at once, None for any; longer stretches are cut in any case.
        temperature: logits are divided by it before they become probabilities.
        normalised: over whose recordings the model's features are normalised, ``speaker`` or ``corpus``; empty where
            single ones are predicted.
        speakers: who that is: one name for all recordings, or names by item, as for texts.
    """

    def __init__(
        self,
        labels: Sequence[str],
        frontend: Frontend,
        preprocess: SERPreprocessor,
        collate: Padding,
        forward: Forward,
        about: Mapping[str, Any] | None = None,
        batch_size: int = 8,
        split: float = SPLIT,
        longest: float = LONGEST,
        prefetch: bool = True,
        words: bool = False,
        piece: float | None = None,
        temperature: float = 1.0,
        normalised: str = "",
        speakers: str | Mapping[str, str] | None = None,
    ):
        if batch_size < 1:
            raise UserError(f"batch_size {batch_size}: must be 1 or more")
        self.labels, self.frontend, self.about = list(labels), frontend, dict(about or {})
        self.preprocess, self.collate, self.forward = preprocess, collate, forward
        self.batch_size, self.split, self.longest, self.prefetch = batch_size, split, longest, prefetch
        self.words, self.piece, self.temperature = words or frontend.uses_text, piece, temperature
        self.normalised, self.speakers = normalised, speakers

    @classmethod
    def from_pretrained(
        cls,
        model: str | Path | None = None,
        device: str = "auto",
        fold: str | None = None,
        seed: int | None = None,
        asr: str | None = None,
        asr_model: str | None = None,
        onnx: str | Path | bool = False,
        pretrained_dir: str | Path | None = None,
        batch_size: int = 8,
        split: float = SPLIT,
        longest: float = LONGEST,
        prefetch: bool = True,
        words: bool = False,
        speakers: str | Mapping[str, str] | None = None,
    ) -> "EmotionRecognizer":
        """Load a trained model.

        Args:
            model: an experiment ``exp/<tag>``, one of its runs ``exp/<tag>/fold1/seed1``, an archive, an unpacked
                archive, or a hub id ``org/name``; default: ``$M4SER_MODEL``, else the one that comes with m4ser.
            device: cpu, cuda, cuda:1, ..., or auto: cuda where there is one. The recogniser stays on the CPU unless its
                settings say otherwise.
            fold: which run of an experiment; default: its first.
            seed: likewise.
            asr: recogniser to use instead of the one the model was trained with: a name of :mod:`m4ser.asr.backends`,
                or none: all text is given.
            asr_model: its model.
            onnx: an exported file to use instead of PyTorch for the model, or True for the one in the archive.
            pretrained_dir: where local copies of pretrained models are looked for first.
            batch_size: utterances in one forward pass.
            split: recordings of more seconds are split where nobody speaks; 0 never splits.
            longest: recordings of more seconds are refused.
            prefetch: read and extract features in a second thread while this one recognises text.
            words: recognise words, too, where the model reads the voice alone, to show them.
            speakers: of a model whose features are normalised by speaker (or corpus), who speaks in which recording:
                one name for all, or names by item name as texts in :func:`m4ser.inference.inputs.items`. All recordings
                of a call are then read before the first is predicted.

        Raises:
            UserError: it is not there, damaged, or needs something that is not installed.
        """
        with contextlib.ExitStack() as opened:
            try:
                stored = opened.enter_context(open_model(model or default_model(), fold, seed))
                opened.enter_context(_in_one_line(stored))
                network = open_network(stored, device, onnx, pretrained_dir)
                if speakers is not None and not stored.normalised:
                    raise UserError(f"{model or default_model()}: takes single recordings; leave the speakers away")
                recogniser = build_recogniser(stored, network.pretrained_dir, asr, asr_model, words)
                frontend = Frontend(stored.pipeline, network.features, recogniser)
            except ModuleNotFoundError as error:
                raise UserError(f"{model or default_model()}: {missing(error)}") from error
            return cls(
                network.labels,
                frontend,
                network.preprocess,
                network.pad,
                network.logits,
                stored.about,
                batch_size,
                split,
                longest,
                prefetch,
                words,
                network.longest,
                network.temperature,
                stored.normalised,
                speakers,
            )

    def __call__(
        self, source: Source, sampling_rate: int | None = None, text: str | Mapping[str, str] | None = None
    ) -> Prediction | list[Prediction]:
        """Predict recordings; arguments as for :func:`m4ser.inference.inputs.items`.

        Returns:
            One prediction for a file or an array, a list for a folder, a list, or ``wav.scp``.

        Raises:
            UserError: a recording cannot be used. :meth:`stream` goes on with the others instead.
        """
        predictions = []
        for result in self.stream(source, sampling_rate, text):
            if isinstance(result, Failure):
                raise UserError(f"{result.name}: {result.reason}")
            predictions.append(result)
        one = isinstance(source, Item | np.ndarray) or hasattr(source, "__array__")
        if isinstance(source, str | Path):
            one = not Path(source).is_dir() and Path(source).suffix != ".scp"
        return predictions[0] if one else predictions

    def stream(
        self, source: Source, sampling_rate: int | None = None, text: str | Mapping[str, str] | None = None
    ) -> Iterator[Prediction | Failure]:
        """Predict recordings one batch after the other, in the order given; a bad one gives a :class:`Failure`.

        Memory does not grow with the number of recordings, unless the model's features are normalised by speaker.

        Raises:
            UserError: they are, and it is not known who speaks.
        """
        for works in self._prepared(items(source, sampling_rate, text)):
            self._run(works)
            self._judge(works)
            for work in works:
                yield work.failure or self._sum_up(work)

    def outputs(
        self, source: Source, sampling_rate: int | None = None, text: str | Mapping[str, str] | None = None
    ) -> Iterator[tuple[str, np.ndarray] | Failure]:
        """As :meth:`stream`, with names and what the network gives (logits, as a rule) instead of predictions.

        Of a recording that is split it is the mean over its parts, weighted by duration. Shape: (E,).

        Raises:
            UserError: see there.
        """
        for works in self._prepared(items(source, sampling_rate, text)):
            self._run(works)
            for work in works:
                if work.failure:
                    yield work.failure
                    continue
                seconds = [part.end - part.start for part in work.parts]
                scores = np.average([part.scores for part in work.parts], axis=0, weights=seconds)
                fault = ValueError("what it gives are no finite numbers")
                yield (work.item.name, scores) if np.isfinite(scores).all() else _no_prediction(work, fault)

    def _prepared(self, recordings: Iterator[Item]) -> Iterator[list[_Work]]:
        """Batches of recordings whose speech features are there, read ahead in a second thread where that is wanted."""
        if self.normalised:
            yield from self._by_speaker(list(recordings))
            return
        batches = _batches(recordings, self.batch_size)
        if not self.prefetch:
            for batch in batches:
                yield [self._prepare(item) for item in batch]
            return
        with ThreadPoolExecutor(1, "m4ser-read") as pool:
            waiting: list[Future[_Work]] = []
            for batch in batches:
                coming = [pool.submit(self._prepare, item) for item in batch]
                yield [future.result() for future in waiting]
                waiting = coming
            yield [future.result() for future in waiting]

    def _by_speaker(self, every_item: Sequence[Item]) -> Iterator[list[_Work]]:
        """Batches of recordings whose features are normalised over all that their speaker says in them."""
        if self.speakers is None:
            raise UserError(
                f"the model normalises features by {self.normalised}, over several recordings of each: say who speaks "
                "in which (m4ser predict --speakers), or take a model that does not"
            )
        works: list[_Work] = []
        groups: dict[str, list[_Part]] = {}
        for item in every_item:
            who = self.speakers if isinstance(self.speakers, str) else by_name(item, self.speakers)
            if who is None:
                works.append(_Work(item, failure=Failure(item.name, "nobody says who speaks in it; add its line")))
                continue
            works.append(self._prepare(item))
            groups.setdefault(who, []).extend(works[-1].parts)
        for parts in groups.values():
            spoken = [(part, part.speech) for part in parts if part.speech is not None]
            if spoken:
                measured = statistics(sums(features) for _, features in spoken)
                for part, features in spoken:
                    part.speech = normalised(features, measured)
        for start in range(0, len(works), self.batch_size):
            yield works[start : start + self.batch_size]

    def _prepare(self, item: Item) -> _Work:
        """Read one recording, split it, extract speech features."""
        work, begin = _Work(item), time.perf_counter()
        try:
            samples = as_stage_1(item.load(self.longest))
            if not samples.any():
                raise UserError(f"{item.name}: is so quiet that all samples are zero in 16 bit")
            work.duration = len(samples) / RATE
            spans = [(0, len(samples))]
            if 0 < self.split < work.duration:
                spans = speech_spans(samples)
                if not spans:
                    raise UserError(f"{item.name}: nobody speaks in its {work.duration:.0f} s")
            work.parts = [_Part(a / RATE, b / RATE, samples[a:b], text=item.text) for a, b in self._pieces(spans)]
            work.seconds["read"] = time.perf_counter() - begin
            begin = time.perf_counter()
            for part in work.parts:
                part.speech = self.frontend.speech(part.samples)
            work.seconds["features"] = time.perf_counter() - begin
        except UserError as error:
            work.failure = Failure(item.name, str(error).removeprefix(f"{item.name}: "))
        except Exception as error:  # decoders have many ways to fail; the other recordings shall be predicted
            work.failure = Failure(item.name, f"cannot be used ({type(error).__name__}: {error_text(error)})")
        if work.failure:
            work.parts = []
        return work

    def _pieces(self, spans: list[Span]) -> list[Span]:
        """Stretches, cut where the model does not take them at once."""
        if self.piece is None:
            return spans
        return [piece for span in spans for piece in equal_pieces(*span, round(self.piece * RATE))]

    def segments(self, samples: np.ndarray, start: int = 0) -> list[Segment]:
        """Predict one stretch of speech, which is never split; several segments where the model takes less at once.

        Args:
            samples: 16 kHz mono as stage 1 leaves it, see :func:`m4ser.data.audio.as_stage_1`: (samples,) float32.
            start: place of the first sample in the stream.

        Raises:
            UserError: it cannot be predicted.
        """
        if self.normalised:
            raise UserError(
                f"the model normalises features by {self.normalised}, over several recordings: it takes no streams"
            )
        work = _Work(Item("stream", samples), duration=len(samples) / RATE)
        for a, b in self._pieces([(start, start + len(samples))]):
            part = _Part(a / RATE, b / RATE, samples[a - start : b - start])
            try:
                part.speech = self.frontend.speech(part.samples)
            except Exception as error:  # of an encoder that does not fit its own files
                raise UserError(f"stream: cannot be used ({type(error).__name__}: {error_text(error)})") from error
            work.parts.append(part)
        self._run([work])
        self._judge([work])
        if work.failure:
            raise UserError(f"{work.failure.name}: {work.failure.reason}")
        return self._sum_up(work).segments

    def live(self, blocks: Iterable[np.ndarray], sampling_rate: int = RATE) -> Iterator[Segment]:
        """Predict a stream: a segment as soon as it has ended, as :class:`~m4ser.inference.live.LiveStream` does.

        Args:
            blocks: the next samples each, of any number: (samples,) or (samples, channels), floats or integers.
            sampling_rate: of the blocks, Hz.

        Raises:
            UserError: a block cannot be used, or a segment cannot be predicted. With a `LiveStream` one can go on then.
        """
        stream = LiveStream(self, sampling_rate)
        for block in blocks:
            yield from stream.segments(block)
        yield from stream.last_segments()

    def _run(self, works: Sequence[_Work]) -> None:
        """Recognise text and run the model: scores of all parts, or a failure."""
        if self.words:
            for work in works:
                begin = time.perf_counter()
                try:
                    self._read(work)
                except UserError as error:
                    work.failure, work.parts = Failure(work.item.name, str(error)), []
                except Exception as error:  # of a recogniser that does not fit its own files
                    reason = f"its words cannot be recognised ({type(error).__name__}: {error_text(error)})"
                    work.failure, work.parts = Failure(work.item.name, reason), []
                work.seconds["recognition"] = time.perf_counter() - begin
        parts = [(work, part) for work in works for part in work.parts]
        for start in range(0, len(parts), self.batch_size):
            batch = parts[start : start + self.batch_size]
            begin = time.perf_counter()
            try:
                scores = self._scores([part for _, part in batch])
                if len(scores) != len(batch):
                    raise ValueError("what it gives are no probabilities of its labels")
            except Exception as error:  # of a model whose parts do not fit each other
                for work, _ in batch:
                    work.failure = _no_prediction(work, error)
                continue
            spent = (time.perf_counter() - begin) / len(batch)
            for (work, part), row in zip(batch, scores, strict=True):
                part.scores = row
                work.seconds["model"] = work.seconds.get("model", 0.0) + spent

    def _judge(self, works: Sequence[_Work]) -> None:
        """Scores become probabilities."""
        for work in works:
            for part in () if work.failure else work.parts:
                probabilities = softmax(part.scores[None], self.temperature).astype(np.float32)[0]
                if probabilities.shape != (len(self.labels),) or not np.isfinite(probabilities).all():
                    fault = ValueError("what it gives are no probabilities of its labels")
                    work.failure = _no_prediction(work, fault)
                    break
                part.probabilities = probabilities

    def _read(self, work: _Work) -> None:
        """Words of all parts: as given, or recognised."""
        if work.item.text is not None and len(work.parts) > 1:
            # The text of the whole is not that of any part.
            whole = self.piece is None or work.duration <= self.piece
            remedy = "give none, or --split 0" if whole else f"give none: this model takes {self.piece:g} s at once"
            reason = f"lasts {work.duration:.0f} s and would be split, but its text is given; {remedy}"
            work.failure, work.parts = Failure(work.item.name, reason), []
        silent = [part for part in work.parts if part.text is None]
        if silent:
            for part, heard in zip(silent, self.frontend.transcribe([part.samples for part in silent]), strict=True):
                part.text, part.confidence, part.words = heard.text, heard.confidence, heard.words

    def _scores(self, parts: Sequence[_Part]) -> np.ndarray:
        """Logits (B, E)."""
        arrays = []
        for part in parts:
            data: dict[str, Any] = {} if part.speech is None else {"speech": part.speech}
            if self.frontend.uses_text:
                data["text"] = self.frontend.edits(part.text or "", part.words)
            arrays.append(("", self.preprocess("", data)))
        return np.asarray(self.forward(self.collate(arrays)[1]))

    def _sum_up(self, work: _Work) -> Prediction:
        segments, weights = [], []
        for part in work.parts:
            label = self.labels[int(part.probabilities.argmax())]
            segments.append(Segment(part.start, part.end, label, self._by_label(part.probabilities), part.text))
            weights.append(part.end - part.start)
        mean = np.average([part.probabilities for part in work.parts], axis=0, weights=weights)
        known = [part.confidence for part in work.parts if part.confidence is not None]
        return Prediction(
            name=work.item.name,
            label=self.labels[int(mean.argmax())],
            probabilities=self._by_label(mean),
            text=" ".join(part.text for part in work.parts if part.text) if self.words else None,
            confidence=float(np.average(known, weights=weights)) if len(known) == len(work.parts) else None,
            duration=work.duration,
            segments=segments,
            seconds={name: round(value, 6) for name, value in work.seconds.items()},
        )

    def _by_label(self, probabilities: np.ndarray) -> dict[str, float]:
        return dict(zip(self.labels, map(float, probabilities), strict=True))


def _no_prediction(work: _Work, error: Exception) -> Failure:
    """What is said where the network fails."""
    return Failure(work.item.name, f"the model cannot predict it ({type(error).__name__}: {error_text(error)})")


@contextlib.contextmanager
def _in_one_line(stored: StoredModel) -> Iterator[None]:
    """What a stored model holds was made elsewhere: whatever does not fit is its fault, and named as such."""
    try:
        yield
    except UserError as error:
        raise UserError(printable(str(error))) from error
    except Exception as error:
        raise UserError(
            f"{stored.folder}: cannot be used as a model ({type(error).__name__}: {error_text(error)}); get or train "
            "it again"
        ) from error


def build_recogniser(
    stored: StoredModel,
    pretrained_dir: str | Path | None,
    asr: str | None = None,
    asr_model: str | None = None,
    words: bool = False,
) -> Backend | None:
    """The recogniser of a model, or another one by name; None where the model has none, unless `words` asks for one."""
    if asr == "none" or (stored.pipeline["text"] is None and not words):
        return None
    if asr is not None or stored.pipeline["text"] is None:
        return build_backend(asr or DEFAULT_RECOGNISER, asr_model, pretrained_dir)
    trained_with = stored.recogniser()
    if trained_with is None or trained_with["name"] in (None, "reference"):
        return None
    # Where the training's recogniser ran says nothing about this machine.
    settings = {name: value for name, value in trained_with["settings"].items() if name != "device"}
    return build_backend(trained_with["name"], trained_with["model"] or None, pretrained_dir, **settings)


def _batches(source: Iterable[Item], size: int) -> Iterator[list[Item]]:
    source = iter(source)
    while batch := list(islice(source, size)):
        yield batch
