#!/usr/bin/env python3
"""What a packed model says of recordings: the speakers of its fold's dev and test part, and corpora nobody trained on.

The recordings go through EmotionRecognizer as a user's would: this measures what is shipped, weights rounded.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from m4ser import EmotionRecognizer
from m4ser.data.corpus import Corpus
from m4ser.data.datadir import DataDir
from m4ser.inference.results import Prediction
from m4ser.models.arrays import softmax
from m4ser.recipes.labels import to_common
from m4ser.scoring.evaluation import pooled
from m4ser.scoring.runs import Answers
from m4ser.scoring.table import Column, Row, Score, Table, columns
from m4ser.training.calibration import SMALLEST
from m4ser.training.metrics import expected_calibration_error
from m4ser.training.predictions import read_predictions
from m4ser.utils import cli
from m4ser.utils.errors import UserError

Clips = dict[str, tuple[Path, str, str]]  # by id: recording, emotion, speaker


def of_fold(run: Path, data: Path, dump: Path) -> dict[str, Clips]:
    """Dev and test part of the fold of a run, `exp/<tag>/fold<name>/seed<number>`; by the name of the part."""
    corpus, name = Corpus.read(data), run.resolve().parent.name.removeprefix("fold")
    if name not in corpus.folds.folds:
        raise UserError(f"{data / 'folds.json'}: has no fold {name}")
    audio = corpus.joined(dump / "audio", "wav.scp")
    fold = corpus.folds.folds[name]
    return {
        part: {utt: (Path(audio[utt]), corpus.emotion[utt], corpus.speaker[utt]) for utt in getattr(fold, part)}
        for part in ("dev", "test")
    }


def of_recipe(folder: Path) -> Clips:
    """All recordings of a prepared recipe with one of the common emotions."""
    clips = {}
    for file in sorted(folder.glob("dump/audio/*/wav.scp")):
        maps = DataDir.read(file.parent).maps
        for utt, label in maps["utt2emo"].items():
            if emotion := to_common(folder.resolve().name, label):
                clips[utt] = Path(maps["wav.scp"][utt]), emotion, maps["utt2spk"][utt]
    if not clips:
        raise UserError(f"{folder}: has no dump/audio; run stages 0 and 1 of that recipe first")
    return clips


def measure(recognizer: EmotionRecognizer, clips: Clips) -> tuple[Answers, np.ndarray, float]:
    """Answers, probabilities (clips, emotions), processor seconds per second of audio."""
    files, emotions, speakers = zip(*clips.values(), strict=True)
    begin, predictions = time.process_time(), []
    for result in recognizer.stream(list(files)):
        if not isinstance(result, Prediction):
            raise UserError(f"{result.name}: {result.reason}")
        predictions.append(result)
    seconds = (time.process_time() - begin) / sum(result.duration for result in predictions)
    probabilities = np.array([list(result.probabilities.values()) for result in predictions])
    ref = np.array([recognizer.labels.index(emotion) for emotion in emotions])
    return Answers(recognizer.labels, np.array(speakers), ref, probabilities.argmax(1)[None]), probabilities, seconds


def row(name: str, weights: str, answers: Answers, probabilities: np.ndarray, more: Sequence[float | None]) -> Row:
    """One line of the table."""
    scores = pooled(answers)
    error = Score(expected_calibration_error(answers.ref, probabilities))
    return [
        *(name, weights, scores["utterances"], scores["speakers"], Score.of(scores["ua"]), Score.of(scores["wa"])),
        *(error, *more),
    ]


def table(archive: Path, run: Path | None, data: Path, dump: Path, unheard: Sequence[str]) -> Table:
    """Rows of the archive, and of PyTorch in 32 bits where stage 5 has predicted with it."""
    recognizer = EmotionRecognizer.from_pretrained(archive, device="cpu")
    labels, size = recognizer.labels, archive.stat().st_size / 1e6
    rows: list[Row] = []
    for part, clips in of_fold(run, data, dump).items() if run else ():
        predictions = read_predictions(run / f"predictions_{part}.tsv", labels, list(clips))
        trained = Answers(labels, np.array(predictions.speakers), predictions.ref, predictions.hyp[None])
        scaled = softmax(np.log(np.maximum(predictions.probabilities, SMALLEST)), recognizer.temperature)
        name = f"{part} speakers of the corpora trained on"
        rows.append(row(name, "PyTorch, 32 bits", trained, scaled, (None, None)))
        answers, probabilities, seconds = measure(recognizer, clips)
        rows.append(row(name, "this archive", answers, probabilities, (size, seconds)))
    for folder in map(Path, unheard):
        answers, probabilities, seconds = measure(recognizer, of_recipe(folder))
        name = f"{folder.resolve().name}, which nothing was trained on"
        rows.append(row(name, "this archive", answers, probabilities, (size, seconds)))
    heads = [*columns("recordings", "weights", "utterances", "speakers", "UA [95 % CI]", "WA [95 % CI]", "ECE")]
    heads += [Column("MB", "megabytes", digits=1), Column("processor s per s", "real_time_factor", digits=3)]
    notes = [
        "Intervals resample speakers; of fewer than five, utterances, and are then too narrow.",
        f"ECE: expected calibration error, at the archive's temperature of {recognizer.temperature:.3f}.",
    ]
    caption = "Per cent. Recordings predicted one by one, as `m4ser predict` does."
    return Table(heads, rows, caption=caption, notes=notes)


@cli.command
def main(cmd: Sequence[str] | None = None) -> None:
    """Measure an archive and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("archive", type=Path, help="packed model")
    parser.add_argument("--run", type=Path, help="exp/<tag>/fold<name>/seed<number> that it was packed from")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder with folds.json (default: data)")
    parser.add_argument("--dump", type=Path, default=Path("dump"), help="folder of the audio (default: dump)")
    parser.add_argument("--unheard", type=cli.words, default=[], help="recipes that nothing was trained on, at stage 1")
    parser.add_argument("--out", type=Path, default=Path("results/archive"), help="OUT.md, .csv, .json")
    args = parser.parse_args(cmd)
    scores = table(args.archive, args.run, args.data, args.dump, args.unheard)
    print(scores.save(args.out).markdown(aligned=True))


if __name__ == "__main__":
    main()
