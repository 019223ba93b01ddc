#!/usr/bin/env python3
"""How much EmotionRecognizer adds to its networks, and whether its memory grows.

    tools/benchmarks/predict.py MODEL FOLDER [--count 1000] [--rounds 5] [--text-given]

Predicts `count` recordings (those of FOLDER, again and again) in rounds that alternate between

- bare: speech encoder, recogniser and model called on samples that are in memory already, one recording at a time;
- one thread: EmotionRecognizer from files with prefetch=False: reading, resampling, normalising, tokenising, batches;
- two threads: the same with prefetch.

Prints the real-time factor (processing time over duration) in wall and processor time, the overhead over bare, and the
resident memory after each round. Alternating rounds make the comparison fair on a machine with other work.
"""

import argparse
import itertools
import os
import resource
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np
import torch

from m4ser import EmotionRecognizer
from m4ser.data.audio import RATE, as_stage_1
from m4ser.inference.inputs import items

TEXT = "this is said in every recording"


def memory() -> float:
    """Resident memory now, MB."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 1e6


def bare(recognizer: EmotionRecognizer, samples: Sequence[np.ndarray], given: bool) -> None:
    """The networks alone."""
    frontend = recognizer.frontend
    for one in samples:
        speech = frontend.speech(one)
        data: dict[str, Any] = {} if speech is None else {"speech": speech}
        if frontend.uses_text:
            ((text, _),) = [(TEXT, 1.0)] if given else frontend.transcribe([one])
            data["text"] = frontend.edits(text)
        with torch.inference_mode():
            recognizer.forward(recognizer.collate([("", recognizer.preprocess("", data))])[1])


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("folder")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--text-given", action="store_true", help="recognise nothing: shows the rest more clearly")
    parser.add_argument("--ways", nargs="+", default=["bare", "one thread", "two threads"])
    args = parser.parse_args()
    recognizer = EmotionRecognizer.from_pretrained(args.model, device="cpu")
    files = [item.audio for item in itertools.islice(itertools.cycle(list(items(args.folder))), args.count)]
    share = -(-len(files) // args.rounds)
    wall: dict[str, float] = defaultdict(float)
    cpu: dict[str, float] = defaultdict(float)
    seconds = 0.0
    for number in range(args.rounds):
        some = files[number * share : (number + 1) * share]
        samples = [as_stage_1(item.load(1e9)) for item in items(some)]
        seconds += sum(map(len, samples)) / RATE
        for way in args.ways:
            begin = time.perf_counter(), time.process_time()
            if way == "bare":
                bare(recognizer, samples, args.text_given)
            else:
                recognizer.prefetch = way == "two threads"
                for _ in recognizer.stream(some, text=TEXT if args.text_given else None):
                    pass
            wall[way] += time.perf_counter() - begin[0]
            cpu[way] += time.process_time() - begin[1]
        print(f"round {number + 1}: {memory():.0f} MB resident", flush=True)
    print(f"{len(files)} recordings, {seconds:.0f} s, {torch.get_num_threads()} thread(s) of torch")
    for way in args.ways:
        line = f"{way:12} real-time factor {wall[way] / seconds:.4f} wall, {cpu[way] / seconds:.4f} processor"
        if way != "bare" and "bare" in args.ways:
            line += f"; overhead {100 * (wall[way] / wall['bare'] - 1):+.1f} % wall, "
            line += f"{100 * (cpu[way] / cpu['bare'] - 1):+.1f} % processor"
        print(line)


if __name__ == "__main__":
    main()
