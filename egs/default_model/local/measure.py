#!/usr/bin/env python3
"""What packed models say of recordings: the speakers of a fold's dev and test part, and corpora nobody trained on.

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
from m4ser.recipes.labels import to_common
from m4ser.scoring.evaluation import pooled
from m4ser.scoring.runs import Answers
from m4ser.scoring.table import Column, Row, Score, Table, columns
from m4ser.training.metrics import expected_calibration_error
from m4ser.utils import cli
from m4ser.utils.errors import UserError

Clips = dict[str, tuple[Path, str, str]]  # by id: recording, emotion, speaker


def of_fold(data: Path, dump: Path, name: str) -> dict[str, Clips]:
    """Dev and test part of a fold."""
    corpus = Corpus.read(data)
    if name not in corpus.folds.folds:
        raise UserError(f"{data / 'folds.json'}: has no fold {name}")
    audio = corpus.joined(dump / "audio", "wav.scp")
    fold = corpus.folds.folds[name]
    parts = {"dev speakers of the corpora trained on": fold.dev, "test speakers of the corpora trained on": fold.test}
    return {
        part: {utt: (Path(audio[utt]), corpus.emotion[utt], corpus.speaker[utt]) for utt in utts}
        for part, utts in parts.items()
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
    begin, found = time.process_time(), []
    for result in recognizer.stream(list(files)):
        if not isinstance(result, Prediction):
            raise UserError(f"{result.name}: {result.reason}")
        found.append(result)
    seconds = (time.process_time() - begin) / sum(result.duration for result in found)
    probabilities = np.array([list(result.probabilities.values()) for result in found])
    ref = np.array([recognizer.labels.index(emotion) for emotion in emotions])
    return Answers(recognizer.labels, np.array(speakers), ref, probabilities.argmax(1)[None]), probabilities, seconds


def table(archives: Sequence[Path], parts: dict[str, Clips]) -> Table:
    """One row for each part and archive."""
    recognizers = {path: EmotionRecognizer.from_pretrained(path, device="cpu") for path in archives}
    rows: list[Row] = []
    for part, clips in parts.items():
        for path, recognizer in recognizers.items():
            answers, probabilities, seconds = measure(recognizer, clips)
            scores = pooled(answers)
            error = Score(expected_calibration_error(answers.ref, probabilities))
            row = [
                part,
                path.name,
                scores["utterances"],
                scores["speakers"],
                Score.of(scores["ua"]),
                Score.of(scores["wa"]),
            ]
            rows.append([*row, error, path.stat().st_size / 1e6, seconds])
    heads = [*columns("recordings", "archive", "utterances", "speakers", "UA [95 % CI]", "WA [95 % CI]", "ECE")]
    heads += [Column("MB", "megabytes", digits=1), Column("processor s per s", "real_time_factor", digits=3)]
    notes = ["Intervals resample speakers; of fewer than five, utterances, and are then too narrow."]
    return Table(
        heads, rows, caption="Per cent. Recordings predicted one by one, as `m4ser predict` does.", notes=notes
    )


@cli.command
def main(cmd: Sequence[str] | None = None) -> None:
    """Measure archives and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("archives", type=Path, nargs="+", help="packed models, the same with other weights")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder with folds.json (default: data)")
    parser.add_argument("--dump", type=Path, default=Path("dump"), help="folder of the audio (default: dump)")
    parser.add_argument("--fold", default="all", help="of the model (default: all)")
    parser.add_argument("--unheard", type=cli.words, default=[], help="recipes that nothing was trained on, at stage 1")
    parser.add_argument("--out", type=Path, default=Path("results/archive"), help="OUT.md, .csv, .json")
    args = parser.parse_args(cmd)
    parts = of_fold(args.data, args.dump, args.fold)
    parts |= {f"{Path(name).name}, not trained on": of_recipe(Path(name)) for name in args.unheard}
    print(table(args.archives, parts).save(args.out).markdown(aligned=True))


if __name__ == "__main__":
    main()
