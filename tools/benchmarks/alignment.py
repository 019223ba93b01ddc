#!/usr/bin/env python3
"""Measure how many utterances per second stage 3 can align on one core: 10-word pairs with about 25 % word errors."""

import argparse
import random
import time

from rapidfuzz.distance import Levenshtein

from m4ser.asr.alignment import align, apply_edits

ERRORS = 0.25  # share of words that are changed, lost or followed by an extra one


def pairs(count: int, words: int, seed: int) -> list[tuple[list[str], list[str]]]:
    """Made-up hypotheses and their references."""
    rng = random.Random(seed)
    vocabulary = [f"word{number}" for number in range(1000)]
    result = []
    for _ in range(count):
        reference = rng.choices(vocabulary, k=words)
        hypothesis = []
        for word in reference:
            error = rng.choice(("substitution", "deletion", "insertion")) if rng.random() < ERRORS else ""
            hypothesis += {
                "": [word],
                "substitution": [rng.choice(vocabulary)],
                "deletion": [],
                "insertion": [word, rng.choice(vocabulary)],
            }[error]
        result.append((hypothesis, reference))
    return result


def main() -> None:
    """Print utterances per second of aligning, and of aligning and checking the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--utterances", type=int, default=50_000, help="pairs to align (default: 50000)")
    parser.add_argument("--words", type=int, default=10, help="words of each reference (default: 10)")
    parser.add_argument("--repeat", type=int, default=3, help="the best of so many runs counts (default: 3)")
    parser.add_argument("--seed", type=int, default=1, help="random seed (default: 1)")
    args = parser.parse_args()
    data = pairs(args.utterances, args.words, args.seed)
    wrong = sum(Levenshtein.distance(ref, hyp) for hyp, ref in data) / (args.words * len(data))
    print(f"{len(data)} pairs of {args.words} reference words, {100 * wrong:.1f} % word errors, one core")

    def rate(work) -> float:
        times = []
        for _ in range(args.repeat):
            started = time.perf_counter()
            work()
            times.append(time.perf_counter() - started)
        return len(data) / min(times)

    def check() -> None:
        for hyp, ref in data:
            if apply_edits(hyp, align(hyp, ref)) != ref:
                raise SystemExit(f"error: edits do not give back the reference {ref} from {hyp}")

    print(f"align: {rate(lambda: [align(hyp, ref) for hyp, ref in data]):.0f} utterances/s")
    print(f"align and check: {rate(check):.0f} utterances/s")


if __name__ == "__main__":
    main()
