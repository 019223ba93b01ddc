"""Stage 5, first half: predictions of trained models on the dev and test part of their fold, and what they cost."""

import argparse
import time
from pathlib import Path

import torch

from m4ser.data.scp import read_scp
from m4ser.models.checkpoint import load_run
from m4ser.training.evaluation import predict
from m4ser.training.experiment import Run, choose_folds, read_maps, runs
from m4ser.training.lists import data_options, read_folds
from m4ser.training.predictions import Predictions, write_predictions
from m4ser.utils.cli import command, words
from m4ser.utils.errors import UserError
from m4ser.utils.files import write_json
from m4ser.utils.progress import track

PARTS = ("dev", "test")


def get_parser() -> argparse.ArgumentParser:
    """Options."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--data", default="data", help="folder with folds.json (default: data)")
    parser.add_argument("--audio", default="dump/audio", help="stage 1 audio, for its duration (default: dump/audio)")
    parser.add_argument("--exp", required=True, help="experiment folder exp/<tag>")
    parser.add_argument("--folds", type=words, default=[], help="folds (default: all)")
    parser.add_argument("--seeds", type=words, default=["1"], help="seeds (default: 1)")
    parser.add_argument("--ngpu", type=int, default=0, help="0 or 1 (default: 0)")
    parser.add_argument("--batch-size", type=int, default=32, help="utterances in a batch (default: 32)")
    parser.add_argument("--parts", type=words, default=list(PARTS), help="parts to predict (default: dev test)")
    parser.add_argument("--job", type=int, required=True, help="number of the run, as in stage 4")
    return parser


def infer(args: argparse.Namespace, run: Run, speakers: dict[str, str], seconds: dict[str, float]) -> None:
    """Write ``predictions_<part>.tsv`` of one run and ``infer_info.json``; what is newer than the model is left alone.

    The real-time factor is that of the model reading dumped features and recognised text: seconds per second of audio,
    without feature extraction and recognition, which all systems share.
    """
    done = [run.folder / f"predictions_{part}.tsv" for part in args.parts]
    model_file = run.folder / "model.pth"
    if model_file.exists() and all(p.exists() and p.stat().st_mtime > model_file.stat().st_mtime for p in done):
        print(f"{run.folder}: predicted already")
        return
    device = "cuda" if args.ngpu else "cpu"
    model, conf = load_run(run.folder, device)
    wall = cpu = audio = 0.0
    for part, path in zip(args.parts, done, strict=True):
        folder = run.folder / "data"
        data = [entry for entry in data_options(folder, part, conf) if entry[1] != "emotion"]
        references = read_scp(folder / part / "utt2emo")
        ids = list(references)
        started = time.perf_counter(), time.process_time()
        in_batches = sorted(ids, key=lambda utt: seconds.get(utt, 0.0))  # of similar length: little padding
        batches = predict(model, conf, data, in_batches, device, args.batch_size)
        found: dict[str, torch.Tensor] = {}
        for utterances, rows in track(batches, part, -(-len(ids) // args.batch_size)):
            found.update(zip(utterances, rows, strict=True))
        probabilities = torch.stack([found[utt] for utt in ids])
        wall, cpu = wall + time.perf_counter() - started[0], cpu + time.process_time() - started[1]
        audio += sum(seconds.get(utt, 0.0) for utt in ids)
        labels = {label: index for index, label in enumerate(model.labels)}
        write_predictions(
            path,
            Predictions.from_probabilities(
                model.labels,
                ids,
                [speakers[utt] for utt in ids],
                [labels[references[utt]] for utt in ids],
                probabilities.numpy(),
            ),
        )
    info = {"parts": args.parts, "batch_size": args.batch_size, "device": device}
    info |= {"infer_seconds": round(wall, 6), "infer_cpu_seconds": round(cpu, 6), "audio_seconds": round(audio, 3)}
    if audio:
        info |= {"real_time_factor": round(wall / audio, 9), "cpu_real_time_factor": round(cpu / audio, 9)}
    write_json(run.folder / "infer_info.json", info)


@command
def main(cmd: list[str] | None = None) -> None:
    """Command line entry."""
    args = get_parser().parse_args(cmd)
    folds = read_folds(args.data)
    todo = runs(args.exp, choose_folds(folds, args.folds), [int(seed) for seed in args.seeds])
    if not 1 <= args.job <= len(todo):
        raise UserError(f"--job {args.job}: there are {len(todo)} runs (folds x seeds)")
    if unknown := [part for part in args.parts if part not in PARTS]:
        raise UserError(f"--parts: {unknown[0]!r} is neither dev nor test")
    seconds = {}
    if all((Path(args.audio) / name / "utt2num_samples").exists() for name in folds.sets):
        samples = read_maps(args.audio, folds.sets, "utt2num_samples", stage=1)
        seconds = {utt: int(count) / 16000 for utt, count in samples.items()}
    infer(args, todo[args.job - 1], read_maps(Path(args.data), folds.sets, "utt2spk"), seconds)


if __name__ == "__main__":
    main()
