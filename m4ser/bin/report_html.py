"""Show an experiment: `exp/<tag>/report.html`, one page without other files, and its figures as PNG.

After stage 5. The page holds the scores with their intervals, confusion matrices, folds, speakers, accuracy against
word errors, training curves, a map of utterance vectors, and the most confident mistakes with their sound.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from m4ser.data.scp import read_scp
from m4ser.scoring.experiment import Corpus, Experiment, collect
from m4ser.utils.cli import boolean, command
from m4ser.utils.errors import DamagedFileError, UserError
from m4ser.utils.files import atomic_write, read_json

NO_ASR = ("", "none", None)


def get_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("exp", type=Path, help="folder exp/<tag> with metrics.json of stage 5")
    parser.add_argument("--data", type=Path, help="data directory (default: data of the same recipe)")
    parser.add_argument("--dump", type=Path, help="dump with audio and ASR text (default: dump of the same recipe)")
    parser.add_argument(
        "--out", type=Path, help="page to write, figures beside it (default: report.html in the folder)"
    )
    parser.add_argument("--mistakes", type=int, default=20, help="how many mistakes to show (default: 20)")
    parser.add_argument(
        "--audio", type=boolean, default=True, help="put recordings into the page (default: true; mind the licence)"
    )
    parser.add_argument("--max-audio-mb", type=float, default=8.0, help="most sound in the page, in MB (default: 8)")
    parser.add_argument("--map", choices=("tsne", "pca", "none"), default="tsne", help="map of utterance vectors")
    parser.add_argument("--map-fold", default="", help="fold whose model makes the map (default: the first)")
    return parser


def read_metrics(path: Path) -> dict[str, Any]:
    """`metrics.json` of stage 5.

    Raises:
        UserError: it is missing or damaged.
    """
    if not path.parent.is_dir():
        raise UserError(f"{path.parent}: no such folder; name one that stages 4 and 5 have made: exp/<tag>")
    if not path.exists():
        raise UserError(f"{path}: no such file; run stage 5 first")
    try:
        metrics = read_json(path)
    except DamagedFileError:
        raise UserError(f"{path}: is damaged; run stage 5 again") from None
    if metrics.get("kind") != "metrics":
        raise UserError(f"{path}: is not the result of one experiment; run stage 5 again")
    return metrics


def recognised(dump: Path, metrics: dict[str, Any], sets: list[str]) -> dict[str, str] | None:
    """ASR text by utterance, None for an experiment without."""
    if metrics["asr_word_errors"] is None or metrics["setup"].get("asr") in NO_ASR:
        return None
    return _joined(dump / "asr" / metrics["setup"]["asr"], sets, "text", allow_empty=True)


def _joined(folder: Path, sets: list[str], name: str, allow_empty: bool = False) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in sets:
        if (folder / part / name).exists():
            found |= read_scp(folder / part / name, allow_empty)
    return found


def read_histories(experiment: Experiment) -> list[dict[str, Any]]:
    """The course of training of every run that has kept it."""
    paths = [
        experiment.path / f"fold{fold}" / f"seed{seed}" / "history.json"
        for seed in experiment.seeds
        for fold in experiment.folds
    ]
    return [read_json(path) for path in paths if path.exists()]


def draw_map(experiment: Experiment, method: str, fold: str) -> dict[str, Any]:
    """Pass the test part of one fold through its model of the first seed.

    Raises:
        UserError: there is no such fold, or its model or features are gone.
    """
    from m4ser.scoring.vectors import chart, run_vectors

    if fold and fold not in experiment.folds:
        raise UserError(f"--map-fold {fold}: the folds are {', '.join(experiment.folds)}")
    fold, seed = fold or experiment.folds[0], experiment.seeds[0]
    vectors = run_vectors(experiment.path / f"fold{fold}" / f"seed{seed}", experiment.partition)
    return chart(vectors, method, f"the model of fold {fold}, seed {seed}")


@command
def main(cmd: list[str] | None = None) -> None:
    """Run the command."""
    args = get_parser().parse_args(cmd)
    if args.mistakes < 0 or args.max_audio_mb < 0:
        raise UserError("--mistakes and --max-audio-mb must not be negative")
    metrics = read_metrics(args.exp / "metrics.json")
    recipe = args.exp.resolve().parents[1]
    data, dump = args.data or recipe / "data", args.dump or recipe / "dump"
    remarks: list[str] = []

    def note(line: str) -> None:
        print(f"note: {line}", file=sys.stderr)
        remarks.append(line)

    from m4ser.scoring import figures, mistakes, page

    corpus = Corpus.read(data, dump / "audio")
    experiment = collect(args.exp, corpus, metrics["partition"], metrics["seeds"], metrics["folds"])
    page.check_same(metrics, experiment, args.exp / "metrics.json")
    speakers = page.by_speaker(experiment, metrics["ci"]["resamples"])
    histories = read_histories(experiment)
    chart = None
    if args.map != "none":
        try:
            chart = draw_map(experiment, args.map, args.map_fold)
        except (UserError, FileNotFoundError) as error:
            if args.map_fold and args.map_fold not in experiment.folds:
                raise
            note(f"no map of utterance vectors: {error}")
    sets = corpus.folds.sets
    audio = _joined(dump / "audio", sets, "wav.scp") if args.audio else {}
    if args.audio and not audio:
        note(f"no sound: {dump / 'audio'} is not there; run stage 1 again or give --dump")
    normalise = (metrics["asr_word_errors"] or {}).get("normaliser", "none")
    wrong = page.describe_mistakes(
        mistakes.most_confident(experiment, args.mistakes),
        corpus,
        recognised(dump, metrics, sets),
        normalise,
        audio,
        int(args.max_audio_mb * 1e6),
        note,
    )
    text = page.render(metrics, experiment, speakers, histories, chart, wrong, remarks)
    out = args.out or args.exp / "report.html"
    with atomic_write(out) as file:
        file.write(text)
    drawn = figures.draw(metrics, out.parent)
    more = {"per_speaker.png": (figures.per_speaker, speakers)}
    if histories:
        more["training.png"] = (figures.training, histories)
    if chart:
        more["vectors.png"] = (figures.vector_map, chart)
    for name, (function, value) in more.items():
        figures.save(function(metrics, value), out.parent / name)
    print(f"Page: {out} ({out.stat().st_size / 1e6:.1f} MB)")
    print(f"Figures: {' '.join(str(out.parent / name) for name in [*drawn, *more])}")


if __name__ == "__main__":
    main()
