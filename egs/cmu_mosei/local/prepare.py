#!/usr/bin/env python3
"""CMU-MOSEI (Zadeh et al. 2018): sentences of YouTube monologues, 6 emotions or sentiment, standard folds.

Official layout: CMU_MOSEI_Labels.csd; Raw/Audio/Full/WAV_16000/*.wav, one per video; Raw/Transcript/Segmented/
Combined/*.txt; and cmu_mosei_std_folds.py of the CMU-MultimodalSDK, which is read, not run.

An utterance is an interval of the labels. Task emotion: the emotion with the highest score, intervals without any or
with two equally high are left out. sentiment3: negative, neutral (score 0), positive. sentiment2: without the zeros.
"""

import argparse
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import h5py
import soundfile

from m4ser.data.datadir import Utterance
from m4ser.data.folds import Folds
from m4ser.data.origin import Origin
from m4ser.recipes import layout, recipe
from m4ser.utils.errors import UserError, first_line

ORIGIN: Origin = {
    "name": "CMU-MOSEI",
    "licence": "other",
    "languages": ["en"],
    "address": "https://github.com/CMU-MultiComp-Lab/CMU-MultimodalSDK",
}
OBTAIN = "https://github.com/CMU-MultiComp-Lab/CMU-MultimodalSDK (labels, folds, Raw/ in one folder; see README.md)"
FOLDS = {"standard_train_fold": "train", "standard_valid_fold": "dev", "standard_test_fold": "test"}
SCORES = ("happy", "sad", "anger", "surprise", "disgust", "fear")  # after the sentiment, in this order
SENTIMENTS = ["negative", "neutral", "positive"]
LABELS = {"emotion": sorted(SCORES), "sentiment3": SENTIMENTS, "sentiment2": SENTIMENTS[::2]}
SHORTEST = 0.1  # seconds of an interval that are inside the recording


def utterances(corpus_dir: Path, args: argparse.Namespace) -> list[Utterance]:
    """All labelled intervals of the videos of the standard folds."""
    labels = layout.find(corpus_dir, "CMU_MOSEI_Labels.csd", obtain=OBTAIN)
    wavs = layout.find(corpus_dir, "Audio/Full/WAV_16000", obtain=OBTAIN).absolute()
    transcripts = layout.find(corpus_dir, "Transcript/Segmented/Combined", obtain=OBTAIN)
    lists = layout.read_constants(layout.find(corpus_dir, "cmu_mosei_std_folds.py", obtain=OBTAIN))
    utts: list[Utterance] = []
    left_out: Counter[str] = Counter()
    if absent := [name for name in FOLDS if name not in lists]:
        raise UserError(f"{corpus_dir}: cmu_mosei_std_folds.py has no {absent[0]}; take the original file")
    try:
        opened = h5py.File(labels)
    except OSError as error:
        raise UserError(f"{labels}: cannot be read ({first_line(error)}); get it again") from None
    with opened as file:
        data = file["All Labels/data"]
        part_of = {video: part for name, part in FOLDS.items() for video in lists[name]}
        left_out["videos of the standard folds have no labels"] = len(part_of.keys() - data.keys())
        for video in sorted(part_of.keys() & data.keys()):
            wav, segments = wavs / f"{video}.wav", list(read_transcript(transcripts / f"{video}.txt"))
            duration = duration_of(wav)
            rows = zip(data[video]["intervals"][()].tolist(), data[video]["features"][()].tolist(), strict=True)
            for number, ((start, end), scores) in enumerate(rows):
                label, end = label_of(args.task, scores), min(end, duration)
                if label is None:
                    left_out[f"intervals have no single label for {args.task}; they are left out"] += 1
                elif end - max(start, 0) < SHORTEST:
                    left_out["intervals are outside of their recording; they are left out"] += 1
                else:
                    name, words = f"v{video}-{number:04d}", words_of(segments, start, end)
                    times = {"start": max(start, 0), "end": end}
                    utts.append(Utterance(name, wav, f"v{video}", label, words, **times, set=part_of[video]))
    left_out["utterances have no transcript; they are kept"] = sum(not utt.text for utt in utts)
    for reason, count in left_out.items():
        layout.note(count, reason)
    return layout.keep_present(utts, corpus_dir, args.allow_partial)


def duration_of(wav: Path) -> float:
    """Seconds; without end where the recording is missing or damaged, which stage 0 or 1 says then."""
    try:
        return soundfile.info(wav).duration if wav.is_file() else float("inf")
    except soundfile.LibsndfileError:
        return float("inf")


def read_transcript(path: Path) -> Iterator[tuple[float, float, str]]:
    """Start, end and words of every segment of a video."""
    # VIDEO___0___0.0___7.4___words of the first segment
    for line in layout.read_text(path).split("\n") if path.is_file() else ():
        if len(fields := line.split("___", 4)) == 5:
            yield float(fields[2]), float(fields[3]), fields[4]


def words_of(segments: list[tuple[float, float, str]], start: float, end: float) -> str:
    """Words of the segment with these times, which are rounded differently in labels and transcripts."""
    best = min(segments, key=lambda segment: abs(segment[0] - start) + abs(segment[1] - end), default=(-9, -9, ""))
    return best[2] if abs(best[0] - start) < 0.1 else ""


def label_of(task: str, scores: list[float]) -> str | None:
    """Label of an interval: `scores` are the sentiment (-3..3) and six emotions (0..3)."""
    sentiment, *emotions = scores
    if task == "emotion":
        top = max(emotions)
        return SCORES[emotions.index(top)] if top > 0 and emotions.count(top) == 1 else None
    label = SENTIMENTS[1 + (sentiment > 0) - (sentiment < 0)]
    return label if label in LABELS[task] else None


def protocol(args: argparse.Namespace) -> recipe.Protocol:
    """Labels of the task and the standard folds; how many utterances remain was never published for this task."""
    description = f"CMU-MOSEI, {args.task}, standard folds by video (whether videos share speakers is not known)"
    name = f"cmu-mosei-{args.task}-standard"
    split = layout.official_split
    return recipe.Protocol(LABELS[args.task], lambda utts: Folds(name, description, folds=split(utts)))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which labels."""
    parser.add_argument("--task", choices=list(LABELS), default="emotion", help="what to recognise (default: emotion)")


if __name__ == "__main__":
    recipe.run(utterances, protocols=protocol, add_arguments=add_arguments, doc=__doc__, obtain=OBTAIN, origin=ORIGIN)
