#!/usr/bin/env python3
"""How late a stream says what it has heard: from the end of speech to the segment.

    tools/benchmarks/live.py FOLDER [--model MODEL] [--clips 60] [--out docs/results/live.json]

Recordings of FOLDER, with pauses of 0.8 to 2 s in a little noise between them, go through `LiveStream` in blocks of
20 ms, as a microphone gives them. Of each segment two parts are measured: the time until the voice activity knows that
it has ended, in samples of the stream, and the processor time that the model then takes, on one core.

The first one counts from where the network hears the last of the speech, which is what the segment's end without its
margin is.
"""

import argparse
import dataclasses
import os
import time
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np

from m4ser import EmotionRecognizer
from m4ser.data.audio import RATE, load_16k
from m4ser.inference.inputs import items
from m4ser.inference.live import LiveStream
from m4ser.inference.timeline import MARGIN
from m4ser.scoring.table import Column, Row, Table
from m4ser.utils.files import write_json
from m4ser.utils.provenance import made_by, processor

BLOCK = RATE // 50
PAUSES, NOISE = (0.8, 2.0), 1e-3


def spoken(folder: Path, count: int) -> np.ndarray:
    """Recordings with pauses: (samples,) float32, 16 kHz."""
    rng = np.random.default_rng(0)
    files = [item.audio for item in items(folder)]
    parts = []
    for index in np.linspace(0, len(files) - 1, count).astype(int):
        path = files[index]
        assert isinstance(path, str | Path)
        parts += [load_16k(path), np.zeros(int(rng.uniform(*PAUSES) * RATE), np.float32)]
    samples = np.concatenate(parts)
    return samples + (rng.standard_normal(len(samples)) * NOISE).astype(np.float32)


def measure(recognizer: EmotionRecognizer, samples: np.ndarray) -> dict[str, list[float]]:
    """Seconds of each segment: `known` after its end, `model` after that; and `hearing`, of the blocks without one."""
    stream = LiveStream(recognizer)
    recognizer.segments(samples[: 2 * RATE])  # loads what is loaded at first use
    seconds: dict[str, list[float]] = {"known": [], "model": [], "hearing": [], "length": []}
    for place in range(0, len(samples), BLOCK):
        begin = time.process_time()
        segments = stream.push(samples[place : place + BLOCK])
        spent = time.process_time() - begin
        if not segments:
            seconds["hearing"].append(spent)
            continue
        heard = min(len(samples), place + BLOCK) / RATE
        seconds["known"] += [heard - (segment.end - MARGIN) for segment in segments]
        seconds["length"] += [segment.end - segment.start for segment in segments]
        seconds["model"] += [spent / len(segments)] * len(segments)
    return seconds


def row(name: str, seconds: Sequence[float]) -> Row:
    """Median, 95th percentile and largest in milliseconds."""
    values = 1000 * np.asarray(seconds)
    return [name, float(np.median(values)), float(np.percentile(values, 95)), float(values.max())]


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="recordings")
    parser.add_argument("--model", help="default: the one that comes with m4ser")
    parser.add_argument("--clips", type=int, default=60)
    parser.add_argument("--words", action="store_true", help="with words, too, where the model reads the voice alone")
    parser.add_argument("--out", type=Path, help="write the table as JSON")
    args = parser.parse_args()
    samples = spoken(args.folder, args.clips)
    rows: list[Row] = []
    ways = {"voice alone": False, "with words": True} if args.words else {"": False}
    for name, words in ways.items():
        recognizer = EmotionRecognizer.from_pretrained(args.model, words=words)
        seconds = measure(recognizer, samples)
        if not rows:
            rows.append(row("pause until the end is known", seconds["known"]))
        rows.append(row(f"model, {name}" if name else "model", seconds["model"]))
        total = [known + model for known, model in zip(seconds["known"], seconds["model"], strict=True)]
        rows.append(row(f"end of speech to segment, {name}" if name else "end of speech to segment", total))
    hearing = sum(seconds["hearing"]) / (len(samples) / RATE)
    caption = (
        f"Milliseconds, {len(seconds['known'])} segments (median {np.median(seconds['length']):.1f} s) in blocks of "
        f"{1000 * BLOCK / RATE:.0f} ms; time of the model on one core of {processor()}. Looking for speech takes "
        f"{100 * hearing:.1f} % of a core all the time."
    )
    columns = [Column("from the end of speech"), *(Column(name, digits=0) for name in ("median", "95 %", "largest"))]
    table = Table(columns, rows, caption=caption)
    print(caption, *table.lines(aligned=True), sep="\n")
    if args.out:
        provenance = {key: value for key, value in made_by().items() if key != "date"}
        write_json(args.out, {"kind": "table", **dataclasses.replace(table, made_by=provenance).json()})


if __name__ == "__main__":
    main()
