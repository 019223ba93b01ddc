"""What a trained model makes of utterances of its test part: the states of each part of its representation.

Also with the voices, or the words, exchanged between utterances. Reads the dumps of stages 1 to 3 and the run; ESPnet
is not needed.
"""

import argparse
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from m4ser.data.audio import load_16k
from m4ser.data.features import Features
from m4ser.data.scp import read_scp
from m4ser.models import batches
from m4ser.models.build import build_collate, build_preprocessor
from m4ser.models.checkpoint import load_run
from m4ser.models.representations import Representations, masked_mean, required
from m4ser.models.systems import EmotionModel
from m4ser.training.lists import FEATURES, data_options
from m4ser.utils.errors import UserError

MAX_UTTERANCES = 3000  # of more, this many at random
STATES = 4  # of every sequence so many positions are kept, at random
SPEECH, TEXT, INVARIANT = "speech", "text", "invariant"  # in this order in the utterance vector
INVARIANT_SPEECH, INVARIANT_TEXT = "invariant_speech", "invariant_text"  # its positions that stem from one modality


@dataclass(frozen=True)
class Part:
    """One part of the representation, of N utterances.

    Shape: ``pooled``, the mean over time, (N, D); ``voices`` and ``words`` the same with the speech, or the words, of
    another utterance; ``states`` some positions (S, D), those of the utterances ``owner`` (S,); neither where a model
    has the pooled vector only.
    """

    pooled: np.ndarray
    voices: np.ndarray
    words: np.ndarray
    states: np.ndarray | None = None
    owner: np.ndarray | None = None


@dataclass(frozen=True)
class RunStates:
    """What one run makes of N utterances.

    ``parts`` by name: ``speech``, ``text``, ``invariant``, as far as the model has them; of a model with
    modality-specific states (``specific``) the first two are these, of another one the pooled vectors that its
    classifier reads. Where the query of the invariant part is both modalities one after the other, also
    ``invariant_speech`` and ``invariant_text``. ``places``: of the parts in the utterance vector, empty if it is
    not made of them; ``classify``: utterance vectors (K, U) -> class indices (K,).

    Shape: ref, hyp (N,); utterance (N, U).
    """

    utts: list[str]
    labels: list[str]
    ref: np.ndarray
    hyp: np.ndarray
    utterance: np.ndarray
    specific: bool
    parts: Mapping[str, Part]
    places: Mapping[str, np.ndarray]
    classify: Callable[[np.ndarray], np.ndarray]


class Inputs:
    """The inputs of a run's utterances, read when they are asked for."""

    def __init__(self, folder: Path, part: str, conf: argparse.Namespace):
        listed = folder / "data" / part
        if not (listed / "utt2emo").exists():
            raise UserError(f"{listed}: is missing; run stage 4 again")
        self.emotions = read_scp(listed / "utt2emo")
        self.files: dict[str, tuple[Mapping[str, Any], str]] = {
            name: (Features(path) if data_type == FEATURES else read_scp(path), data_type)
            for path, name, data_type in data_options(folder / "data", part, conf)
        }
        lengths = read_scp(listed / "lengths") if (listed / "lengths").exists() else {}
        self.lengths = {utt: int(lengths.get(utt, "0").split(",")[0]) for utt in self.emotions}
        self.preprocess, self.collate = build_preprocessor(conf), build_collate(conf)

    def batches(
        self, voices: Sequence[str], words: Sequence[str], size: int = 32
    ) -> Iterator[tuple[list[int], dict[str, Tensor]]]:
        """Batches of the speech of ``voices`` with the text of ``words``, and the numbers of the utterances in each.

        Emotions are those of ``voices``.
        """
        order = sorted(range(len(voices)), key=lambda i: self.lengths[voices[i]])  # of similar length: little padding
        for start in range(0, len(order), size):
            chosen = order[start : start + size]
            yield chosen, self.collate([(voices[i], self._arrays(voices[i], words[i])) for i in chosen])[1]

    def _arrays(self, voice: str, words: str) -> dict[str, np.ndarray]:
        data: dict[str, Any] = {}
        for name, (entries, data_type) in self.files.items():
            if data_type == "sound":
                data[name] = load_16k(entries[voice])
            else:
                data[name] = entries[words if name == "text" else voice]
        return self.preprocess(voice, data)


def run_states(folder: str | Path, part: str = "test", limit: int = MAX_UTTERANCES, seed: int = 0) -> RunStates:
    """Pass utterances of a finished run through its model, as they are and with voices and words exchanged.

    Args:
        folder: of the run, ``exp/<tag>/fold<k>/seed<s>``.
        part: of the fold: dev, test.
        limit: most utterances.
        seed: of the exchange: each utterance gets the speech (or the words) of another one.

    Raises:
        UserError: the run is not finished, has too few utterances, or the dumps are gone.
    """
    folder = Path(folder)
    model, conf = load_run(folder)
    inputs = Inputs(folder, part, conf)
    utts = list(inputs.emotions)
    if len(utts) > limit:
        drawn = np.random.default_rng(seed).choice(len(utts), limit, replace=False)
        utts = [utts[i] for i in sorted(drawn)]
    if len(utts) < 2:
        raise UserError(f"{folder / 'data' / part}: one utterance alone cannot be exchanged with others; choose a fold")
    others = [utts[i] for i in derangement(len(utts), seed)]
    plain = _collect(model, inputs, utts, utts)
    voices, words = _collect(model, inputs, others, utts), _collect(model, inputs, utts, others)
    places = part_places(model)
    parts = {
        name: Part(pooled, voices.pooled[name], words.pooled[name], *plain.states[name])
        for name, pooled in plain.pooled.items()
        if name in voices.pooled and name in words.pooled
    }
    specific = SPEECH in parts
    for name, place in places.items() if not specific else ():
        parts[name] = Part(*(each.utterance[:, place] for each in (plain, voices, words)))

    @torch.no_grad()
    def classify(vectors: np.ndarray) -> np.ndarray:
        return model.logits(Representations(torch.from_numpy(vectors))).argmax(-1).numpy()

    index = {label: i for i, label in enumerate(model.labels)}
    ref = np.array([index[inputs.emotions[utt]] for utt in utts])
    return RunStates(utts, list(model.labels), ref, plain.hyp, plain.utterance, specific, parts, places, classify)


def derangement(count: int, seed: int = 0) -> np.ndarray:
    """A random permutation (count,) that leaves nothing in its place (one cycle: Sattolo 1986)."""
    order, rng = list(range(count)), np.random.default_rng(seed)
    for last in range(count - 1, 0, -1):
        other = int(rng.integers(last))
        order[last], order[other] = order[other], order[last]
    return np.array(order)


def part_places(model: EmotionModel) -> dict[str, np.ndarray]:
    """Where the parts are in the utterance vector, by name the indices of their values.

    A fusion says so itself by a method ``places``; else its poolings of speech, text and invariant part, in this order,
    do. Empty where the vector is made otherwise.
    """
    fusion = getattr(model, "fusion", None)
    if fusion is None:
        return {}
    if hasattr(fusion, "places"):
        return {name: np.asarray(place) for name, place in fusion.places().items()}
    pools = {name: getattr(fusion, f"pool_{name}", None) for name in (SPEECH, TEXT, INVARIANT)}
    sizes = {name: pool.output_size for name, pool in pools.items() if pool is not None}
    if not (fusion.uses_speech and fusion.uses_text):
        sizes = {SPEECH if fusion.uses_speech else TEXT: fusion.output_size}
    if sum(sizes.values()) != fusion.output_size:
        return {}
    ends = np.cumsum(list(sizes.values()))
    return {name: np.arange(end - size, end) for (name, size), end in zip(sizes.items(), ends, strict=True)}


@dataclass(frozen=True)
class _Collected:
    """Of N utterances. Shape: utterance (N, U), hyp (N,); by part pooled (N, D), states (S, D) and their owners."""

    utterance: np.ndarray
    hyp: np.ndarray
    pooled: dict[str, np.ndarray]
    states: dict[str, tuple[np.ndarray, np.ndarray]]


@torch.no_grad()
def _collect(model: EmotionModel, inputs: Inputs, voices: Sequence[str], words: Sequence[str]) -> _Collected:
    utterance: dict[int, np.ndarray] = {}
    hyp: dict[int, int] = {}
    pooled: dict[str, dict[int, np.ndarray]] = {}
    kept: dict[str, dict[int, np.ndarray]] = {}
    for chosen, batch in inputs.batches(voices, words):
        reps = batches.represent(model, batch)
        utterance |= dict(zip(chosen, reps.utterance.float().numpy(), strict=True))
        hyp |= dict(zip(chosen, model.logits(reps).argmax(-1).tolist(), strict=True))
        for name, (states, mask) in sequences(reps).items():
            means = masked_mean(states.float(), mask).numpy()
            pooled.setdefault(name, {}).update(zip(chosen, means, strict=True))
            for number, row, valid in zip(chosen, states.float(), mask, strict=True):
                kept.setdefault(name, {})[number] = _some(row[valid].numpy(), voices[number])
    numbers = range(len(voices))
    # A few positions of an invariant part can happen to be as many as those of both modalities: not in all batches.
    whole = [name for name, rows in pooled.items() if len(rows) == len(voices)]
    some = {}
    for name in whole:
        rows = kept[name]
        owner = np.repeat(np.arange(len(voices)), [len(rows[i]) for i in numbers])
        some[name] = np.concatenate([rows[i] for i in numbers]), owner
    return _Collected(
        np.stack([utterance[i] for i in numbers]),
        np.array([hyp[i] for i in numbers]),
        {name: np.stack([pooled[name][i] for i in numbers]) for name in whole},
        some,
    )


def sequences(reps: Representations) -> dict[str, tuple[Tensor, Tensor]]:
    """States (B, T, D) and masks (B, T) of the parts that a model has as sequences, by name.

    An invariant part with as many positions as both modalities together has those of speech first.
    """
    sequences = {}
    for name, states, mask in (
        (SPEECH, reps.speech_specific, reps.speech_mask),
        (TEXT, reps.text_specific, reps.text_mask),
        (INVARIANT, reps.invariant, reps.invariant_mask),
    ):
        if states is not None:
            sequences[name] = states, required(mask)
    if INVARIANT in sequences:
        (states, mask), speech_mask = sequences[INVARIANT], required(reps.speech_mask)
        if torch.equal(mask, torch.cat([speech_mask, required(reps.text_mask)], 1)):
            frames = speech_mask.shape[1]
            sequences[INVARIANT_SPEECH] = states[:, :frames], mask[:, :frames]
            sequences[INVARIANT_TEXT] = states[:, frames:], mask[:, frames:]
    return sequences


def _some(states: np.ndarray, utterance: str) -> np.ndarray:
    """(T, D) -> (min(T, STATES), D), the same for the same utterance and length."""
    if len(states) <= STATES:
        return states
    drawn = np.random.default_rng(zlib.crc32(utterance.encode())).choice(len(states), STATES, replace=False)
    return states[np.sort(drawn)]
