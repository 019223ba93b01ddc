#!/usr/bin/env python3
"""How much EmotionRecognizer adds to its networks, and whether its memory grows.

    tools/benchmarks/predict.py MODEL FOLDER [--count 1000] [--rounds 5] [--text-given]

Predicts `count` recordings (those of FOLDER, again and again), one batch after the other, by turns with

- bare: speech encoder, recogniser and model called on samples that are in memory already;
- one thread: EmotionRecognizer from files with prefetch=False: reading, resampling, normalising, tokenising, collating;
- two threads: the same with prefetch.

All work on the same batches. Another way begins in each round, and a batch before the first is not counted: whoever
comes first finds colder caches. Prints the real-time factor (processing time over duration) in processor and wall time
with the processor's name, the overhead over bare, and the resident memory after each round. Other work on the machine
moves wall time much and processor time little.
"""

import argparse
import itertools
import os
import resource
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np

from m4ser import EmotionRecognizer
from m4ser.data.audio import RATE, as_stage_1
from m4ser.inference.inputs import items
from m4ser.models.onnx_session import threads
from m4ser.scoring.table import Cell, Column, Table
from m4ser.utils.provenance import processor

TEXT = "this is said in every recording"


def memory() -> float:
    """Resident memory now, MB."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 1e6


def bare(recognizer: EmotionRecognizer, samples: Sequence[np.ndarray], text_given: bool) -> None:
    """The networks alone, in the recogniser's batches."""
    frontend, size = recognizer.frontend, recognizer.batch_size
    for start in range(0, len(samples), size):
        batch = samples[start : start + size]
        speech = [frontend.speech(one) for one in batch]
        rows: list[dict[str, Any]] = [{} if one is None else {"speech": one} for one in speech]
        if frontend.uses_text:
            heard = [(TEXT, 1.0)] * len(batch) if text_given else frontend.transcribe(batch)
            for row, (text, _) in zip(rows, heard, strict=True):
                row["text"] = frontend.edits(text)
        recognizer.forward(recognizer.collate([("", recognizer.preprocess("", row)) for row in rows])[1])


def run(recognizer: EmotionRecognizer, way: str, files: Sequence[Any], text_given: bool) -> tuple[float, float]:
    """Wall and processor seconds of one way for some files."""
    samples = [as_stage_1(item.load(1e9)) for item in items(files)] if way == "bare" else []
    begin = time.perf_counter(), time.process_time()
    if way == "bare":
        bare(recognizer, samples, text_given)
    else:
        recognizer.prefetch = way == "two threads"
        for _ in recognizer.stream(files, text=TEXT if text_given else None):
            pass
    return time.perf_counter() - begin[0], time.process_time() - begin[1]


def report(
    ways: Sequence[str], cpu: Mapping[str, float], wall: Mapping[str, float], seconds: float, what: str
) -> Table:
    """Real-time factors and overhead; ``seconds`` of recordings."""

    def over(times: Mapping[str, float], way: str) -> float | None:
        return times[way] / times["bare"] - 1 if "bare" in times and way != "bare" else None

    rows: list[list[Cell]] = [
        [way, cpu[way] / seconds, over(cpu, way), wall[way] / seconds, over(wall, way)] for way in ways
    ]
    columns = [
        Column("way"),
        Column("real-time factor, processor", "cpu", digits=4),
        Column("over bare, %", "cpu_overhead", digits=1, scale=100),
        Column("real-time factor, wall", "wall", digits=4),
        Column("over bare, %", "wall_overhead", digits=1, scale=100),
    ]
    return Table(columns, rows, caption=f"{what}, {threads()} thread(s) of {processor()}.")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("folder")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--text-given", action="store_true", help="recognise nothing: shows the rest more clearly")
    parser.add_argument("--out", type=Path, help="writes OUT.md, OUT.csv, OUT.json")
    parser.add_argument("--ways", nargs="+", default=["bare", "one thread", "two threads"])
    args = parser.parse_args()
    recognizer = EmotionRecognizer.from_pretrained(args.model, device="cpu")
    files = [item.audio for item in itertools.islice(itertools.cycle(list(items(args.folder))), args.count)]
    share, size = -(-len(files) // args.rounds), recognizer.batch_size
    for way in args.ways:  # caches, and memory that is asked for once
        run(recognizer, way, files[:size], args.text_given)
    wall: dict[str, float] = defaultdict(float)
    cpu: dict[str, float] = defaultdict(float)
    seconds = 0.0
    for number in range(args.rounds):
        some = files[number * share : (number + 1) * share]
        seconds += sum(len(as_stage_1(item.load(1e9))) for item in items(some)) / RATE
        first = number % len(args.ways)
        for way in args.ways[first:] + args.ways[:first]:
            took = run(recognizer, way, some, args.text_given)
            wall[way] += took[0]
            cpu[way] += took[1]
        print(f"round {number + 1}: {memory():.0f} MB resident", flush=True)
    table = report(args.ways, cpu, wall, seconds, f"{len(files)} recordings of {seconds:.0f} s, batches of {size}")
    print(table.markdown(aligned=True))
    if args.out:
        table.save(args.out)


if __name__ == "__main__":
    main()
