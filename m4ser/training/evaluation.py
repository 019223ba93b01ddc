"""What a trained model says about utterances whose features and text stages 1 to 3 have written."""

import argparse
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
from espnet2.torch_utils.device_funcs import to_device
from espnet2.train.dataset import ESPnetDataset
from torch.utils.data import DataLoader

import m4ser.training.espnet  # noqa: F401  (the dataset then knows our features)
from m4ser.data.audio import RATE
from m4ser.data.scp import read_scp
from m4ser.models import batches
from m4ser.models.build import build_collate, build_preprocessor
from m4ser.models.checkpoint import load_run
from m4ser.models.representations import Representations
from m4ser.models.systems import EmotionModel
from m4ser.training.experiment import INFER_INFO, InferInfo, Run, choose_folds, job_of, parse_seeds, read_maps, runs
from m4ser.training.lists import data_options, read_folds
from m4ser.training.predictions import Predictions, write_predictions
from m4ser.utils.errors import UserError
from m4ser.utils.files import write_json
from m4ser.utils.progress import track

PARTS = ("dev", "test")


@torch.no_grad()
def represent(
    model: EmotionModel,
    args: argparse.Namespace,
    data: list[tuple[str, str, str]],
    utterances: Iterable[str],
    device: str = "cpu",
    batch_size: int = 32,
) -> Iterator[tuple[list[str], Representations]]:
    """Yield (utterances, what the fusion makes of them) batch by batch, in the order given.

    ``data`` are (path, name, type) as for ESPnet's dataset; names: speech, text.
    """
    dataset = ESPnetDataset(data, preprocess=build_preprocessor(args))
    ids = list(utterances)
    in_batches = [ids[start : start + batch_size] for start in range(0, len(ids), batch_size)]
    for keys, batch in DataLoader(dataset, batch_sampler=in_batches, collate_fn=build_collate(args)):
        yield keys, batches.represent(model, to_device(batch, device))


@torch.no_grad()
def predict(
    model: EmotionModel,
    args: argparse.Namespace,
    data: list[tuple[str, str, str]],
    utterances: Iterable[str],
    device: str = "cpu",
    batch_size: int = 32,
) -> Iterator[tuple[list[str], torch.Tensor]]:
    """Yield (utterances, probabilities (B, E)) batch by batch; arguments as for :func:`represent`."""
    for keys, reps in represent(model, args, data, utterances, device, batch_size):
        yield keys, torch.softmax(model.logits(reps).float(), dim=-1).cpu()


def predict_run(
    run: Run,
    parts: Sequence[str],
    speakers: Mapping[str, str],
    seconds: Mapping[str, float],
    device: str = "cpu",
    batch_size: int = 32,
) -> None:
    """Write ``predictions_<part>.tsv`` of one run and ``infer_info.json``; what is newer than the model is left alone.

    The real-time factor is that of the model reading dumped features and recognised text: seconds per second of audio,
    without feature extraction and recognition, which all systems share.

    Args:
        run: fold and seed, with the lists that its training has read.
        parts: of the fold: dev, test.
        speakers: by utterance.
        seconds: duration by utterance; of those that are missing nothing is known.
        device: where to compute.
        batch_size: utterances in a batch.
    """
    predictions = [run.folder / f"predictions_{part}.tsv" for part in parts]
    model_file = run.folder / "model.pth"
    if model_file.exists() and all(p.exists() and p.stat().st_mtime > model_file.stat().st_mtime for p in predictions):
        print(f"{run.folder}: predicted already")
        return
    model, conf = load_run(run.folder, device)
    wall = cpu = audio = 0.0
    for part, path in zip(parts, predictions, strict=True):
        folder = run.folder / "data"
        data = [entry for entry in data_options(folder, part, conf) if entry[1] != "emotion"]
        references = read_scp(folder / part / "utt2emo")
        ids = list(references)
        started = time.perf_counter(), time.process_time()
        in_batches = sorted(ids, key=lambda utt: seconds.get(utt, 0.0))  # of similar length: little padding
        rows_of_batches = predict(model, conf, data, in_batches, device, batch_size)
        by_utterance: dict[str, torch.Tensor] = {}
        for utterances, rows in track(rows_of_batches, part, -(-len(ids) // batch_size)):
            by_utterance.update(zip(utterances, rows, strict=True))
        probabilities = torch.stack([by_utterance[utt] for utt in ids])
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
    info: InferInfo = {"parts": list(parts), "batch_size": batch_size, "device": device}
    info |= {"infer_seconds": round(wall, 6), "infer_cpu_seconds": round(cpu, 6), "audio_seconds": round(audio, 3)}
    if audio:
        info |= {"real_time_factor": round(wall / audio, 9), "cpu_real_time_factor": round(cpu / audio, 9)}
    write_json(run.folder / INFER_INFO, info)


def predict_job(
    exp: str,
    job: int,
    data: str = "data",
    audio: str = "dump/audio",
    folds: Sequence[str] = (),
    seeds: Sequence[str] = ("1",),
    parts: Sequence[str] = PARTS,
    ngpu: int = 0,
    batch_size: int = 32,
) -> None:
    """Predict with the ``job``-th run of an experiment, see :func:`predict_run`.

    Args:
        exp: experiment folder ``exp/<tag>``.
        job: number of the run, as in stage 4.
        data: folder with ``folds.json``.
        audio: stage 1 audio, for its duration.
        folds: whose runs are counted; all if empty.
        seeds: likewise, as text.
        parts: dev, test.
        ngpu: 0 or 1.
        batch_size: utterances in a batch.

    Raises:
        UserError: there is no such run or part, or the run is not trained.
    """
    corpus = read_folds(data)
    run = job_of(runs(exp, choose_folds(corpus, list(folds)), parse_seeds(seeds)), job)
    if unknown := [part for part in parts if part not in PARTS]:
        raise UserError(f"--parts: {unknown[0]!r} is neither dev nor test")
    seconds = {}
    if all((Path(audio) / name / "utt2num_samples").exists() for name in corpus.sets):
        samples = read_maps(audio, corpus.sets, "utt2num_samples", stage=1)
        seconds = {utt: int(count) / RATE for utt, count in samples.items()}
    speakers = read_maps(data, corpus.sets, "utt2spk")
    predict_run(run, parts, speakers, seconds, "cuda" if ngpu else "cpu", batch_size)
