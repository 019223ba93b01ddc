"""Speech of a line of dialogue by espeak-ng, and the same in noise. Nothing but the words differs between emotions.

Every speaker has one voice. Text is lower case and every clause ends in a comma or a full stop, so that no question,
no exclamation and no word in capitals is heard as such; pitch range, speed and level are the same in all lines of a
speaker. The library behind the Python package espeakng-loader makes the sound, so no system package is needed. What
it says depends on what it has said before: each line gets a process of its own.

Noise is seeded by the utterance alone: an utterance meets the same noise at every signal-to-noise ratio.
"""

import ctypes
import functools
import hashlib
import multiprocessing
import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soundfile

from m4ser.data.audio import RATE, resample, write_flac
from m4ser.utils.errors import UserError
from m4ser.utils.files import atomic_path, read_json, write_json
from m4ser.utils.progress import track

VERSION = 1  # raised when what is said or heard changes: speech made before is not used then
LEVEL = -26.0  # dBFS (RMS) of the speech
PAD = 0.15  # seconds of silence before and after it
RANGE = 50  # espeak-ng's pitch range
TALKERS = 6  # of babble
KINDS = ("none", "white", "babble")

# The friends' own voices; everybody else's are drawn from VARIANTS, pitch and speed from the ranges, by the name.
FRIENDS = {"Ross": "m3", "Joey": "m7", "Chandler": "m1", "Monica": "f2", "Rachel": "f3", "Phoebe": "f5"}
VARIANTS = ("m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "f1", "f2", "f3", "f4", "f5")
PITCH, SPEED = (38, 62), (150, 175)


class Voice(NamedTuple):
    """espeak-ng's voice, pitch (0 to 99) and speed (words a minute)."""

    name: str
    pitch: int
    speed: int


def voice_of(speaker: str) -> Voice:
    """The voice of a speaker, the same wherever the name occurs."""
    draw = hashlib.sha256(speaker.encode()).digest()
    variant = FRIENDS.get(speaker, VARIANTS[draw[0] % len(VARIANTS)])
    pitch, speed = (
        low + byte * (high - low) // 255 for byte, (low, high) in zip(draw[1:3], (PITCH, SPEED), strict=True)
    )
    return Voice(f"en-us+{variant}", pitch, speed)


def spoken(text: str) -> str:
    """What is said of a line, without any sign of how; empty if there is nothing to say.

    >>> spoken("What?! NO -- I mean... that's “it”!!")
    "what. no, i mean. that's it."
    """
    text = text.lower().replace("’", "'").replace("‘", "'")
    text = re.sub(r"[?!.…]+(?=\s|$|[^\w\s])|[?!…]+", ". ", text)
    text = re.sub(r"\s*(?:--+|[—–:;])\s*", ", ", text)
    text = re.sub(r"(?<!\w)'|'(?!\w)|[^\w\s.,'$%&+-]", " ", text)
    text = re.sub(r"(?<!\w)[-+]+|[-+]+(?!\w)", " ", text)
    text = re.sub(r"\s+([.,])", r"\1", " ".join(text.split()))
    text = re.sub(r"[.,]*\.[.,]*(?=\s|$)", ".", re.sub(r",{2,}", ",", text)).lstrip("., ")
    if not re.search(r"\w", text):
        return ""
    return text.rstrip(",.") + "."


class Line(NamedTuple):
    """A line to be spoken, and the file (without folder and suffix) for it."""

    name: str
    speaker: str
    text: str


@functools.cache
def _library() -> ctypes.CDLL:
    try:
        import espeakng_loader
    except ModuleNotFoundError as error:
        raise UserError("espeakng-loader: this Python package is missing; run `make -C tools`") from error
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    synchronous = 2  # AUDIO_OUTPUT_SYNCHRONOUS: samples are handed to us
    if library.espeak_Initialize(synchronous, 0, espeakng_loader.get_data_path().encode(), 0) < 0:
        raise UserError("espeakng-loader: its library does not start; run `make -C tools` again")
    library.espeak_Info.restype = ctypes.c_char_p
    return library


def espeak_version() -> str:
    """Such as `1.52.0`."""
    return _library().espeak_Info(None).decode()


def _synthesise(text: str, voice: Voice) -> np.ndarray:
    """(samples,) float32 at 16 kHz, silence trimmed; in a fresh process for the same result everywhere."""
    library = _library()
    pieces: list[np.ndarray] = []

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
    def collect(samples: Any, count: int, _events: int | None) -> int:
        if samples and count > 0:
            pieces.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    rate = library.espeak_ng_GetSampleRate()
    library.espeak_SetSynthCallback(collect)
    if library.espeak_SetVoiceByName(voice.name.encode()) != 0:
        raise UserError(f"espeak-ng: has no voice {voice.name}; run `make -C tools` again")
    for parameter, value in ((1, voice.speed), (3, voice.pitch), (4, RANGE)):
        library.espeak_SetParameter(parameter, value, 0)
    content = text.encode()
    utf8 = 1
    library.espeak_Synth(content, ctypes.c_size_t(len(content) + 1), 0, 0, 0, utf8, None, None)
    library.espeak_Synchronize()
    samples = np.concatenate([*pieces, np.zeros(1, np.int16)]).astype(np.float32) / 32768
    loud = np.flatnonzero(np.abs(samples) > 0.02 * np.abs(samples).max())
    return resample(samples[loud[0] : loud[-1] + 1], rate, RATE) if len(loud) else samples[:0]


def at_level(samples: np.ndarray, level: float = LEVEL) -> np.ndarray:
    """The samples with that RMS in dBFS."""
    return samples * np.float32(10 ** (level / 20) / np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


def limited(samples: np.ndarray) -> np.ndarray:
    """Quieter as a whole if it would clip."""
    return samples * min(1.0, 0.98 / float(np.abs(samples).max()))


def _speak(job: tuple[Path, Line]) -> None:
    folder, line = job
    samples = _synthesise(spoken(line.text), voice_of(line.speaker))
    if not len(samples):
        raise UserError(f"{line.name}: espeak-ng says nothing for {line.text!r}; leave the line out")
    samples = np.pad(at_level(samples), int(PAD * RATE))
    with atomic_path(folder / f"{line.name}.flac") as temporary:
        write_flac(temporary, limited(samples), RATE)


def check_version(folder: Path) -> None:
    """Note in a folder what makes its speech, or check that it was the same.

    Raises:
        UserError: it was another version of espeak-ng or of this program.
    """
    made_with = {"espeak-ng": espeak_version(), "version": VERSION}
    about = folder / "made_by.json"
    if not about.is_file():
        write_json(about, made_with)
    elif {key: read_json(about).get(key) for key in made_with} != made_with:
        raise UserError(f"{folder}: has speech of another version of espeak-ng or of this recipe; delete the folder")


def speak_all(folder: Path, lines: Sequence[Line], jobs: int) -> None:
    """Write `folder/<name>.flac` of every line that is not there yet.

    Raises:
        UserError: the folder has speech that another version of espeak-ng or of this program made.
    """
    check_version(folder)
    missing = [(folder, line) for line in lines if not (folder / f"{line.name}.flac").is_file()]
    with multiprocessing.get_context("fork").Pool(jobs, maxtasksperchild=1) as pool:
        for _ in track(pool.imap_unordered(_speak, missing, chunksize=1), "speak", len(missing)):
            pass


def white(count: int, rng: np.random.Generator) -> np.ndarray:
    """(count,) white noise."""
    return rng.standard_normal(count, dtype=np.float32)


def babble(count: int, rng: np.random.Generator, lines: Sequence[Path]) -> np.ndarray:
    """(count,) several people at once: these recordings at equal level, each repeated from a random point on."""
    total = np.zeros(count, np.float32)
    for path in lines:
        samples = at_level(soundfile.read(path, dtype="float32")[0])
        start = int(rng.integers(len(samples)))
        total += np.resize(np.roll(samples, -start), count)
    return total


def add_noise(speech: np.ndarray, noise: np.ndarray, snr: float) -> np.ndarray:
    """The sum at a signal-to-noise ratio in dB, the speech measured without the silence around it."""
    pad = int(PAD * RATE)
    power = np.mean(np.square(speech[pad : len(speech) - pad], dtype=np.float64))
    gain = np.sqrt(power / np.mean(np.square(noise, dtype=np.float64)) / 10 ** (snr / 10))
    return limited(speech + np.float32(gain) * noise)


def _mix(job: tuple[Path, Path, str, str, float, list[str]]) -> None:
    clean, noisy, name, noise_type, snr, others = job
    rng = np.random.default_rng([VERSION, *f"{noise_type} {name}".encode()])
    speech = soundfile.read(clean / f"{name}.flac", dtype="float32")[0]
    if noise_type == "white":
        noise = white(len(speech), rng)
    else:
        noise = babble(len(speech), rng, [clean / f"{other}.flac" for other in others])
    with atomic_path(noisy / f"{name}.flac") as temporary:
        write_flac(temporary, add_noise(speech, noise, snr), RATE)


def mix_all(
    clean: Path, noisy: Path, lines: Sequence[Line], talkers: Sequence[Line], noise: str, snr: float, jobs: int
) -> None:
    """Write `noisy/<name>.flac` of every line that is not there yet.

    Args:
        clean: folder of the speech without noise.
        noisy: folder to write to.
        lines: all lines.
        talkers: lines to make babble of, always the same ones; a speaker is not in the babble behind themselves.
        noise: white or babble.
        snr: signal-to-noise ratio in dB.
        jobs: processes.

    Raises:
        UserError: the folder has speech that another version of espeak-ng or of this program made.
    """
    check_version(noisy)
    others = {
        speaker: [line.name for line in talkers if line.speaker != speaker] for speaker in {x.speaker for x in lines}
    }
    if noise == "babble" and min(map(len, others.values())) < TALKERS:
        raise UserError(f"--noise babble: needs {TALKERS} training lines of other speakers in the corpus")
    missing = [line for line in lines if not (noisy / f"{line.name}.flac").is_file()]

    def behind(line: Line) -> list[str]:
        return random.Random(f"babble {line.name}").sample(others[line.speaker], TALKERS) if noise == "babble" else []

    work = ((clean, noisy, line.name, noise, snr, behind(line)) for line in missing)
    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        for _ in track(pool.imap_unordered(_mix, work, chunksize=8), f"{noise} noise", len(missing)):
            pass
