#!/usr/bin/env python3
"""Accuracy and speed of a run in PyTorch, as ONNX graph, and as 8-bit ONNX graph, on the test part of its fold.

    tools/benchmarks/onnx_graphs.py exp/m4ser/fold1/seed1

Uses the features and texts of stages 1 to 3 that the run was trained with; one thread, batches of 8. The graphs are
written to a temporary folder unless --graph and --graph8 name existing ones.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np
import torch
from espnet2.train.dataset import ESPnetDataset

import m4ser.training.espnet  # noqa: F401  (the dataset then knows our features)
from m4ser.data.scp import read_scp
from m4ser.inference.backends.onnx import OnnxBackend
from m4ser.inference.backends.torch import TorchBackend, outside
from m4ser.models.arrays import Padding, softmax
from m4ser.models.build import build_preprocessor
from m4ser.models.checkpoint import load_run
from m4ser.models.model import SERModel
from m4ser.models.onnx_graph import export
from m4ser.training.lists import data_options
from m4ser.training.metrics import scores

BATCH = 8


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--part", default="test")
    parser.add_argument("--graph", type=Path)
    parser.add_argument("--graph8", type=Path)
    parser.add_argument("--rounds", type=int, default=3, help="the fastest one counts")
    args = parser.parse_args()
    model, conf = load_run(args.run)
    if not isinstance(model, SERModel):
        raise SystemExit(
            f"error: {args.run}: is a baseline, which has no ONNX graph; give a run of this project's model"
        )
    data = [entry for entry in data_options(args.run / "data", args.part, conf) if entry[1] != "emotion"]
    preprocess = build_preprocessor(conf)
    dataset = ESPnetDataset(data, preprocess=preprocess)
    pad = Padding(preprocess.text.padding if preprocess.text else 0)
    references = read_scp(args.run / "data" / args.part / "utt2emo")
    ids = list(references)
    batches = [pad([dataset[u] for u in ids[start : start + BATCH]])[1] for start in range(0, len(ids), BATCH)]
    ref = [model.labels.index(references[utt]) for utt in ids]
    with tempfile.TemporaryDirectory() as folder:
        graph, graph8 = args.graph or Path(folder, "a.onnx"), args.graph8 or Path(folder, "b.onnx")
        if not args.graph:
            export(args.run, graph)
        if not args.graph8:
            export(args.run, graph8, int8=True)
        ways = {"PyTorch": TorchBackend(model, "cpu")}
        for name, path in {"ONNX": graph, "ONNX int8": graph8}.items():
            ways[name] = OnnxBackend(path, model.labels, outside(model))
        size = sum(value.numel() * value.element_size() for value in model.state_dict().values())
        sizes = {"PyTorch": size, "ONNX": graph.stat().st_size, "ONNX int8": graph8.stat().st_size}
    first, best = None, dict.fromkeys(ways, float("inf"))
    probabilities = {}
    for _ in range(args.rounds):
        for name, forward in ways.items():
            begin = time.process_time()
            probabilities[name] = np.concatenate([softmax(forward(batch)) for batch in batches])
            best[name] = min(best[name], time.process_time() - begin)
    for name, chances in probabilities.items():
        first = chances if first is None else first
        result = scores(ref, chances.argmax(-1).tolist())
        print(
            f"{name:10} WA {100 * result['wa']:.2f} UA {100 * result['ua']:.2f}, largest difference of a probability "
            f"{(chances - first).abs().max():.1e}, {1000 * best[name] / len(ids):.2f} ms an utterance (processor), "
            f"{sizes[name] / 1e6:.1f} MB"
        )
    print(f"{len(ids)} utterances, batches of {BATCH}, {torch.get_num_threads()} thread(s)")


if __name__ == "__main__":
    main()
