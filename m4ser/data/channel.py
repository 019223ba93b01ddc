"""The same voice as another microphone, room, line or codec would have recorded it: altered copies to train on.

Corpora differ in how they were recorded as much as in how people feel, and a model of few corpora learns the one for
the other. Each alteration is drawn at random, from a seed made of the number of the copy and the name of the utterance,
so that the same copy always sounds the same.
"""

import zlib
from collections.abc import Callable

import numpy as np

from m4ser.data.audio import RATE

Response = Callable[[np.ndarray], np.ndarray]  # gain at frequencies in Hz
# Probability of each alteration, in the order in which sound meets them, and its range.
PAUSE, QUIET = 0.8, -30.0  # longest pause at either end, seconds; dB below the loudest 20 ms that is still voice
ROOM, ROOM_SECONDS, ROOM_LEVEL = 0.4, (0.1, 0.6), (0.1, 0.5)  # reverberation time (60 dB), level of the late part
MICROPHONE, TILT, BANDS, BAND = 0.9, 9.0, 3, 8.0  # dB: over the whole range; number and gain of bands
NOISE, SNR = 0.6, (8.0, 35.0)  # dB
LINE, LOW, HIGH = 0.3, (50.0, 350.0), (3200.0, 7500.0)  # Hz, edges of a band
CODEC = 0.2  # 8-bit companding (ITU-T G.711, mu-law)


def altered(samples: np.ndarray, copy: int, name: str) -> np.ndarray:
    """One random recording of a voice.

    Args:
        samples: (samples,) float32 at 16 kHz.
        copy: number of the copy.
        name: of the utterance.

    Returns:
        (samples,) float32, longer or shorter by the pauses at its ends, with the peak of the original.
    """
    rng = np.random.default_rng([copy, zlib.crc32(name.encode())])
    peak = float(np.abs(samples).max())
    sound = _between_pauses(samples.astype(np.float64), rng)
    if rng.random() < ROOM:
        sound = _in_room(sound, rng)
    if rng.random() < MICROPHONE:
        sound = _filtered(sound, _microphone(rng))
    if rng.random() < NOISE:
        sound = sound + _noise(sound, rng)
    if rng.random() < LINE:
        low, high = rng.uniform(*LOW), rng.uniform(*HIGH)
        sound = _filtered(sound, lambda hertz: 1 / np.sqrt(1 + (low / hertz) ** 8) / np.sqrt(1 + (hertz / high) ** 16))
    sound *= peak / max(float(np.abs(sound).max()), 1e-9)
    if rng.random() < CODEC:
        sound = peak * _companded(sound / max(peak, 1e-9))
    return sound.astype(np.float32)


def _between_pauses(sound: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Cut or lengthen the pauses before and after the voice."""
    size = RATE // 50
    frames = sound[: max(1, len(sound) // size) * size]
    power = (frames.reshape(-1, size) ** 2).mean(1) if len(sound) >= size else np.array([1.0])
    loud = np.flatnonzero(power > power.max() * 10 ** (QUIET / 10))
    before, after = (int(seconds * RATE) for seconds in rng.uniform(0, PAUSE, 2))
    first, last = int(loud[0]) * size - before, (int(loud[-1]) + 1) * size + after
    hiss = np.sqrt(power.max()) * 10 ** (rng.uniform(-80, -50) / 20)
    lead, tail = (rng.normal(0, hiss, max(0, missing)) for missing in (-first, last - len(sound)))
    return np.concatenate([lead, sound[max(0, first) : last], tail])


def _in_room(sound: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Convolve with noise that decays exponentially behind the direct sound."""
    seconds, level = rng.uniform(*ROOM_SECONDS), rng.uniform(*ROOM_LEVEL)
    time = np.arange(int(seconds * RATE)) / RATE
    late = rng.normal(size=len(time)) * 10 ** (-3 * time / seconds)
    response = level * late / np.sqrt((late**2).sum())
    response[0] = 1.0
    size = len(sound) + len(response)
    return np.fft.irfft(np.fft.rfft(sound, size) * np.fft.rfft(response, size), size)[: len(sound)]


def _microphone(rng: np.random.Generator) -> Response:
    """Frequency response: a tilt over the range of speech and a few bands that are louder or softer."""
    tilt = rng.uniform(-TILT, TILT)
    bands = [(np.log2(rng.uniform(100, 7000)), rng.uniform(0.3, 1.2), rng.uniform(-BAND, BAND)) for _ in range(BANDS)]

    def response(hertz: np.ndarray) -> np.ndarray:
        octaves = np.log2(np.maximum(hertz, 50.0))
        decibel = tilt * (octaves - np.log2(700.0)) / 7
        for centre, width, gain in bands:
            decibel = decibel + gain * np.exp(-0.5 * ((octaves - centre) / width) ** 2)
        return 10 ** (decibel / 20)

    return response


def _filtered(sound: np.ndarray, response: Response) -> np.ndarray:
    """Apply a real, positive frequency response (zero phase)."""
    size = len(sound) + RATE // 10
    hertz = np.maximum(np.fft.rfftfreq(size, 1 / RATE), 1.0)
    return np.fft.irfft(np.fft.rfft(sound, size) * response(hertz), size)[: len(sound)]


def _noise(sound: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Noise whose power falls with frequency by 0 (white) to 6 dB per octave, at a random ratio to the whole."""
    slope, snr = rng.uniform(0, 1), rng.uniform(*SNR)
    noise = _filtered(rng.normal(size=len(sound)), lambda hertz: np.maximum(hertz, 50.0) ** -slope)
    power = (sound**2).mean() / max(float((noise**2).mean()), 1e-20)
    return noise * np.sqrt(power) * 10 ** (-snr / 20)


def _companded(sound: np.ndarray, mu: float = 255.0) -> np.ndarray:
    """Samples in -1..1 in 8 bits, mu-law."""
    small = np.sign(sound) * np.log1p(mu * np.abs(sound)) / np.log1p(mu)
    small = np.round(small * 127) / 127
    return np.sign(small) * np.expm1(np.abs(small) * np.log1p(mu)) / mu
