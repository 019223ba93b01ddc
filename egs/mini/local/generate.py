#!/usr/bin/env python3
"""Make the synthetic emotional-speech corpus of this recipe with espeak-ng.

The corpus is kept in the repository; this program is needed only to change it. `plan()` decides who says what in
which emotion; `render(item)` makes the sound of one utterance. Chance comes from numpy's RandomState alone, whose
streams are the same in all versions, and is seeded per utterance: with the same version of espeak-ng the recordings
come out the same.
"""

import argparse
import functools
import io
import itertools
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import soundfile
import soxr

from m4ser.data.audio import RATE
from m4ser.utils import cli
from m4ser.utils.errors import UserError
from m4ser.utils.files import atomic_directory, atomic_write, write_json
from m4ser.utils.progress import track

SEED = 2509
EMOTIONS = ("angry", "happy", "neutral", "sad")
OPUS_LEVEL = 0.983  # libsndfile's compression level, 1 being the smallest file
PAD = 0.125  # seconds of room before and after the voice
LEVEL = -24.0  # dBFS (RMS) of an average voice
SNR = (25.0, 35.0)  # dB, for a voice of that level
BAND = (6000, 7500)  # Hz, upper limit of the microphone


@dataclass(frozen=True)
class Speaker:
    """A talker.

    Args:
        gender: female or male.
        voice: of espeak-ng, language+variant (an unknown variant would be ignored silently).
        pitch: espeak-ng's, 0 to 99.
        speed: words a minute.
        tract: factor on pitch and formants, as of a vocal tract that much shorter.
        expression: how much emotion is heard.
        split: train, dev or test.
    """

    gender: str
    voice: str
    pitch: int
    speed: int
    tract: float
    expression: float
    split: str


SPEAKERS = {
    "f01": Speaker("female", "en-us+steph", 46, 150, 1.00, 1.0, "train"),
    "f02": Speaker("female", "en-us+Nguyen", 80, 144, 1.05, 0.8, "train"),
    "f03": Speaker("female", "en-us+rob", 88, 148, 1.10, 1.1, "train"),
    "f04": Speaker("female", "en-us+f3", 44, 140, 1.00, 0.9, "train"),
    "m01": Speaker("male", "en-us+m1", 50, 142, 1.00, 1.0, "train"),
    "m02": Speaker("male", "en-us+rob", 48, 148, 0.98, 1.1, "train"),
    "m03": Speaker("male", "en-us+Gene", 50, 145, 1.00, 0.8, "train"),
    "m04": Speaker("male", "en-us+m6", 54, 140, 1.00, 0.9, "train"),
    "f05": Speaker("female", "en-us+f2", 56, 140, 1.00, 0.9, "dev"),
    "f06": Speaker("female", "en-us+m8", 88, 142, 1.06, 1.0, "dev"),
    "m05": Speaker("male", "en-us+robert", 52, 146, 1.00, 1.0, "dev"),
    "m06": Speaker("male", "en-us+m4", 50, 142, 1.00, 0.9, "dev"),
    "f07": Speaker("female", "en-us+edward", 90, 144, 1.08, 1.0, "test"),
    "f08": Speaker("female", "en-us+Annie", 42, 142, 0.96, 0.9, "test"),
    "m07": Speaker("male", "en-us+Diogo", 50, 145, 1.00, 0.9, "test"),
    "m08": Speaker("male", "en-us+victor", 48, 144, 1.00, 1.0, "test"),
}
UTTERANCES = {"train": 48, "dev": 28, "test": 36}  # of one speaker, a multiple of the four emotions

# How often the words of an emotional utterance say the emotion, say nothing, or say another emotion; neutral
# utterances have neutral words except for the misleading ones.
CUES = {"yes": 0.79, "no": 0.15, "misleading": 0.06}

# What an emotion adds on average to pitch (espeak units), speed (words/min), pitch range (%), level (dB) and spectral
# tilt (dB/octave), and how much each of these differs from utterance to utterance anyway.
PROSODY = {
    "angry": (4.5, 12.0, 11.0, 4.0, 2.1),
    "happy": (14.0, 5.0, 45.0, 1.8, 0.7),
    "neutral": (0.0, 0.0, 0.0, 0.0, 0.0),
    "sad": (-8.0, -15.0, -25.0, -2.7, -1.3),
}
SPREAD = (6.0, 9.0, 22.0, 2.5, 1.2)

# The same sentence frames and slots for every emotion, so that only the fillers of {state}, {quality}, {did} differ.
FRAMES = (
    "{who} was {degree} {state} {when}",
    "{who} {did} the {thing} {where}",
    "what a {quality} {thing} {who} has",
    "{who} is {state} about the {thing}",
    "the {thing} {where} is {degree} {quality}",
    "{who} said the {thing} was {quality}",
    "{who} {did} my {thing} {when}",
    "I am {degree} {state} about the {thing} {when}",
    "{who} {did} the {quality} {thing}",
    "we were {state} when {who} {did} it",
)
SHARED = {
    # Names that a recogniser likes to spell otherwise, as everywhere.
    "who": (
        "Geoff",
        "Kathryn",
        "Stephan",
        "my brother",
        "the farmer",
        "the doctor",
        "my teacher",
        "our manager",
        "my uncle",
    ),
    "thing": ("picture", "computer", "ticket", "window", "table", "camera", "guitar", "blanket", "jacket", "painting"),
    "where": ("in the kitchen", "near the station", "in the village", "in the garden"),
    "when": ("again", "today", "this morning", "on Friday", "yesterday"),
    "degree": ("so", "really", "quite"),
}
WORDS = {
    "angry": {
        "state": ("livid", "furious", "annoyed", "outraged", "bitter"),
        "quality": ("disgusting", "horrible", "stupid", "vile"),
        "did": ("smashed", "wrecked", "stole", "ruined", "hated"),
    },
    "happy": {
        "state": ("delighted", "thrilled", "excited", "cheerful", "glad"),
        "quality": ("lovely", "splendid", "superb", "wonderful"),
        "did": ("adored", "praised", "won", "enjoyed", "admired"),
    },
    "neutral": {
        "state": ("ready", "early", "busy", "quiet", "waiting"),
        "quality": ("yellow", "narrow", "ordinary", "plastic"),
        "did": ("moved", "counted", "painted", "folded", "carried"),
    },
    "sad": {
        "state": ("miserable", "tearful", "lonely", "weary", "gloomy"),
        "quality": ("dreary", "hopeless", "dismal", "tragic"),
        "did": ("mourned", "missed", "lost", "buried", "cried over"),
    },
}


@dataclass(frozen=True)
class Item:
    """A line of `metadata.tsv`."""

    utt_id: str
    speaker: str
    gender: str
    emotion: str
    cue: str
    transcript: str
    split: str
    file: str


def shares(total: int, weights: dict[str, float]) -> list[str]:
    """`total` keys of `weights`, each as often as its weight says (largest remainder)."""
    exact = {key: total * weight for key, weight in weights.items()}
    counts = {key: int(value) for key, value in exact.items()}
    for key in sorted(exact, key=lambda key: counts[key] - exact[key])[: total - sum(counts.values())]:
        counts[key] += 1
    return [key for key, count in counts.items() for _ in range(count)]


def sentence(words: str, random: np.random.RandomState) -> str:
    """A sentence whose telling words are those of the emotion `words`."""
    frame = FRAMES[random.randint(len(FRAMES))]
    slots = {name: choices[random.randint(len(choices))] for name, choices in {**SHARED, **WORDS[words]}.items()}
    text = frame.format(**slots)
    return text[0].upper() + text[1:]


def plan() -> list[Item]:
    """All utterances: balanced over emotions for every speaker, no sentence twice in the corpus."""
    random = np.random.RandomState(SEED)
    items, used = [], set()
    # Numbers drawn at random, so that an id says nothing about the emotion.
    numbers = {name: random.permutation(UTTERANCES[speaker.split]) for name, speaker in SPEAKERS.items()}
    for split, emotion in itertools.product(UTTERANCES, EMOTIONS):
        names = [name for name, speaker in SPEAKERS.items() if speaker.split == split]
        each = UTTERANCES[split] // len(EMOTIONS)
        cues = {"no": 1 - CUES["misleading"], "misleading": CUES["misleading"]} if emotion == "neutral" else CUES
        drawn = random.permutation(shares(each * len(names), cues))
        for index, cue in enumerate(drawn):
            name = names[index % len(names)]
            number = numbers[name][EMOTIONS.index(emotion) * each + index // len(names)]
            words = {"yes": emotion, "no": "neutral"}.get(cue)
            words = words or random.choice([e for e in EMOTIONS if e not in (emotion, "neutral")])
            text = next(t for t in iter(lambda w=words: sentence(w, random), "") if t not in used)
            used.add(text)
            utt = f"{name}-{number:03d}"
            items.append(Item(utt, name, SPEAKERS[name].gender, emotion, str(cue), text, split, f"{name}/{utt}.opus"))
    return sorted(items, key=lambda item: item.utt_id)


@functools.cache
def espeak_version() -> str | None:
    """Such as `1.51`; None where espeak-ng is not installed."""
    try:
        out = subprocess.run(["espeak-ng", "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return out.split("text-to-speech:")[1].split()[0]


def speak(text: str, voice: str, pitch: float, speed: float, pitch_range: float, tract: float) -> np.ndarray:
    """Samples (n,) at 16 kHz, silence trimmed. A vocal tract scaled by `tract` shifts pitch and formants alike."""
    if espeak_version() is None:
        raise UserError("espeak-ng: not found; install the system package espeak-ng to make the corpus anew")
    markup = f'<speak><prosody range="{round(pitch_range)}%">{text}</prosody></speak>'
    options = ["-v", voice, "-p", str(round(pitch)), "-s", str(round(speed / tract)), "-m", "--stdout"]
    wav = subprocess.run(["espeak-ng", *options, markup], capture_output=True, check=True).stdout
    samples, rate = soundfile.read(io.BytesIO(wav), dtype="float64")
    samples = soxr.resample(samples, rate * tract, RATE)
    loud = np.flatnonzero(np.abs(samples) > 0.02 * np.abs(samples).max())
    pad = int(PAD * RATE)
    return np.pad(samples[loud[0] : loud[-1] + 1], pad)


def filtered(samples: np.ndarray, tilt: float, low: float, high: float) -> np.ndarray:
    """Tilt the spectrum around 1 kHz by `tilt` dB/octave and limit it to `low`-`high` Hz."""
    frequency = np.fft.rfftfreq(len(samples), 1 / RATE)
    octaves = np.log2(np.clip(frequency, 100, RATE / 2) / 1000)
    gain = 10 ** (tilt * octaves / 20)
    gain /= np.sqrt((1 + (low / np.maximum(frequency, 1)) ** 6) * (1 + (frequency / high) ** 12))
    return np.fft.irfft(np.fft.rfft(samples) * gain, len(samples))


def render(item: Item) -> np.ndarray:
    """The damaged recording of one utterance: float64 samples (n,) at 16 kHz."""
    speaker = SPEAKERS[item.speaker]
    random = np.random.RandomState([SEED, *item.utt_id.encode()])
    strength = speaker.expression * random.uniform(0.5, 1.5)
    shift = [strength * mean + sd * random.randn() for mean, sd in zip(PROSODY[item.emotion], SPREAD, strict=True)]
    pitch, speed, pitch_range, level, tilt = shift
    clean = speak(
        item.transcript,
        speaker.voice,
        np.clip(speaker.pitch + pitch, 0, 99),
        np.clip(speaker.speed + speed, 90, 260),
        np.clip(90 + pitch_range, 10, 165),
        speaker.tract,
    )
    clean = filtered(clean, tilt, low=80, high=random.uniform(*BAND))
    clean *= 10 ** ((LEVEL + level) / 20) / np.sqrt(np.mean(clean**2))
    # The room does not know the emotion: the noise level is absolute, a quiet voice drowns more.
    noise = filtered(random.randn(len(clean)), -4.0, low=80, high=6000)
    noise *= 10 ** ((LEVEL - random.uniform(*SNR)) / 20) / np.sqrt(np.mean(noise**2))
    mixed = clean + noise
    return mixed * min(1.0, 0.98 / np.abs(mixed).max())


def write(corpus: Path, items: Sequence[Item]) -> None:
    """Write the recordings by speaker, then the table, then what made them."""
    for name, spoken in itertools.groupby(track(items, "speaking"), key=lambda item: item.speaker):
        with atomic_directory(corpus / name) as folder:
            for item in spoken:
                path = folder / Path(item.file).name
                soundfile.write(path, render(item), RATE, format="OGG", subtype="OPUS", compression_level=OPUS_LEVEL)
    with atomic_write(corpus / "metadata.tsv") as file:
        file.write("\t".join(field.name for field in fields(Item)) + "\n")
        file.writelines("\t".join(asdict(item).values()) + "\n" for item in items)
    write_json(corpus / "made_by.json", {"espeak-ng": espeak_version(), "utterances": len(items)})


def get_parser() -> argparse.ArgumentParser:
    """Options of this program."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    corpus = Path(__file__).resolve().parents[1] / "corpus"
    parser.add_argument(
        "--corpus-dir", type=Path, default=corpus, help="where to write (default: this recipe's corpus)"
    )
    return parser


@cli.command
def main(cmd: Sequence[str] | None = None) -> None:
    """Write the corpus."""
    args = get_parser().parse_args(cmd)
    write(args.corpus_dir, plan())


if __name__ == "__main__":
    main()
